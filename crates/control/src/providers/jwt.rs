//! ID tokens, strictly (RFC 7519, RFC 8725; OpenID Connect Core §3.1.3.7): the algorithm is one of the
//! provider's own and never what the token would like, and every claim that is asked for is there.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// The longest token.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// How far clocks may be apart.
const SKEW_S: i64 = 60;
/// The longest subject (OpenID Connect Core §2).
const SUBJECT_BYTES_MAX: usize = 255;

/// How tokens may be signed: with a public key, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A public key as a provider publishes it (RFC 7517).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Jwk {
    pub(crate) kid: Option<String>,
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// Whether tokens that it signed may be accepted at all.
    pub(crate) fn is_usable(&self) -> bool {
        let fits = matches!(
            (self.kty.as_str(), self.crv.as_deref()),
            ("RSA", _) | ("EC", Some("P-256")) | ("OKP", Some("Ed25519"))
        );
        let named = self.alg.as_deref().is_none_or(|alg| Algorithm::named(alg).is_some());
        fits && named && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
    }
}

/// What a token must say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    /// The nonce of the sign-in that asked for it; `None` for bearers.
    pub(crate) nonce: Option<&'a str>,
    pub(crate) now_us: i64,
}

/// A token taken apart, its signature not yet looked at.
pub(crate) struct Token<'t> {
    algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    signed: &'t [u8],
    signature: Vec<u8>,
    claims: Vec<u8>,
}

/// The claims of a token that holds.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    /// When the person proved who they are; 0 where it is not said.
    pub(crate) auth_time_s: i64,
    /// When the token was made.
    pub(crate) issued_s: i64,
    pub(crate) all: Value,
}

impl Claims {
    /// A claim that is a text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.all.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The e-mail address, where the provider says that it verified it (OpenID Connect Core §5.1); empty where
    /// it does not say so, for mail goes there.
    pub(crate) fn email(&self) -> &str {
        let is_verified = match self.all.get("email_verified") {
            Some(Value::Bool(verified)) => *verified,
            // Some providers write it as a text.
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        if is_verified { self.text("email") } else { "" }
    }

    /// What to call the person: only for show, so an address that nobody verified will do.
    pub(crate) fn name(&self) -> &str {
        let names = ["name", "preferred_username", "email"].map(|claim| self.text(claim));
        names.into_iter().find(|name| !name.trim().is_empty()).unwrap_or_default()
    }

    /// A claim that is a list of texts, or one text.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        match self.all.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => vec![text],
            _ => Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

impl<'t> Token<'t> {
    /// Takes a token apart; why it is none, for the log.
    pub(crate) fn parse(text: &'t str, algorithms: &[Algorithm]) -> Result<Self, &'static str> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err("it is too long");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or("it has no three parts")?;
        let (header, claims) = signed.split_once('.').ok_or("it has no three parts")?;
        if claims.contains('.') {
            return Err("it has no three parts");
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part is not base64url");
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| "its header is not JSON")?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err("its header asks for extensions");
        }
        if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err("it is of another type");
        }
        let algorithm = Algorithm::named(&header.alg).filter(|named| algorithms.contains(named));
        Ok(Self {
            algorithm: algorithm.ok_or("its algorithm is none of the provider's")?,
            kid: header.kid,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
            claims: decode(claims)?,
        })
    }

    /// Its claims, when the key signed it and it says what is expected.
    pub(crate) fn verify(&self, key: &Jwk, expected: &Expected<'_>) -> Result<Claims, &'static str> {
        if !self.is_signed_by(key) {
            return Err("its signature does not fit");
        }
        check(&self.claims, expected)
    }

    fn is_signed_by(&self, key: &Jwk) -> bool {
        let for_signing = key.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let same = key.alg.as_deref().is_none_or(|alg| Algorithm::named(alg) == Some(self.algorithm));
        if !for_signing || !same {
            return false;
        }
        let part = |part: &Option<String>| URL_SAFE_NO_PAD.decode(part.as_deref()?).ok();
        let curve = key.crv.as_deref();
        match (self.algorithm, key.kty.as_str(), curve) {
            (Algorithm::Rs256, "RSA", _) => {
                let (Some(n), Some(e)) = (part(&key.n), part(&key.e)) else { return false };
                let key = RsaPublicKeyComponents { n: n.as_slice(), e: e.as_slice() };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, self.signed, &self.signature).is_ok()
            }
            (Algorithm::Es256, "EC", Some("P-256")) => {
                let (Some(x), Some(y)) = (part(&key.x), part(&key.y)) else { return false };
                let point = [&[4][..], &x, &y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(self.signed, &self.signature)
                    .is_ok()
            }
            (Algorithm::EdDsa, "OKP", Some("Ed25519")) => {
                let Some(x) = part(&key.x) else { return false };
                UnparsedPublicKey::new(&ED25519, x).verify(self.signed, &self.signature).is_ok()
            }
            _ => false,
        }
    }
}

#[derive(Deserialize)]
struct Registered {
    iss: String,
    sub: String,
    aud: Value,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    auth_time: Option<i64>,
    nonce: Option<String>,
}

fn check(claims: &[u8], expected: &Expected<'_>) -> Result<Claims, &'static str> {
    let own: Registered =
        serde_json::from_slice(claims).map_err(|_| "a claim is missing or of another type")?;
    let all: Value = serde_json::from_slice(claims).map_err(|_| "its claims are not JSON")?;
    let now_s = expected.now_us.div_euclid(1_000_000);
    if own.iss != expected.issuer {
        return Err("it is of another issuer");
    }
    let for_us = match &own.aud {
        Value::String(audience) => audience == expected.audience,
        Value::Array(audiences) => {
            let named = audiences.iter().any(|audience| audience.as_str() == Some(expected.audience));
            named && (audiences.len() == 1 || own.azp.is_some())
        }
        _ => false,
    };
    if !for_us || own.azp.is_some_and(|party| party != expected.audience) {
        return Err("it is for somebody else");
    }
    if own.exp <= now_s.saturating_sub(SKEW_S) {
        return Err("it has expired");
    }
    let latest = now_s.saturating_add(SKEW_S);
    // A token says when it was made, which is no proof of a sign-in: it may come from a refresh.
    let auth_time = own.auth_time.unwrap_or(0);
    if own.iat > latest || auth_time > latest || own.nbf.is_some_and(|from| from > latest) {
        return Err("it is from the future");
    }
    if own.sub.is_empty() || own.sub.len() > SUBJECT_BYTES_MAX {
        return Err("its subject is empty or too long");
    }
    if expected.nonce.is_some_and(|nonce| own.nonce.as_deref() != Some(nonce)) {
        return Err("it answers another sign-in");
    }
    Ok(Claims { subject: own.sub, auth_time_s: auth_time, issued_s: own.iat, all })
}
