//! The port to whatever sends mail.

use tollgate_core::secret::Secret;

/// Sends mail to people.
pub trait Courier: Send + Sync + std::fmt::Debug {
    /// Takes a mail and returns at once. What cannot be taken or sent is told to the log; nobody who
    /// asks for a link may learn whether one was sent.
    fn send(&self, mail: Mail);
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The e-mail address it goes to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text; it may hold a link that is a secret.
    pub text: Secret<String>,
}
