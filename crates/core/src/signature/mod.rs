//! Signatures of requests that come in: whether the holder of a shared secret has written this body, lately.
//!
//! Four schemes, each as its provider documents it: Standard Webhooks 1.0 (`v1`, HMAC-SHA-256), GitHub
//! (`X-Hub-Signature-256`), Stripe (`Stripe-Signature`, `v1`), and the HMAC of a body in a header of one's own. Several
//! secrets are tried, for senders change theirs. What was found out is a [`SignatureFact`], which `admit` judges;
//! nothing is decided here. What is not here: headers of HTTP, reading bodies, remembering what was seen.
//!
//! Whatever is compared with a secret's work is compared in constant time.

pub mod spec;
#[cfg(test)]
mod tests;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use self::spec::{SignatureScheme, SignatureSpec, TextForm};
use crate::secret::Secret;

/// Signatures of one request that are compared; senders send one a secret.
const SIGNATURES_MAX: usize = 16;
/// The longest id of a message, in bytes.
const ID_LEN_MAX: usize = 256;
/// The least bytes of a secret of Standard Webhooks (its specification says 24 to 64; some senders have fewer).
const SECRET_LEN_MIN: usize = 16;

/// What is known of the signature of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureFact {
    /// Nobody has looked: the body is not here.
    #[default]
    Unknown,
    /// It is there and not too old; the body was not read yet.
    Unread,
    /// It is right.
    Valid,
    /// It is not there, or not whole.
    Missing,
    /// It fits no secret.
    Invalid,
    /// It was made too long ago, or in the future.
    Expired,
    /// It is right and was here before.
    Repeated,
}

/// A secret that requests are signed with, as bytes.
pub struct SigningSecret(Secret<Box<[u8]>>);

impl SigningSecret {
    /// Takes a secret as its provider shows it: of Standard Webhooks base64, with or without `whsec_` before it, of all
    /// others the text itself.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn parse(scheme: SignatureScheme, text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let bytes: Vec<u8> = if scheme == SignatureScheme::StandardWebhooks {
            let encoded = text.strip_prefix("whsec_").unwrap_or(text);
            let decoded = STANDARD.decode(encoded).map_err(|_| "it is not `whsec_` and base64 behind it")?;
            if decoded.len() < SECRET_LEN_MIN {
                return Err("it has fewer than 16 bytes");
            }
            decoded
        } else {
            text.as_bytes().to_vec()
        };
        if bytes.is_empty() {
            return Err("it is empty");
        }
        Ok(Self(Secret::new(bytes.into())))
    }

    fn mac(&self, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).ok()?;
        parts.iter().for_each(|part| mac.update(part));
        Some(mac.finalize().into_bytes().into())
    }
}

/// The headers that a scheme reads, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureFields<'a> {
    /// Where the signature stands.
    pub signature: &'a str,
    /// Where the moment stands, when not beside the signature.
    pub timestamp: Option<&'a str>,
    /// Where the id of the message stands.
    pub id: Option<&'a str>,
}

/// What a request says in these headers; `None` for a header that is not there, not there once, or no text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signed<'a> {
    /// The signature.
    pub signature: Option<&'a str>,
    /// The moment.
    pub timestamp: Option<&'a str>,
    /// The id of the message.
    pub id: Option<&'a str>,
}

/// A signature that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What it is told apart by: a message, signed at one moment, with one secret. Only for schemes that say the
    /// moment; without one, what is sent again cannot be told from what is repeated by others.
    pub nonce: Option<[u8; 32]>,
    /// From when on it is too old, wall microseconds.
    pub until_us: i64,
}

/// Signed parts of a request: moment, id and the signatures.
struct Parts<'a> {
    timestamp_s: Option<i64>,
    /// What is signed before the body.
    before: Vec<&'a [u8]>,
    signatures: Vec<&'a str>,
}

impl SignatureSpec {
    /// The headers that its scheme reads.
    #[must_use]
    pub fn fields(&self) -> SignatureFields<'_> {
        let of = |signature| SignatureFields { signature, timestamp: None, id: None };
        match self.scheme {
            SignatureScheme::StandardWebhooks => SignatureFields {
                signature: "webhook-signature",
                timestamp: Some("webhook-timestamp"),
                id: Some("webhook-id"),
            },
            SignatureScheme::Github => of("x-hub-signature-256"),
            SignatureScheme::Stripe => of("stripe-signature"),
            SignatureScheme::Hmac => of(self.header.as_deref().unwrap_or("x-signature")),
        }
    }

    /// What can be said before the body is read: whether there is a signature, and one of a time that counts.
    #[must_use]
    pub fn screen(&self, signed: &Signed<'_>, now_us: i64) -> SignatureFact {
        match self.parts(signed) {
            None => SignatureFact::Missing,
            Some(parts) if !self.is_timely(&parts, now_us) => SignatureFact::Expired,
            Some(_) => SignatureFact::Unread,
        }
    }

    /// Holds a request against secrets.
    ///
    /// # Errors
    /// What is wrong with it: [`SignatureFact::Missing`], [`SignatureFact::Expired`] or [`SignatureFact::Invalid`].
    pub fn verify(
        &self,
        secrets: &[SigningSecret],
        signed: &Signed<'_>,
        body: &[u8],
        now_us: i64,
    ) -> Result<Proof, SignatureFact> {
        let parts = self.parts(signed).ok_or(SignatureFact::Missing)?;
        if !self.is_timely(&parts, now_us) {
            return Err(SignatureFact::Expired);
        }
        let mut content = parts.before.clone();
        content.push(body);
        // Every secret is tried against every signature: how long it takes says nothing of which fits.
        let (mut found, mut nonce) = (Choice::from(0), [0; 32]);
        for mac in secrets.iter().filter_map(|secret| secret.mac(&content)) {
            let wanted = self.written(&mac);
            for given in &parts.signatures {
                let fits = self.in_one_case(given).as_bytes().ct_eq(wanted.as_bytes());
                if bool::from(fits) {
                    nonce = mac;
                }
                found |= fits;
            }
        }
        if !bool::from(found) {
            return Err(SignatureFact::Invalid);
        }
        let nonce = parts.timestamp_s.map(|_| nonce);
        let made_us = parts.timestamp_s.map_or(now_us, |seconds| seconds.saturating_mul(1_000_000));
        Ok(Proof { nonce, until_us: made_us.saturating_add(self.tolerance_us()) })
    }

    fn tolerance_us(&self) -> i64 {
        i64::try_from(self.tolerance.as_micros()).unwrap_or(i64::MAX)
    }

    fn is_timely(&self, parts: &Parts<'_>, now_us: i64) -> bool {
        parts.timestamp_s.is_none_or(|seconds| {
            let apart = now_us.saturating_sub(seconds.saturating_mul(1_000_000));
            apart.unsigned_abs() <= self.tolerance_us().unsigned_abs()
        })
    }

    /// Takes the headers apart; `None` when something of them is missing.
    fn parts<'a>(&self, signed: &Signed<'a>) -> Option<Parts<'a>> {
        let signature = signed.signature?.trim();
        let parts = match self.scheme {
            SignatureScheme::StandardWebhooks => {
                let id = signed.id.filter(|id| (1..=ID_LEN_MAX).contains(&id.len()))?;
                let timestamp = signed.timestamp?;
                Parts {
                    timestamp_s: Some(seconds(timestamp)?),
                    before: vec![id.as_bytes(), b".", timestamp.as_bytes(), b"."],
                    // Others than `v1` are of schemes with key pairs.
                    signatures: signature.split(' ').filter_map(|one| one.strip_prefix("v1,")).collect(),
                }
            }
            SignatureScheme::Github => Parts {
                timestamp_s: None,
                before: Vec::new(),
                signatures: signature.strip_prefix("sha256=").into_iter().collect(),
            },
            SignatureScheme::Stripe => {
                let pairs = || signature.split(',').filter_map(|pair| pair.trim().split_once('='));
                let mut moments = pairs().filter(|(name, _)| *name == "t");
                let timestamp = moments.next()?.1;
                if moments.next().is_some() {
                    return None;
                }
                Parts {
                    timestamp_s: Some(seconds(timestamp)?),
                    before: vec![timestamp.as_bytes(), b"."],
                    signatures: pairs().filter(|(name, _)| *name == "v1").map(|(_, value)| value).collect(),
                }
            }
            SignatureScheme::Hmac => {
                let prefix = self.prefix.as_deref().unwrap_or("");
                Parts {
                    timestamp_s: None,
                    before: Vec::new(),
                    signatures: signature.strip_prefix(prefix).into_iter().collect(),
                }
            }
        };
        (1..=SIGNATURES_MAX).contains(&parts.signatures.len()).then_some(parts)
    }

    fn is_base64(&self) -> bool {
        match self.scheme {
            SignatureScheme::StandardWebhooks => true,
            SignatureScheme::Github | SignatureScheme::Stripe => false,
            SignatureScheme::Hmac => self.encoding == TextForm::Base64,
        }
    }

    /// A MAC as its scheme writes it.
    fn written(&self, mac: &[u8; 32]) -> String {
        if self.is_base64() {
            return STANDARD.encode(mac);
        }
        mac.iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect()
    }

    /// Hexadecimal digits may be capitals.
    fn in_one_case(&self, given: &str) -> String {
        if self.is_base64() { given.to_owned() } else { given.to_ascii_lowercase() }
    }
}

/// Whole seconds since 1970, digits only: what was signed must have one reading.
fn seconds(text: &str) -> Option<i64> {
    let is_plain = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}
