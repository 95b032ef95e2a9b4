//! Points and their lines: whatever is taken reads back as what it was; services of kind `metrics` as written.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tollgate_core::{
    metric::{FieldValue, Point, check_measurement, check_name, check_tag, check_timestamp},
    resource::ServiceSpec,
    service_spec::check_service,
};

fn line(point: &Point) -> String {
    let mut out = String::new();
    point.push_line(&mut out);
    out
}

fn point(fields: &[(&str, FieldValue)]) -> Point {
    Point {
        measurement: "metrics".into(),
        tags: BTreeMap::from([("host".to_owned(), "web-1".to_owned())]),
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        timestamp: 1_699_786_600_000_000_000,
    }
}

#[test]
fn the_line_of_the_contract_is_written() {
    let one = point(&[("os_updates", FieldValue::Float(5.0))]);
    assert_eq!(line(&one), "metrics,host=web-1 os_updates=5 1699786600000000000");
}

#[test]
fn values_are_written_by_their_types() {
    for (value, written) in [
        (FieldValue::Integer(-5), "-5i"),
        (FieldValue::Float(-0.5), "-0.5"),
        (FieldValue::Float(0.0), "0"),
        (FieldValue::Float(1e300), "1e300"),
        (FieldValue::Float(-2.5e-9), "-2.5e-9"),
        (FieldValue::Boolean(true), "true"),
        (FieldValue::Text("a \"b\" \\ c\nd".into()), "\"a \\\"b\\\" \\\\ c\nd\""),
    ] {
        let line = line(&point(&[("f", value)]));
        assert_eq!(line, format!("metrics,host=web-1 f={written} 1699786600000000000"));
    }
}

#[test]
fn names_that_no_line_can_carry_are_refused() {
    for bad in ["", "a\nb", "a\\", "a\\,b", "a\\ b", "a\\\\b", "\u{1}"] {
        assert!(
            check_name(bad).is_err() && check_tag(bad).is_err() && check_measurement(bad).is_err(),
            "{bad:?}"
        );
    }
    assert!(check_name("time").is_err() && check_tag("time").is_ok());
    assert!(check_name("_field").is_err() && check_measurement("#m").is_err());
    for good in ["a b", "a,b", "a=b", "C:\\temp", "größe", "\"q\"", "#"] {
        assert!(check_name(good).is_ok() && check_tag(good).is_ok(), "{good:?}");
    }
}

#[test]
fn a_timestamp_in_the_wrong_unit_is_noticed() {
    let seconds = 1_699_786_600;
    for bad in [0, -1, seconds, seconds * 1_000, seconds * 1_000_000, i64::MAX] {
        assert!(check_timestamp(bad).is_err(), "{bad}");
    }
    assert!(check_timestamp(seconds * 1_000_000_000).is_ok());
}

#[test]
fn a_metrics_service_has_a_path_of_its_own_and_no_upstream() {
    let written = |text: &str| {
        let text = format!("project = \"p\"\nname = \"m\"\nkind = \"metrics\"\n{text}");
        toml::from_str::<ServiceSpec>(&text).unwrap().completed()
    };
    let spec = written("");
    assert_eq!(spec.matches.path_prefix.as_deref(), Some("/api/submit"));
    assert_eq!(spec.matches.methods, Some(vec!["POST".to_owned()]));
    assert!(check_service(&spec).is_empty());
    let fields =
        |text| check_service(&written(text)).into_iter().map(|error| error.field).collect::<Vec<_>>();
    assert_eq!(fields("upstreams = [\"http://127.0.0.1:1\"]\npublic = true"), ["upstreams", "public"]);
    assert_eq!(
        fields("metrics = { measurement = \"#\", points_max = 0 }"),
        ["metrics.measurement", "metrics.points_max"]
    );
    assert_eq!(fields("ingest = {}"), ["ingest"]);
}

#[test]
fn numbers_of_json_keep_every_digit() {
    for (text, value) in [
        ("5", FieldValue::Integer(5)),
        ("-9223372036854775808", FieldValue::Integer(i64::MIN)),
        ("5.0", FieldValue::Float(5.0)),
        ("-1.402664080033111e-278", FieldValue::Float(-1.402664080033111e-278)),
        ("1E5", FieldValue::Float(1e5)),
    ] {
        assert_eq!(FieldValue::of_number(text), Ok(value), "{text}");
    }
    for text in ["9223372036854775808", "1e999", "-1e999"] {
        assert!(FieldValue::of_number(text).is_err(), "{text}");
    }
}

/// Reads a line as the InfluxDB line protocol reference says, written apart from what writes it.
mod reader {
    use std::collections::BTreeMap;

    use tollgate_core::metric::{FieldValue, Point};

    struct Cursor<'l>(std::iter::Peekable<std::str::Chars<'l>>);

    impl Cursor<'_> {
        /// A text up to one of these, with backslashes taken off before what they protect.
        fn word(&mut self, ends: &[char]) -> String {
            let mut word = String::new();
            while let Some(&sign) = self.0.peek() {
                if ends.contains(&sign) {
                    break;
                }
                self.0.next();
                match self.0.peek() {
                    Some(&next) if sign == '\\' && [',', '=', ' '].contains(&next) => {
                        word.push(next);
                        self.0.next();
                    }
                    _ => word.push(sign),
                }
            }
            word
        }

        fn quoted(&mut self) -> String {
            let mut text = String::new();
            loop {
                match self.0.next().unwrap() {
                    '"' => return text,
                    '\\' if self.0.peek().is_some_and(|next| ['"', '\\'].contains(next)) => {
                        text.push(self.0.next().unwrap());
                    }
                    sign => text.push(sign),
                }
            }
        }

        fn value(&mut self) -> FieldValue {
            if self.0.next_if_eq(&'"').is_some() {
                return FieldValue::Text(self.quoted());
            }
            let word = self.word(&[',', ' ']);
            match (word.as_str(), word.strip_suffix('i')) {
                ("true", _) => FieldValue::Boolean(true),
                ("false", _) => FieldValue::Boolean(false),
                (_, Some(digits)) => FieldValue::Integer(digits.parse().unwrap()),
                (number, None) => FieldValue::Float(number.parse().unwrap()),
            }
        }
    }

    pub(super) fn read(line: &str) -> Point {
        let mut cursor = Cursor(line.chars().peekable());
        let measurement = cursor.word(&[',', ' ']);
        let (mut tags, mut fields) = (BTreeMap::new(), BTreeMap::new());
        while cursor.0.next() == Some(',') {
            let name = cursor.word(&['=']);
            cursor.0.next();
            tags.insert(name, cursor.word(&[',', ' ']));
        }
        loop {
            let name = cursor.word(&['=']);
            cursor.0.next();
            let value = cursor.value();
            fields.insert(name, value);
            if cursor.0.next() == Some(' ') {
                break;
            }
        }
        let timestamp = cursor.0.collect::<String>().parse().unwrap();
        Point { measurement, tags, fields, timestamp }
    }
}

fn text(check: fn(&str) -> Result<(), &'static str>) -> impl Strategy<Value = String> {
    let signs =
        prop::sample::select(vec!['a', 'Z', '0', ',', '=', ' ', '"', '\\', '#', '_', 'ü', '/', '\'', 'i']);
    let text = prop::collection::vec(signs, 1..8).prop_map(|signs| signs.into_iter().collect::<String>());
    text.prop_filter("it is refused at the door", move |text| check(text).is_ok())
}

fn value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<i64>().prop_map(FieldValue::Integer),
        any::<f64>().prop_filter("no number", |number| number.is_finite()).prop_map(FieldValue::Float),
        any::<bool>().prop_map(FieldValue::Boolean),
        "[a\"\\\\ ,=\n]{0,8}".prop_map(FieldValue::Text),
    ]
}

proptest! {
    #[test]
    fn whatever_is_taken_reads_back_as_what_it_was(
        measurement in text(check_measurement),
        tags in prop::collection::btree_map(text(check_name), text(check_tag), 0..4),
        fields in prop::collection::btree_map(text(check_name), value(), 1..4),
        timestamp in 100_000_000_000_000_000i64..i64::MAX - 1,
    ) {
        let point = Point { measurement, tags, fields, timestamp };
        prop_assert_eq!(reader::read(&line(&point)), point);
    }
}
