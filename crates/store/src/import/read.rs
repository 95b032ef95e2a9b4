//! What one row of an import says: its secret understood, its fields checked. Nothing here asks the
//! database.

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use tollgate_core::{
    authenticate::ForeignHash,
    key::{CREDENTIAL_LEN_MAX, Digest, check_shape},
    secret::Secret,
};

use super::{Encoding, ImportRow, ImportScheme};
use crate::{keys::check_name_for_people, resources::metadata_problem};

/// The shortest plain credential: a shorter one can be guessed.
const PLAIN_BYTES_MIN: usize = 8;
/// The shortest prefix of a slow import: it must tell keys apart before any slow hash is tried.
const PREFIX_CHARS_MIN: usize = 6;
/// Characters of a prefix that are shown.
const PREFIX_SHOWN: usize = 12;
/// Below this length the last four characters would give too much of a plain credential away.
const SHOWN_BYTES_MIN: usize = 16;
/// The dearest bcrypt accepted: about 4 s a try.
const BCRYPT_COST_MAX: u32 = 16;
/// The most memory of an argon2 hash accepted, KiB.
const ARGON2_KIB_MAX: u64 = 262_144;
/// The most passes, and lanes, of an argon2 hash accepted.
const ARGON2_PASSES_MAX: u64 = 16;

/// How an imported secret will be found.
pub(super) enum Known {
    /// By a digest.
    Fast { digest: Digest, scheme: i64 },
    /// By its prefix, then by a slow hash.
    Slow { prefix: Digest, prefix_bytes: usize, hash: Secret<String>, scheme: i64 },
}

/// A row understood.
pub(super) struct Read {
    pub(super) known: Known,
    pub(super) prefix: String,
    pub(super) last4: String,
}

/// Understands a row.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(row: &ImportRow, scheme: &ImportScheme) -> Result<Read, String> {
    check_fields(row)?;
    let text = row.secret.expose().trim();
    let shown = |text: &Option<String>, most| text.iter().flat_map(|text| text.chars()).take(most).collect();
    let mut read = Read {
        known: known(row, text, scheme)?,
        prefix: shown(&row.prefix, PREFIX_SHOWN),
        last4: shown(&row.last4, 4),
    };
    if matches!(scheme, ImportScheme::Plain) {
        if row.last4.is_none() && text.len() >= SHOWN_BYTES_MIN {
            let mut last: Vec<char> = text.chars().rev().take(4).collect();
            last.reverse();
            read.last4 = last.into_iter().collect();
        }
        if row.prefix.is_none() && check_shape(text.as_bytes()).is_ok() {
            read.prefix = text.split('_').next().unwrap_or_default().to_owned();
        }
    }
    Ok(read)
}

fn check_fields(row: &ImportRow) -> Result<(), String> {
    if let Some(problem) = row.name.as_deref().and_then(check_name_for_people) {
        return Err(format!("name: {problem}"));
    }
    if let Some(problem) = metadata_problem(&row.metadata) {
        return Err(format!("metadata: {problem}"));
    }
    for (field, text) in [("prefix", &row.prefix), ("last4", &row.last4)] {
        if text.as_ref().is_some_and(|text| text.chars().any(char::is_control)) {
            return Err(format!("{field}: it has a control character"));
        }
    }
    if row.last4.as_ref().is_some_and(|last4| last4.chars().count() > 4) {
        return Err("last4: it has more than four characters".to_owned());
    }
    if row.consumer.is_some() {
        let name = row.consumer.as_deref().unwrap_or_default();
        tollgate_core::name::check_name(name).map_err(|problem| format!("consumer: {problem}"))?;
    }
    Ok(())
}

fn known(row: &ImportRow, text: &str, scheme: &ImportScheme) -> Result<Known, String> {
    match scheme {
        ImportScheme::Plain => plain(text),
        ImportScheme::Sha256(encoding) => {
            let hash: [u8; 32] = hash(text, *encoding)?;
            Ok(Known::Fast { digest: Digest(hash), scheme: 1 })
        }
        ImportScheme::Sha512(encoding) => {
            let hash: [u8; 64] = hash(text, *encoding)?;
            Ok(Known::Fast { digest: ForeignHash::Sha512.digest(&hash), scheme: 2 })
        }
        ImportScheme::HmacSha256 { encoding, .. } => {
            let hash: [u8; 32] = hash(text, *encoding)?;
            Ok(Known::Fast { digest: ForeignHash::HmacSha256.digest(&hash), scheme: 3 })
        }
        ImportScheme::Bcrypt => {
            check_bcrypt(text)?;
            slow(row, text, 4)
        }
        ImportScheme::Argon2 => {
            check_argon2(text)?;
            slow(row, text, 5)
        }
    }
}

fn plain(text: &str) -> Result<Known, String> {
    if text.len() < PLAIN_BYTES_MIN || text.len() > CREDENTIAL_LEN_MAX {
        return Err(format!(
            "the credential has {} bytes; {PLAIN_BYTES_MIN} to {CREDENTIAL_LEN_MAX} are possible",
            text.len()
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the credential has characters that no header can carry".to_owned());
    }
    // One of our own shape needs no look-up beside the usual one.
    let scheme = i64::from(check_shape(text.as_bytes()).is_err());
    Ok(Known::Fast { digest: Digest::of(text.as_bytes()), scheme })
}

fn hash<const N: usize>(text: &str, encoding: Encoding) -> Result<[u8; N], String> {
    let bytes = match encoding {
        Encoding::Hex => from_hex(text.as_bytes()),
        Encoding::Base64 => {
            let plain: String = text
                .trim_end_matches('=')
                .chars()
                .map(|sign| match sign {
                    '-' => '+',
                    '_' => '/',
                    other => other,
                })
                .collect();
            BASE64_STANDARD_NO_PAD.decode(plain).ok()
        }
    };
    let name = if encoding == Encoding::Hex { "hexadecimal" } else { "base64" };
    let bytes = bytes.ok_or_else(|| format!("the hash is not written in {name}"))?;
    bytes.try_into().map_err(|bytes: Vec<u8>| format!("the hash has {} bytes instead of {N}", bytes.len()))
}

/// Bytes from hexadecimal digits of either case.
pub(crate) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}

fn slow(row: &ImportRow, hash: &str, scheme: i64) -> Result<Known, String> {
    let prefix = row.prefix.as_deref().unwrap_or_default();
    if prefix.chars().count() < PREFIX_CHARS_MIN || prefix.len() > CREDENTIAL_LEN_MAX {
        return Err(format!(
            "prefix: such a hash is found by the beginning of the credential; give its first {PREFIX_CHARS_MIN} \
             or more characters"
        ));
    }
    Ok(Known::Slow {
        prefix: Digest::of(prefix.as_bytes()),
        prefix_bytes: prefix.len(),
        hash: Secret::new(hash.to_owned()),
        scheme,
    })
}

/// `$2b$12$` and 53 characters of salt and hash.
fn check_bcrypt(text: &str) -> Result<(), String> {
    let mut parts = text.split('$');
    let shape = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(""), Some("2a" | "2b" | "2y"), Some(cost), Some(rest), None) = shape else {
        return Err("it is no bcrypt hash; one begins with `$2b$12$`".to_owned());
    };
    let good = rest.len() == 53
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/');
    match cost.parse::<u32>() {
        Ok(4..=BCRYPT_COST_MAX) if good => Ok(()),
        Ok(cost) if cost > BCRYPT_COST_MAX => {
            Err(format!("its cost of {cost} is over the bound of {BCRYPT_COST_MAX}"))
        }
        _ => Err("it is no bcrypt hash; one begins with `$2b$12$` and has 60 characters".to_owned()),
    }
}

/// `$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`.
fn check_argon2(text: &str) -> Result<(), String> {
    let problem =
        || "it is no argon2 hash; one looks like `$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`".to_owned();
    let parts: Vec<&str> = text.split('$').collect();
    let ["", "argon2id" | "argon2i" | "argon2d", "v=19" | "v=16", costs, salt, hash] = parts.as_slice()
    else {
        return Err(problem());
    };
    if text.len() > 512 || salt.is_empty() || hash.is_empty() {
        return Err(problem());
    }
    let mut seen = 0;
    for cost in costs.split(',') {
        let (name, value) = cost.split_once('=').ok_or_else(problem)?;
        let value: u64 = value.parse().map_err(|_| problem())?;
        let most = match name {
            "m" => ARGON2_KIB_MAX,
            "t" | "p" => ARGON2_PASSES_MAX,
            _ => return Err(problem()),
        };
        if value == 0 || value > most {
            return Err(format!("its cost {name}={value} is over the bound of {most}"));
        }
        seen += 1;
    }
    if seen == 3 { Ok(()) } else { Err(problem()) }
}
