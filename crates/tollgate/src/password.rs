//! Hashing passwords of people for the command line, as the control listener does.

use tollgate_core::secret::Secret;

use crate::failure::Failure;

/// The argon2id hash of a password, as a PHC string.
pub(crate) fn password_hash(password: &Secret<String>) -> Result<Secret<String>, Failure> {
    tollgate_control::hash_password(password).map_err(Failure::failed)
}
