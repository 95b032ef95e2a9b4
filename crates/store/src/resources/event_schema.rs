//! What following the references of a JSON Schema costs, before it is compiled: a record is checked while its
//! sender waits, and a schema of a hundred lines can ask for more steps than there is time (each part referring
//! twice to the next). Every way through the references is counted, and none may lead back.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Places of a schema that are gone through at most, each as often as references lead there.
const PLACES_MAX: u64 = 10_000;
/// Places that lie within one another at most, over references too.
const DEPTH_MAX: u32 = 128;
/// What stands there is data, or only there to be referred to.
const NOT_GONE_THROUGH: [&str; 6] = ["const", "enum", "default", "examples", "$defs", "definitions"];
/// Schemas by names that are not keywords.
const BY_NAME: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "dependencies"];

/// Refuses a schema whose references cannot be followed, lead back to where they are, or lead to too many places.
pub(super) fn check_refs(schema: &Value) -> Result<(), String> {
    let mut ways = Ways { root: schema, known: HashMap::new() };
    let places = ways.of(schema, 0)?;
    if places > PLACES_MAX {
        return Err(format!(
            "a record would be checked in {places} places of it, for its `$ref`s lead to the same ones again and \
             again; {PLACES_MAX} are the most"
        ));
    }
    Ok(())
}

struct Ways<'s> {
    root: &'s Value,
    /// Places under each part that was gone through; nothing while it is.
    known: HashMap<*const Value, Option<u64>>,
}

impl<'s> Ways<'s> {
    /// How many places there are from one on.
    fn of(&mut self, schema: &'s Value, depth: u32) -> Result<u64, String> {
        if depth > DEPTH_MAX {
            return Err(format!("its parts lie more than {DEPTH_MAX} deep within one another"));
        }
        let members = match schema {
            Value::Object(members) => members,
            Value::Array(schemas) => return self.all(schemas.iter(), depth),
            _ => return Ok(1),
        };
        match self.known.get(&std::ptr::from_ref(schema)) {
            Some(Some(places)) => return Ok(*places),
            Some(None) => return Err("a `$ref` leads back to where it is; write out how deep it goes".into()),
            None => {}
        }
        self.known.insert(schema, None);
        let places = self.of_members(members, depth)?.saturating_add(1);
        self.known.insert(schema, Some(places));
        Ok(places)
    }

    fn of_members(&mut self, members: &'s Map<String, Value>, depth: u32) -> Result<u64, String> {
        let mut places: u64 = 0;
        for (name, value) in members {
            let more = match (name.as_str(), value) {
                ("$ref", Value::String(target)) => {
                    let target = self.target(target)?;
                    self.of(target, depth + 1)?
                }
                ("$dynamicRef" | "$recursiveRef", _) => {
                    return Err(format!("`{name}` is not followed here; use `$ref`"));
                }
                ("$id" | "id", Value::String(_)) if depth > 0 => {
                    return Err(format!("`{name}` of a part changes where its `$ref`s lead; leave it away"));
                }
                (name, _) if NOT_GONE_THROUGH.contains(&name) => 0,
                (name, Value::Object(named)) if BY_NAME.contains(&name) => self.all(named.values(), depth)?,
                (_, Value::Object(_) | Value::Array(_)) => self.of(value, depth + 1)?,
                _ => 0,
            };
            places = places.saturating_add(more);
        }
        Ok(places)
    }

    fn all(&mut self, schemas: impl Iterator<Item = &'s Value>, depth: u32) -> Result<u64, String> {
        schemas
            .into_iter()
            .try_fold(0_u64, |places, schema| Ok(places.saturating_add(self.of(schema, depth + 1)?)))
    }

    /// Where a reference leads (RFC 6901 in a fragment).
    fn target(&self, target: &str) -> Result<&'s Value, String> {
        let pointer = target.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
        let found = pointer.and_then(|pointer| self.root.pointer(pointer));
        found.ok_or_else(|| {
            let shown: String = target.chars().take(100).collect();
            format!("`$ref` `{shown}` leads nowhere; refer to parts of this schema, as in `#/$defs/name`")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_that_lead_to_too_much_or_back_are_refused() {
        let mut defs = serde_json::Map::new();
        for number in 0..40 {
            let next = json!({"$ref": format!("#/$defs/a{}", number + 1)});
            defs.insert(format!("a{number}"), json!({"allOf": [next, next]}));
        }
        defs.insert("a40".into(), json!({"type": "object"}));
        let deep = json!({"$ref": "#/$defs/a0", "$defs": defs});
        let node = json!({"properties": {"next": {"$ref": "#"}}});
        let elsewhere = json!({"$ref": "https://json-schema.org/draft/2020-12/schema"});
        let anchor = json!({"$ref": "#a", "$defs": {"x": {"$anchor": "a"}}});
        let based = json!({"properties": {"a": {"$id": "http://x/", "$ref": "#/b", "b": {}}}, "b": {}});
        for (schema, words) in [
            (deep, "are the most"),
            (node, "leads back"),
            (elsewhere, "leads nowhere"),
            (anchor, "leads nowhere"),
            (json!({"items": {"$dynamicRef": "#x"}}), "not followed"),
            (based, "changes where"),
        ] {
            let error = check_refs(&schema).unwrap_err();
            assert!(error.contains(words), "{schema}: {error}");
        }
    }

    #[test]
    fn what_is_data_or_a_name_is_not_taken_for_a_reference() {
        let place = json!({"type": "object", "properties": {"line": {"type": "string"}}});
        let schema = json!({
            "$id": "https://example.com/order",
            "properties": {
                "$ref": {"type": "string"},
                "id": {"const": {"$ref": "nowhere"}},
                "from": {"$ref": "#/$defs/place"},
                "to": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
            },
            "enum": [{"$ref": "nowhere"}],
            "$defs": {"place": place, "unused": {"$ref": "nowhere"}},
        });
        check_refs(&schema).unwrap();
        check_refs(&json!(true)).unwrap();
    }
}
