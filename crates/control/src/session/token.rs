//! The token of a session: 256 random bits, known to the browser only. What is stored is its SHA-256.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tollgate_core::{key::Digest, secret::Secret};

/// Characters of a token as text: 32 bytes in base64url.
const TEXT_LEN: usize = 43;

/// The token of a session.
pub(crate) struct SessionToken(Secret<[u8; 32]>);

impl SessionToken {
    /// A token of random bytes.
    pub(crate) const fn new(random: Secret<[u8; 32]>) -> Self {
        Self(random)
    }

    /// Reads a token; `None` when the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(Secret::new(bytes.try_into().ok()?)))
    }

    /// The token as text, for the cookie.
    pub(crate) fn text(&self) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(self.0.expose()))
    }

    /// What is stored of it.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.0.expose())
    }
}

/// The token that requests of a session which change something must carry. It follows from the
/// session's own token, so that nothing is stored for it; nobody who cannot read the cookie knows it.
pub(crate) fn csrf_token(session: &SessionToken) -> String {
    URL_SAFE_NO_PAD.encode(csrf_bytes(session))
}

/// Whether a text is the token that requests of a session must carry; compared in constant time.
pub(crate) fn is_csrf_token(session: &SessionToken, text: &[u8]) -> bool {
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) => csrf_bytes(session).ct_eq(bytes.as_slice()).into(),
        Err(_) => false,
    }
}

fn csrf_bytes(session: &SessionToken) -> Vec<u8> {
    // HMAC takes keys of any length, so this does not fail; if it did, no token would fit.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(session.0.expose()) else { return Vec::new() };
    mac.update(b"tollgate csrf 1");
    mac.finalize().into_bytes().to_vec()
}
