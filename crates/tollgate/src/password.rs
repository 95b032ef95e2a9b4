//! Hashing passwords of people, slow on purpose; keys need none of this, for they are random.

use argon2::{Argon2, Params, password_hash::PasswordHasher as _};
use tollgate_core::secret::Secret;

use crate::failure::Failure;

/// The argon2id hash of a password, as a PHC string: 19 MiB, 2 passes (OWASP's first choice).
pub(crate) fn password_hash(password: &Secret<String>) -> Result<Secret<String>, Failure> {
    let hasher = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, Params::default());
    let hash = hasher
        .hash_password(password.expose().as_bytes())
        .map_err(|error| Failure::failed(format!("cannot hash the password: {error}")))?;
    Ok(Secret::new(hash.to_string()))
}
