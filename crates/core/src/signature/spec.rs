//! What a service says of the signatures that it asks for, as people write it. What may be written is in
//! [`crate::signature_service`].

use serde::{Deserialize, Serialize};

use crate::{llm_spec::CredentialSpec, time::Span};

/// Secrets of one service at most: the present one, and those that come or go.
pub const SECRETS_MAX: usize = 4;
/// Bytes of a signed body where the service says nothing.
pub const SIGNED_BYTES_DEFAULT: u64 = 1 << 20;
/// Bytes of a signed body at most: it is held in memory until its signature is known to be right.
pub const SIGNED_BYTES_MAX: u64 = 64 << 20;

/// `signature = { … }` of a service of kind `proxy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureSpec {
    /// How requests are signed.
    pub scheme: SignatureScheme,
    /// Where the secret is.
    pub secret: CredentialSpec,
    /// Further secrets that are right too, while a sender changes its own; 3 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<CredentialSpec>,
    /// Scheme `hmac`: the header of the signature; `X-Signature` when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Scheme `hmac`: what stands before the signature, such as `sha256=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Scheme `hmac`: how the signature is written.
    #[serde(default, skip_serializing_if = "TextForm::is_hex")]
    pub encoding: TextForm,
    /// How far the moment of the signature may be from now, in both directions: 1 s to 1 h.
    #[serde(default = "five_minutes")]
    pub tolerance: Span,
    /// Whether a key is asked for as well.
    #[serde(default)]
    pub mode: SignatureMode,
    /// Mode `instead`: where the key is that signed requests count as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<CredentialSpec>,
}

const fn five_minutes() -> Span {
    Span::from_secs(300)
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureScheme {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature` (<https://www.standardwebhooks.com>).
    StandardWebhooks,
    /// `X-Hub-Signature-256` (<https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>).
    Github,
    /// `Stripe-Signature` (<https://docs.stripe.com/webhooks#verify-manually>).
    Stripe,
    /// HMAC-SHA-256 of the body in a header.
    Hmac,
}

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextForm {
    /// Two digits a byte.
    #[default]
    Hex,
    /// RFC 4648 §4.
    Base64,
}

impl TextForm {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_hex(&self) -> bool {
        *self == Self::Hex
    }
}

/// Whether a key is asked for as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureMode {
    /// The request needs a key and a signature.
    #[default]
    Beside,
    /// The signature is enough: the request counts as one with the key that the service names.
    Instead,
}

impl SignatureSpec {
    /// Every credential that it names.
    pub fn credentials_named(&self) -> impl Iterator<Item = &CredentialSpec> {
        std::iter::once(&self.secret).chain(&self.also).chain(&self.key)
    }

    /// The secrets that it names.
    pub fn secrets_named(&self) -> impl Iterator<Item = &CredentialSpec> {
        std::iter::once(&self.secret).chain(&self.also)
    }
}
