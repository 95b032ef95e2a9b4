//! Taking what is wrong out of a parsed resource, so that the rest can be read, and saying in
//! words what serde said.

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::located::nearest;

/// The span of what stands in for a wrong value, so that the rest can be read.
pub(super) const PLACEHOLDER: std::ops::Range<usize> = 0..0;

/// Something acceptable for a field that must be there.
pub(super) fn placeholder(path: &str, field: &str) -> Option<DeValue<'static>> {
    let text = match field {
        "amount" if path.starts_with("budget") => "1",
        "input" => "1",
        "currency" => "USD",
        "provider" => "openai",
        "model" => "x",
        "tenant" | "project" | "name" | "path" | "from" | "to" => "x",
        "kind" => "proxy",
        "window" => "1s",
        "period" => "day",
        "amount" => return DeValue::parse("1").ok().map(Spanned::into_inner),
        "origins" => return DeValue::parse("[]").ok().map(Spanned::into_inner),
        _ => return None,
    };
    Some(DeValue::String(text.into()))
}

/// The table with this span, and its path.
pub(super) fn holder_of<'t, 'i>(
    value: &'t mut Spanned<DeValue<'i>>,
    path: String,
    span: &std::ops::Range<usize>,
) -> Option<(&'t mut DeTable<'i>, String)> {
    let own = value.span();
    match value.get_mut() {
        DeValue::Table(table) => {
            if own == *span {
                return Some((table, path));
            }
            table
                .iter_mut()
                .find_map(|(key, value)| holder_of(value, format!("{path}.{}", key.get_ref()), span))
        }
        DeValue::Array(items) => items
            .iter_mut()
            .enumerate()
            .find_map(|(index, item)| holder_of(item, format!("{path}[{index}]"), span)),
        _ => None,
    }
}

/// Takes the key or value with this span out of a resource; gives its path. Items of a list are
/// replaced instead, so that the numbers of the others stay.
pub(super) fn take_out(
    value: &mut Spanned<DeValue<'_>>,
    path: &str,
    span: &std::ops::Range<usize>,
) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => {
            let mut inner = None;
            let mut own = None;
            for (key, value) in table.iter_mut() {
                let path = format!("{path}.{}", key.get_ref());
                if key.span() == *span {
                    own = Some((key.get_ref().clone(), path));
                    break;
                }
                // The deepest value with the span is the wrong one: dotted keys share theirs.
                inner = take_out(value, &path, span);
                if inner.is_some() {
                    break;
                }
                if value.span() == *span {
                    own = Some((key.get_ref().clone(), path));
                    break;
                }
            }
            let Some((key, path)) = own else { return inner };
            table.remove(&*key);
            Some(path)
        }
        DeValue::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let path = format!("{path}[{index}]");
                let inner = take_out(item, &path, span);
                if inner.is_some() {
                    return inner;
                }
                if item.span() == *span {
                    *item = Spanned::new(PLACEHOLDER, DeValue::String("x".into()));
                    return Some(path);
                }
            }
            None
        }
        _ => None,
    }
}

pub(super) fn between_ticks<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    message.strip_prefix(before)?.strip_prefix('`')?.split('`').next()
}

/// What serde says, as problem and remedy.
pub(super) fn in_words(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join("; ");
    let quoted =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    if let Some(field) = between_ticks(&message, "unknown field ") {
        let known = quoted(&message).split_off(1);
        let names = known.iter().map(String::as_str);
        return match nearest(field, names) {
            Some(near) => format!("there is no such field; did you mean `{near}`?"),
            None if known.is_empty() => "there is no such field here".to_owned(),
            None => format!("there is no such field here; fields are {}", known.join(", ")),
        };
    }
    if let Some(value) = between_ticks(&message, "unknown variant ") {
        let known = quoted(&message).split_off(1);
        return format!("`{value}` is not a value for it; use {}", known.join(" or "));
    }
    let invalid = ["invalid type: ", "invalid value: "].iter().find_map(|kind| message.strip_prefix(kind));
    match invalid.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, wanted)) => format!("it is {found}, and must be {}", wanted_in_words(wanted)),
        None => message,
    }
}

/// A Rust type as TOML's users call it.
fn wanted_in_words(wanted: &str) -> &str {
    match wanted {
        "a sequence" => "a list in brackets",
        "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more",
        "a string" => "a text in quotes",
        "a map" => "a table in braces",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") => "a table in braces",
        other => other,
    }
}
