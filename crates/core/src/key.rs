//! The grammar of keys: `<prefix>_<live|test>_<26 random><6 checksum>`.
//!
//! The random part is 26 base62 characters (155 bits), the checksum the CRC-32 (IEEE) of all that
//! stands before it in base62. The checksum is no security control: it tells garbage from keys that are
//! not known, and lets scanners recognise a leaked key offline. What is stored of a key is its SHA-256
//! (NIST SP 800-63B: an approved one-way hash is enough for secrets of 112 bits and more).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    id::{base62, parse_base62},
    secret::Secret,
};

/// Characters of the random part.
pub const RANDOM_LEN: usize = 26;
/// Characters of the checksum.
pub const CHECKSUM_LEN: usize = 6;
/// The shortest and longest prefix of a project.
pub const PREFIX_LEN: std::ops::RangeInclusive<usize> = 2..=12;
/// The longest credential that is looked at at all, imported ones included.
pub const CREDENTIAL_LEN_MAX: usize = 512;

/// Where a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Environment {
    /// Production.
    Live = 0,
    /// Trying out.
    Test = 1,
}

impl Environment {
    /// The word in the key and in every API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Environment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(format!("`{text}` is not an environment; use `live` or `test`")),
        }
    }
}

/// SHA-256 of a whole credential: what the keyring is searched by.
#[derive(Clone, Copy, Eq)]
pub struct Digest(pub [u8; 32]);

impl PartialEq for Digest {
    /// Compares all 32 bytes in constant time, wherever digests are compared: eight at a time,
    /// for this stands on the way of every request.
    fn eq(&self, other: &Self) -> bool {
        let (mine, _) = self.0.as_chunks::<8>();
        let (theirs, _) = other.0.as_chunks::<8>();
        let difference = mine.iter().zip(theirs).fold(0u64, |difference, (mine, theirs)| {
            difference | (u64::from_ne_bytes(*mine) ^ u64::from_ne_bytes(*theirs))
        });
        subtle::ConstantTimeEq::ct_eq(&difference, &0).into()
    }
}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Digest {
    /// The order of the bytes, for sorting and paging; not in constant time.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl Digest {
    /// The digest of a credential's bytes.
    #[must_use]
    pub fn of(credential: &[u8]) -> Self {
        Self(Sha256::digest(credential).into())
    }
}

impl std::hash::Hash for Digest {
    /// The first eight bytes are as good a hash as any: the digest is uniform already.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// A key as text, complete: exists in the answer of create and rotate and nowhere else.
pub type KeyText = Secret<String>;

/// What may be shown of a key after its creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFace {
    /// The project's prefix.
    pub prefix: String,
    /// Its environment.
    pub environment: Environment,
    /// Its last four characters.
    pub last4: String,
}

/// Why a text is not a key of our own shape.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{}", self.words())]
pub enum ShapeError {
    /// Length, separators or characters are not those of a key.
    Shape,
    /// The checksum does not fit: a character was mistyped or cut off.
    Checksum,
}

impl ShapeError {
    /// What is wrong and what to do about it, for the client.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Shape => {
                "it does not look like a key; keys are a prefix, `live` or `test`, and 32 letters and digits"
            }
            Self::Checksum => {
                "its checksum does not fit; a character is wrong or missing, copy the key again"
            }
        }
    }
}

/// Why a prefix is refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` cannot be a key prefix; use 2 to 12 of a-z and 0-9")]
pub struct PrefixError(String);

/// Checks the prefix of a project.
///
/// # Errors
/// When it is shorter than 2, longer than 12, or has other characters than `a-z0-9`.
pub fn check_prefix(prefix: &str) -> Result<(), PrefixError> {
    let good = PREFIX_LEN.contains(&prefix.len())
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if good { Ok(()) } else { Err(PrefixError(prefix.chars().take(64).collect())) }
}

/// Makes a key of 32 random bytes from the operating system.
///
/// # Errors
/// When the prefix is not one (see [`check_prefix`]).
pub fn mint(
    prefix: &str,
    environment: Environment,
    random: &Secret<[u8; 32]>,
) -> Result<KeyText, PrefixError> {
    check_prefix(prefix)?;
    let mut text = String::with_capacity(prefix.len() + 6 + RANDOM_LEN + CHECKSUM_LEN);
    text.push_str(prefix);
    text.push('_');
    text.push_str(environment.name());
    text.push('_');
    // Two halves of 128 random bits give 13 digits (77.4 bits) each; the cut bits are no loss, and
    // the bias of the reduction is below 2^-50.
    let (low, high) = random.expose().split_at(16);
    for half in [low, high] {
        let value = half.iter().fold(0u128, |value, byte| (value << 8) | u128::from(*byte));
        text.extend(base62::<13>(value).iter().map(|byte| char::from(*byte)));
    }
    let checksum = base62::<CHECKSUM_LEN>(u128::from(crc32fast::hash(text.as_bytes())));
    text.extend(checksum.iter().map(|byte| char::from(*byte)));
    Ok(Secret::new(text))
}

/// Whether it has the length of a key and its environment in the right place: what every key has, and nearly
/// nothing else, and what is seen without reading it.
#[must_use]
pub fn has_outline(credential: &[u8]) -> bool {
    const TAIL_LEN: usize = RANDOM_LEN + CHECKSUM_LEN;
    let word = credential.rchunks(TAIL_LEN).nth(1).and_then(<[u8]>::last_chunk::<6>);
    let prefix_len = credential.len().wrapping_sub(6 + TAIL_LEN);
    PREFIX_LEN.contains(&prefix_len) && matches!(word, Some(b"_live_" | b"_test_"))
}

/// Checks shape and checksum, without any look-up.
///
/// # Errors
/// [`ShapeError::Shape`] when it looks like no key of ours, [`ShapeError::Checksum`] when only the
/// checksum is wrong.
pub fn check_shape(credential: &[u8]) -> Result<Environment, ShapeError> {
    let separator = credential.iter().position(|byte| *byte == b'_').ok_or(ShapeError::Shape)?;
    let (prefix, rest) = credential.split_at(separator);
    let good_prefix = PREFIX_LEN.contains(&prefix.len())
        && prefix.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !good_prefix || rest.len() != 6 + RANDOM_LEN + CHECKSUM_LEN {
        return Err(ShapeError::Shape);
    }
    let (word, tail) = rest.split_at(6);
    let environment = match word {
        b"_live_" => Environment::Live,
        b"_test_" => Environment::Test,
        _ => return Err(ShapeError::Shape),
    };
    if !tail.iter().all(u8::is_ascii_alphanumeric) {
        return Err(ShapeError::Shape);
    }
    let (body, checksum) = credential.split_at(credential.len() - CHECKSUM_LEN);
    match parse_base62(checksum) {
        Some(value) if value == u128::from(crc32fast::hash(body)) => Ok(environment),
        _ => Err(ShapeError::Checksum),
    }
}

/// What may be shown of a key: its prefix, environment and last four characters.
#[must_use]
pub fn face(prefix: &str, environment: Environment, credential: &str) -> KeyFace {
    let last4: Vec<char> = credential.chars().rev().take(4).collect();
    KeyFace { prefix: prefix.to_owned(), environment, last4: last4.into_iter().rev().collect() }
}
