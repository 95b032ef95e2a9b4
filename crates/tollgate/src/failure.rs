//! How a command fails: what stderr says, and the exit code.

use tollgate_store::StoreError;

/// A command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked makes no sense: exit code 2.
    Usage(String),
    /// It could not be done: exit code 1.
    Failed(String),
    /// It could not be done, and what there is to say was printed already: exit code 1.
    Said,
    /// Whoever read the output has gone; nobody is left to tell.
    OutputClosed,
}

impl Failure {
    pub(crate) fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// The exit code.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Said => 1,
            Self::OutputClosed => 0,
        }
    }

    /// What stderr says.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Self::Usage(message) | Self::Failed(message) => Some(message),
            Self::Said | Self::OutputClosed => None,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let mut message = match &error {
            StoreError::Invalid(errors) => {
                errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            }
            other => other.to_string(),
        };
        // Whoever runs the command line on the host may know what the log would say.
        if let Some(cause) = error.cause() {
            message.push_str("\n  cause: ");
            message.push_str(cause);
        }
        Self::Failed(message)
    }
}

impl From<crate::config::LoadError> for Failure {
    fn from(error: crate::config::LoadError) -> Self {
        Self::failed(error)
    }
}

impl From<tollgate_core::authz::NotAuthorised> for Failure {
    fn from(error: tollgate_core::authz::NotAuthorised) -> Self {
        Self::failed(error)
    }
}

impl From<tollgate_journal::JournalError> for Failure {
    fn from(error: tollgate_journal::JournalError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Failed(format!("{error}{cause}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::failed(error)
    }
}
