//! Signed assertions for upstreams: a short-lived JWT (RFC 7519) that says who calls, and the key
//! set (RFC 7517) to verify it with.
//!
//! An upstream that other machines can reach need not trust its network: it verifies
//! `X-Tollgate-Assertion` against `/.well-known/tollgate/jwks.json`. A signature costs tens of
//! microseconds, so a token is used again for a few seconds for the same key and service.

use std::{cell::RefCell, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tollgate_core::{
    id::{KeyId, ServiceId},
    secret::Secret,
    service::Service,
    time::Now,
};

use crate::{caller::Identity, http::field::FieldValue};

/// How long a token is valid, in seconds.
const LIFETIME_S: i64 = 60;
/// How long a token is used again, in nanoseconds.
const REUSE_NS: u64 = 5_000_000_000;
/// Tokens remembered per lane.
const TOKENS_MAX: usize = 1024;

/// The keys that sign and verify.
#[derive(Clone, Debug)]
pub struct AssertionKeys {
    /// The first signs; all of them are published.
    keys: Arc<[AssertionKey]>,
    issuer: Arc<str>,
}

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionKeyInvalid {
    /// Not one.
    #[error("is not a private key in PKCS#8 (DER) for Ed25519 or ECDSA P-256")]
    Pkcs8,
    /// None.
    #[error("name at least one key")]
    Empty,
    /// The operating system has no random bytes.
    #[error("could not be made: no random bytes")]
    Random,
}

impl AssertionKeys {
    /// Reads private keys in PKCS#8 (DER). The first signs; put a new key second first, and first
    /// once every upstream has fetched the set. `issuer` is the `iss` of the tokens.
    ///
    /// # Errors
    /// [`AssertionKeyInvalid`].
    pub fn new(keys: &[Secret<Vec<u8>>], issuer: &str) -> Result<Self, AssertionKeyInvalid> {
        let keys: Vec<AssertionKey> =
            keys.iter().map(|key| AssertionKey::read(key.expose())).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(AssertionKeyInvalid::Empty);
        }
        Ok(Self { keys: keys.into(), issuer: issuer.into() })
    }

    /// Makes a private key for Ed25519, in PKCS#8 (DER).
    ///
    /// # Errors
    /// [`AssertionKeyInvalid::Random`].
    pub fn generate() -> Result<Secret<Vec<u8>>, AssertionKeyInvalid> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        document.map(|der| Secret::new(der.as_ref().to_vec())).map_err(|_| AssertionKeyInvalid::Random)
    }

    /// The public keys as a JSON Web Key Set.
    pub(crate) fn jwks(&self) -> Vec<u8> {
        let keys: Vec<_> = self.keys.iter().map(|key| &key.jwk).collect();
        // Texts in memory: writing them cannot fail.
        serde_json::to_vec(&serde_json::json!({ "keys": keys })).unwrap_or_default()
    }
}

/// One key pair.
struct AssertionKey {
    pair: Pair,
    jwk: Jwk,
    /// The encoded header of its tokens, with the dot.
    header: String,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A public key (RFC 7517, RFC 7518 §6.2, RFC 8037 §2).
#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
    kid: String,
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({} {})", self.jwk.alg, self.jwk.kid)
    }
}

impl AssertionKey {
    fn read(der: &[u8]) -> Result<Self, AssertionKeyInvalid> {
        let (pair, jwk) = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let jwk = Jwk::ed25519(pair.public_key().as_ref());
            (Pair::Ed25519(pair), jwk)
        } else {
            let random = SystemRandom::new();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
                .map_err(|_| AssertionKeyInvalid::Pkcs8)?;
            let jwk = Jwk::p256(pair.public_key().as_ref()).ok_or(AssertionKeyInvalid::Pkcs8)?;
            (Pair::P256(pair), jwk)
        };
        let header = format!(r#"{{"alg":"{}","kid":"{}","typ":"JWT"}}"#, jwk.alg, jwk.kid);
        let header = URL_SAFE_NO_PAD.encode(header) + ".";
        Ok(Self { pair, jwk, header })
    }

    fn sign(&self, claims: &Claims<'_>) -> Option<String> {
        let mut token = self.header.clone();
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).ok()?, &mut token);
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(token.as_bytes()).as_ref().to_vec(),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), token.as_bytes()).ok()?.as_ref().to_vec(),
        };
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }
}

impl Jwk {
    fn ed25519(public: &[u8]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(public);
        let kid = thumbprint(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Self { kty: "OKP", crv: "Ed25519", x, y: None, purpose: "sig", alg: "EdDSA", kid }
    }

    /// From an uncompressed point: 4, x, y.
    fn p256(public: &[u8]) -> Option<Self> {
        let point = public.strip_prefix(&[4]).filter(|point| point.len() == 64)?;
        let (x, y) = point.split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let kid = thumbprint(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        Some(Self { kty: "EC", crv: "P-256", x, y: Some(y), purpose: "sig", alg: "ES256", kid })
    }
}

/// RFC 7638: the hash of the required members in their order.
fn thumbprint(canonical: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

/// What a token says; the same values as the identity headers.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    iat: i64,
    exp: i64,
    tenant: &'a str,
    project: &'a str,
    consumer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_external_id: Option<&'a str>,
    environment: &'static str,
    scope: &'a str,
}

/// Whom a token is for.
#[derive(Clone, Copy)]
pub(crate) struct Audience<'a> {
    pub(crate) service: &'a Service,
    /// The name of its tenant.
    pub(crate) tenant: &'a FieldValue,
    /// The name of its project.
    pub(crate) project: &'a FieldValue,
}

/// The tokens of one lane.
pub(crate) struct Assertions {
    keys: Option<AssertionKeys>,
    /// At most [`TOKENS_MAX`] slots, each for the tokens whose key and service fall on it.
    slots: RefCell<Vec<Option<Slot>>>,
}

struct Slot {
    key: KeyId,
    key_version: u32,
    service: ServiceId,
    service_version: u64,
    made_ns: u64,
    token: FieldValue,
}

impl Assertions {
    pub(crate) fn new(keys: Option<AssertionKeys>) -> Self {
        let slots = if keys.is_some() { TOKENS_MAX } else { 0 };
        Self { keys, slots: RefCell::new((0..slots).map(|_| None).collect()) }
    }

    /// The public keys as a JSON Web Key Set; an empty one without keys.
    pub(crate) fn jwks(&self) -> Vec<u8> {
        self.keys.as_ref().map_or_else(|| br#"{"keys":[]}"#.to_vec(), AssertionKeys::jwks)
    }

    /// A token for a caller at a service; `None` without a key to sign with. `consumer` is asked for name
    /// and external id when a token has to be made.
    pub(crate) fn token(
        &self,
        audience: Audience<'_>,
        caller: &Identity,
        now: Now,
        consumer: impl FnOnce() -> (FieldValue, Option<FieldValue>),
    ) -> Option<FieldValue> {
        let keys = self.keys.as_ref()?;
        let service = audience.service;
        let (key, id) = (caller.record.id, service.id);
        let place = (key.0 ^ id.0.rotate_left(32)) as usize % TOKENS_MAX;
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(place)?;
        let still_good = slot.as_ref().filter(|slot| {
            slot.key == key
                && slot.service == id
                && slot.key_version == caller.record.version
                && slot.service_version == service.version
                && now.mono_ns.saturating_sub(slot.made_ns) < REUSE_NS
        });
        if let Some(slot) = still_good {
            return Some(slot.token.clone());
        }
        let token = FieldValue::parse(keys.token(audience, caller, now, consumer())?).ok()?;
        *slot = Some(Slot {
            key,
            key_version: caller.record.version,
            service: id,
            service_version: service.version,
            made_ns: now.mono_ns,
            token: token.clone(),
        });
        Some(token)
    }
}

impl AssertionKeys {
    fn token(
        &self,
        audience: Audience<'_>,
        caller: &Identity,
        now: Now,
        (consumer, external_id): (FieldValue, Option<FieldValue>),
    ) -> Option<String> {
        let iat = now.wall_us.div_euclid(1_000_000);
        let claims = Claims {
            iss: &self.issuer,
            sub: caller.record.id.to_string(),
            aud: audience.service.name(),
            iat,
            exp: iat.saturating_add(LIFETIME_S),
            tenant: text(audience.tenant),
            project: text(audience.project),
            consumer: text(&consumer),
            consumer_external_id: external_id.as_ref().map(text),
            environment: caller.record.environment.name(),
            scope: text(&caller.granted.scopes),
        };
        self.keys.first()?.sign(&claims)
    }
}

fn text(value: &FieldValue) -> &str {
    std::str::from_utf8(value.as_bytes()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    fn claims() -> Claims<'static> {
        Claims {
            iss: "tollgate",
            sub: "key_00000000001".to_owned(),
            aud: "tiles",
            iat: 1,
            exp: 61,
            tenant: "acme",
            project: "maps",
            consumer: "team",
            consumer_external_id: None,
            environment: "live",
            scope: "read",
        }
    }

    #[test]
    fn a_token_verifies_with_the_published_key_of_either_kind() {
        let ed25519 = AssertionKeys::generate().unwrap();
        let p256 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        for der in [ed25519, Secret::new(p256.as_ref().to_vec())] {
            let keys = AssertionKeys::new(&[der], "tollgate").unwrap();
            let token = keys.keys[0].sign(&claims()).unwrap();
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let set: serde_json::Value = serde_json::from_slice(&keys.jwks()).unwrap();
            let jwk = &set["keys"][0];
            let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
            let verified = if jwk["alg"] == "EdDSA" {
                UnparsedPublicKey::new(&ED25519, part("x")).verify(signed.as_bytes(), &signature)
            } else {
                let point = [vec![4], part("x"), part("y")].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature)
            };
            assert!(verified.is_ok(), "{jwk}");
            let header: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap())
                    .unwrap();
            assert_eq!(header["kid"], jwk["kid"]);
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(
            AssertionKeys::new(&[Secret::new(b"nonsense".to_vec())], "t").unwrap_err(),
            AssertionKeyInvalid::Pkcs8
        );
        assert_eq!(AssertionKeys::new(&[], "t").unwrap_err(), AssertionKeyInvalid::Empty);
    }
}
