//! What upstreams are told about who calls: the values of the `X-Tollgate-*` fields.

use std::fmt::Write as _;

use tollgate_core::{key::Environment, policy::Policy};

use crate::{http::field::FieldValue, names};

/// A text as a field value: visible ASCII as it is; anything else, and `%`, as percent-encoded
/// UTF-8, so that no text can end a field or pass for another.
pub(crate) fn value_of(text: &str) -> FieldValue {
    let is_safe = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if text.bytes().all(is_safe) {
        return parse(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_safe(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    parse(&encoded)
}

fn parse(text: &str) -> FieldValue {
    FieldValue::parse(text).unwrap_or_else(|_| FieldValue::of(""))
}

/// The granted scopes, separated by spaces; `*` where all are.
pub(crate) fn scopes_value(policy: Option<&Policy>) -> FieldValue {
    match policy.map(|policy| policy.scopes.as_deref()) {
        Some(None) => names::STAR.clone(),
        Some(Some(scopes)) => parse(&scopes.join(" ")),
        None => FieldValue::of(""),
    }
}

/// The environment of a key.
pub(crate) fn environment_value(environment: Environment) -> FieldValue {
    match environment {
        Environment::Live => names::LIVE.clone(),
        Environment::Test => names::TEST.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_break_out_of_its_field() {
        for (text, value) in [
            ("p-17", "p-17"),
            ("100%", "100%25"),
            ("a b", "a%20b"),
            ("a\r\nX-Admin: 1", "a%0D%0AX-Admin:%201"),
            ("Zoë", "Zo%C3%AB"),
            ("", ""),
        ] {
            assert_eq!(value_of(text).as_bytes(), value.as_bytes(), "{text:?}");
        }
    }
}
