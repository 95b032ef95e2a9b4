//! What the audit keeps of a change of a resource: everything but the values of headers that a service adds
//! on the way up. Those are often credentials of the upstream, the audit is for ever, and more people read it
//! than may change services. That a value became another one is kept.

use serde_json::Value;

/// What stands in place of a value.
const HIDDEN: &str = "(hidden)";
/// What stands in place of one that is another than before.
const CHANGED: &str = "(hidden, changed)";

/// A resource before and after a change, as the audit keeps it.
pub(super) fn audited(before: Option<&str>, after: Option<&str>) -> (Option<String>, Option<String>) {
    let old = before.and_then(read);
    let shown_before = before.map(|text| shown(text, None));
    let shown_after = after.map(|text| shown(text, old.as_ref()));
    (shown_before, shown_after)
}

fn read(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn shown(text: &str, before: Option<&Value>) -> String {
    let Some(mut value) = read(text) else { return text.to_owned() };
    let Some(added) = value.pointer_mut("/request_headers/add").and_then(Value::as_object_mut) else {
        return text.to_owned();
    };
    for (name, value) in added.iter_mut() {
        let old = before.and_then(|old| old.pointer("/request_headers/add")).and_then(|old| old.get(name));
        let word = if old.is_some_and(|old| old != value) { CHANGED } else { HIDDEN };
        *value = Value::String(word.to_owned());
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::audited;

    #[test]
    fn values_of_added_headers_are_not_kept_and_that_they_changed_is() {
        let spec =
            |value: &str| format!(r#"{{"name":"a","request_headers":{{"add":{{"X-Key":"{value}"}}}}}}"#);
        let kept = |before: Option<&str>, after: &str| {
            let (before, after) = audited(before.map(spec).as_deref(), Some(&spec(after)));
            let all = format!("{} {}", before.clone().unwrap_or_default(), after.clone().unwrap_or_default());
            assert!(!all.contains("s3cret"), "{all}");
            (before, after.unwrap())
        };
        assert_eq!(kept(None, "s3cret1"), (None, spec("(hidden)")));
        assert_eq!(kept(Some("s3cret1"), "s3cret1"), (Some(spec("(hidden)")), spec("(hidden)")));
        assert_eq!(kept(Some("s3cret1"), "s3cret2"), (Some(spec("(hidden)")), spec("(hidden, changed)")));
        let plain = r#"{"name":"a","request_headers":{"remove":["x"]}}"#;
        assert_eq!(audited(Some(plain), None), (Some(plain.to_owned()), None));
    }
}
