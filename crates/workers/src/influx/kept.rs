//! Reading a point as it is kept: JSON that the gateway wrote. Numbers are read from their text, for the reader of JSON
//! may round the last digit.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_core::metric::{FieldValue, Point};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept<'a> {
    measurement: String,
    tags: BTreeMap<String, String>,
    #[serde(borrow)]
    fields: BTreeMap<String, &'a RawValue>,
    timestamp: i64,
}

/// Reads a point.
///
/// # Errors
/// Why it is none.
pub(super) fn point(json: &[u8]) -> Result<Point, String> {
    let kept: Kept<'_> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let Kept { measurement, tags, fields, timestamp } = kept;
    let fields = fields.into_iter().map(|(name, raw)| Ok((name, value(raw.get())?)));
    let fields = fields.collect::<Result<BTreeMap<_, _>, String>>()?;
    if fields.is_empty() {
        return Err("it has no field".to_owned());
    }
    Ok(Point { measurement, tags, fields, timestamp })
}

fn value(text: &str) -> Result<FieldValue, String> {
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map(FieldValue::Text).map_err(|error| error.to_string()),
        Some(b't') => Ok(FieldValue::Boolean(true)),
        Some(b'f') => Ok(FieldValue::Boolean(false)),
        _ => FieldValue::of_number(text).map_err(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_reads_back_as_what_was_kept() {
        let fields = [
            ("integer", FieldValue::Integer(i64::MIN)),
            ("whole", FieldValue::Float(5.0)),
            ("small", FieldValue::Float(-1.402664080033111e-278)),
            ("large", FieldValue::Float(f64::MAX)),
            ("yes", FieldValue::Boolean(true)),
            ("text", FieldValue::Text("\"\\ \n ü \u{1}".to_owned())),
        ];
        let point = Point {
            measurement: "a \"b\"".to_owned(),
            tags: BTreeMap::from([("host".to_owned(), "web-1".to_owned())]),
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            timestamp: i64::MAX - 1,
        };
        let kept = serde_json::to_vec(&point).unwrap();
        assert_eq!(super::point(&kept), Ok(point));
        for wrong in ["{}", "[]", "{\"measurement\":\"m\",\"tags\":{},\"fields\":{},\"timestamp\":1}", "x"] {
            assert!(super::point(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
