//! What upstreams are told about who calls: the values of the `X-Tollgate-*` fields.

use std::{cell::RefCell, io::Write as _};

use tollgate_core::{key::Environment, keyring::KeyRecord, policy::Policy, tables::Consumer};
use tollgate_wire::rate::LastPolicy;

use crate::{
    http::{field::FieldValue, lines::Lines},
    names,
};

/// A text as a field value: visible ASCII as it is; anything else, and `%`, as percent-encoded
/// UTF-8, so that no text can end a field or pass for another.
pub(crate) fn value_of(text: &str) -> FieldValue {
    let mut value = Vec::with_capacity(text.len());
    push_value(&mut value, text);
    FieldValue::from_bytes(value.into()).unwrap_or_else(|_| FieldValue::of(""))
}

/// As [`value_of`], behind what is there.
pub(crate) fn push_value(out: &mut Vec<u8>, text: &str) {
    let is_safe = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if text.bytes().all(is_safe) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        if is_safe(byte) {
            out.push(byte);
        } else {
            // Writing into memory cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The name of a key's consumer; its id when it is not known.
pub(crate) fn push_consumer(out: &mut Vec<u8>, record: &KeyRecord, consumer: Option<&Consumer>) {
    match consumer {
        Some(consumer) => push_value(out, &consumer.name),
        None => push_value(out, &record.consumer.to_string()),
    }
}

fn parse(text: &str) -> FieldValue {
    FieldValue::parse(text).unwrap_or_else(|_| FieldValue::of(""))
}

/// What all keys of a policy are told alike.
pub(crate) struct Granted {
    /// The granted scopes, separated by spaces; `*` where all are.
    pub(crate) scopes: FieldValue,
    live: Lines,
    test: Lines,
    /// What was said last of its limits.
    pub(crate) limits: RefCell<LastPolicy>,
}

impl Granted {
    /// Makes it ready; `None` is no policy, which grants nothing.
    pub(crate) fn of(policy: Option<&Policy>) -> Self {
        let scopes = scopes_value(policy);
        let lines = |environment| {
            let mut lines = Lines::default();
            lines.add(&names::X_TOLLGATE_ENVIRONMENT, &environment_value(environment));
            lines.add(&names::X_TOLLGATE_SCOPES, &scopes);
            lines
        };
        let limits = RefCell::default();
        Self { live: lines(Environment::Live), test: lines(Environment::Test), scopes, limits }
    }

    /// The fields of environment and scopes.
    pub(crate) fn lines(&self, environment: Environment) -> &Lines {
        match environment {
            Environment::Live => &self.live,
            Environment::Test => &self.test,
        }
    }
}

fn scopes_value(policy: Option<&Policy>) -> FieldValue {
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
