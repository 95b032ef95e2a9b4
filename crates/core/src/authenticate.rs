//! Recognising a credential: shape, checksum, digest, look-up. No rule of a policy is asked here.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use crate::{
    code::Code,
    key::{CREDENTIAL_LEN_MAX, Digest, ShapeError, check_shape, has_outline},
    keyring::{KeyRecord, Keyring, SlowSecret},
    tables::Foreign,
};

/// How an imported secret is known when it is not by the SHA-256 of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignHash {
    /// SHA-512 of the credential.
    Sha512,
    /// HMAC-SHA-256 of the credential under a given secret.
    HmacSha256,
}

impl ForeignHash {
    /// What the keyring is searched by for such a secret: SHA-256 over the scheme's name and the
    /// imported hash, so that schemes cannot be confused with one another.
    #[must_use]
    pub fn digest(self, hash: &[u8]) -> Digest {
        let name: &[u8] = match self {
            Self::Sha512 => b"sha512:",
            Self::HmacSha256 => b"hmac-sha256:",
        };
        Digest(Sha256::new().chain_update(name).chain_update(hash).finalize().into())
    }
}

/// What a credential turned out to be.
pub enum Recognised {
    /// A key.
    Key {
        /// Its record.
        record: KeyRecord,
        /// What it was found by.
        found_by: Digest,
        /// The SHA-256 of the credential when it was found by another hash: store it instead.
        rehash: Option<Digest>,
    },
    /// Perhaps one of these; a slow hash has to say, on a bounded pool.
    Slow(Vec<SlowSecret>),
    /// No key; the code is `key_malformed` or `key_unknown`.
    Nothing {
        /// Which of the two.
        code: Code,
        /// What is wrong with it, for the client.
        detail: &'static str,
    },
}

/// Recognises a credential.
///
/// What does not even have the outline of a key of ours is refused unseen where no other shapes exist. Letters
/// and checksum are read only of what is not found: what is found under its digest is a key, and nearly all
/// that is shown is.
#[must_use]
pub fn recognise(credential: &[u8], keyring: &Keyring, foreign: &Foreign) -> Recognised {
    let is_worth_a_look = match foreign.any {
        true => !credential.is_empty() && credential.len() <= CREDENTIAL_LEN_MAX,
        false => has_outline(credential),
    };
    if !is_worth_a_look {
        let words = check_shape(credential).err().unwrap_or(ShapeError::Shape).words();
        return Recognised::Nothing { code: Code::KeyMalformed, detail: words };
    }
    let digest = Digest::of(credential);
    if let Some(record) = keyring.find(&digest, KeyRecord::clone) {
        return Recognised::Key { record, found_by: digest, rehash: None };
    }
    if foreign.any {
        if let Some((found_by, record)) = find_foreign(credential, keyring, foreign) {
            return Recognised::Key { record, found_by, rehash: Some(digest) };
        }
        let candidates = slow_candidates(credential, keyring, foreign);
        if !candidates.is_empty() {
            return Recognised::Slow(candidates);
        }
    }
    match check_shape(credential) {
        Err(error) => Recognised::Nothing { code: Code::KeyMalformed, detail: error.words() },
        Ok(_) => Recognised::Nothing {
            code: Code::KeyUnknown,
            detail: "no such key; it may have been deleted, or belong to another installation",
        },
    }
}

fn find_foreign(credential: &[u8], keyring: &Keyring, foreign: &Foreign) -> Option<(Digest, KeyRecord)> {
    let found = |digest: Digest| keyring.find(&digest, KeyRecord::clone).map(|record| (digest, record));
    if foreign.sha512
        && let Some(hit) = found(ForeignHash::Sha512.digest(&Sha512::digest(credential)))
    {
        return Some(hit);
    }
    foreign.hmacs.iter().find_map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).ok()?;
        mac.update(credential);
        found(ForeignHash::HmacSha256.digest(&mac.finalize().into_bytes()))
    })
}

fn slow_candidates(credential: &[u8], keyring: &Keyring, foreign: &Foreign) -> Vec<SlowSecret> {
    foreign
        .slow_prefix_lens
        .iter()
        .filter_map(|length| credential.get(..usize::from(*length)))
        .flat_map(|prefix| keyring.slow_candidates(&Digest::of(prefix)))
        .collect()
}
