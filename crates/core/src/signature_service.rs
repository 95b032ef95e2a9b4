//! Checking what services say of the signatures that they ask for.

use crate::{
    field_error::FieldError,
    llm_service::check_credential,
    resource::{ServiceKind, ServiceSpec},
    signature::spec::{SECRETS_MAX, SIGNED_BYTES_MAX, SignatureMode, SignatureScheme, TextForm},
    time::Span,
};

/// The least and the most that clocks may differ.
const TOLERANCE: std::ops::RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(3600);

/// Checks what a service says of signatures.
pub(crate) fn check_signature(service: &ServiceSpec, errors: &mut Vec<FieldError>) {
    let Some(spec) = &service.signature else { return };
    let mut wrong =
        |field: &str, problem: &str| errors.push(FieldError::new(format!("signature{field}"), problem));
    if service.kind != ServiceKind::Proxy {
        return wrong("", "only services with `kind = \"proxy\"` have it; leave it away, or change the kind");
    }
    if service.public {
        wrong(
            "",
            "a public service asks nobody; leave `public` away, and say `mode = \"instead\"` to ask for no key",
        );
    }
    if service.websocket {
        wrong("", "a WebSocket has no body to be signed; leave `websocket` away");
    }
    if service.body_bytes_max.is_some_and(|bytes| bytes > SIGNED_BYTES_MAX) {
        errors.push(FieldError::new(
            "body_bytes_max",
            "a signed body is held in memory until its signature is known to be right; at most 67108864 bytes are allowed",
        ));
    }
    let mut wrong =
        |field: &str, problem: &str| errors.push(FieldError::new(format!("signature{field}"), problem));
    if spec.scheme != SignatureScheme::Hmac {
        for (field, _) in [
            (".header", spec.header.is_some()),
            (".prefix", spec.prefix.is_some()),
            (".encoding", spec.encoding != TextForm::Hex),
        ]
        .into_iter()
        .filter(|(_, is_said)| *is_said)
        {
            wrong(field, "only `scheme = \"hmac\"` has it; the others say it themselves");
        }
    }
    let is_token = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if spec.header.as_deref().is_some_and(|name| !is_token(name)) {
        wrong(".header", "it is not the name of a header in small letters, such as `x-shopify-hmac-sha256`");
    }
    if !TOLERANCE.contains(&spec.tolerance) {
        wrong(".tolerance", "it is outside 1s to 1h");
    }
    if spec.also.len() >= SECRETS_MAX {
        wrong(".also", "at most 3 further secrets are allowed; leave those away that are not used any more");
    }
    match (spec.mode, &spec.key) {
        (SignatureMode::Instead, None) => {
            wrong(
                ".key",
                "it is missing; say where the key is that signed requests count as, such as `{ secret = \"…\" }`",
            );
        }
        (SignatureMode::Beside, Some(_)) => {
            wrong(".key", "requests bring a key of their own; leave it away, or say `mode = \"instead\"`");
        }
        (SignatureMode::Instead, Some(_)) | (SignatureMode::Beside, None) => {}
    }
    check_credential(&spec.secret, "signature.secret", errors);
    for (index, secret) in spec.also.iter().enumerate() {
        check_credential(secret, &format!("signature.also[{index}]"), errors);
    }
    if let Some(key) = &spec.key {
        check_credential(key, "signature.key", errors);
    }
}
