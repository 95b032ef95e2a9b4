//! From what is written to points: completed with what the service and the key say, and checked, so that each has
//! exactly one line. What a point claims of its host is held against the key.

use serde_json::de::{Deserializer, StrRead};
use tollgate_core::{
    metric::{
        FIELDS_MAX, FieldValue, HOST_TAG, Point, TAGS_BYTES_MAX, TAGS_MAX, TEXT_LEN_MAX, check_measurement,
        check_name, check_tag, check_timestamp,
    },
    metrics_spec::{HostRule, NumberRule},
};

use super::members::Written;

/// What holds for all points of a request.
pub(super) struct Terms<'t> {
    /// The measurement of points that name none.
    pub(super) measurement: &'t str,
    /// The host that the key is bound to.
    pub(super) host: Option<&'t str>,
    pub(super) hosts: HostRule,
    pub(super) numbers: NumberRule,
    /// The moment of points that say none.
    pub(super) arrived_ns: i64,
    pub(super) points_max: usize,
}

/// Why points are not taken.
#[derive(Debug)]
pub(super) enum Unusable {
    /// What stands around the points is wrong.
    Body(String),
    TooMany {
        points_max: usize,
    },
    /// A point is wrong: which, where in it (JSON pointer, RFC 6901), why and what to do.
    Point {
        index: usize,
        path: String,
        reason: String,
    },
}

impl Unusable {
    pub(super) fn point(index: usize, path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Point { index, path: path.into(), reason: reason.into() }
    }
}

/// What may stand around the next point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing was read yet.
    Unknown,
    /// An array: its next element, or its end.
    Array { is_first: bool },
    /// One point after another.
    Lines,
    /// Nothing more may come.
    End,
}

/// Goes through the points of a body: one object, an array of them, or one after another.
pub(super) struct Walk<'t> {
    text: &'t str,
    at: usize,
    around: Around,
}

impl<'t> Walk<'t> {
    pub(super) fn new(text: &'t str, lines: bool) -> Self {
        Self { text, at: 0, around: if lines { Around::Lines } else { Around::Unknown } }
    }

    /// The next point, checked and completed; `None` at the end.
    pub(super) fn next(&mut self, index: usize, terms: &Terms<'_>) -> Result<Option<Point>, Unusable> {
        if !self.goes_on()? {
            return Ok(None);
        }
        if index >= terms.points_max {
            return Err(Unusable::TooMany { points_max: terms.points_max });
        }
        let written = self.written(index)?;
        point(written, terms).map(Some).map_err(|(path, reason)| Unusable::Point { index, path, reason })
    }

    /// Reads what stands before a point; whether one comes.
    fn goes_on(&mut self) -> Result<bool, Unusable> {
        loop {
            match self.around {
                Around::Unknown => {
                    if self.takes('[') {
                        self.around = Around::Array { is_first: true };
                        continue;
                    }
                    self.around = Around::End;
                    return Ok(true);
                }
                Around::Lines => {
                    self.skip_space();
                    return Ok(self.at < self.text.len());
                }
                Around::Array { is_first } => {
                    if self.takes(']') {
                        self.around = Around::End;
                        continue;
                    }
                    if !is_first && !self.takes(',') {
                        let at = self.at;
                        return Err(Unusable::Body(format!(
                            "byte {at}: `,` or `]` must come behind a point"
                        )));
                    }
                    self.around = Around::Array { is_first: false };
                    return Ok(true);
                }
                Around::End => {
                    self.skip_space();
                    if self.at == self.text.len() {
                        return Ok(false);
                    }
                    let at = self.at;
                    let detail = format!(
                        "byte {at}: nothing may come behind the points; send several as an array, or one a line as application/x-ndjson"
                    );
                    return Err(Unusable::Body(detail));
                }
            }
        }
    }

    fn written(&mut self, index: usize) -> Result<Written<'t>, Unusable> {
        self.skip_space();
        let rest = self.rest();
        let mut json = Deserializer::<StrRead<'t>>::from_str(rest);
        let written = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = pointer(error.path());
            Unusable::Point { index, path, reason: reason_of(error.inner()) }
        })?;
        // Made only to be asked where the point ended.
        self.at += json.into_iter::<serde::de::IgnoredAny>().byte_offset();
        Ok(written)
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// Takes a sign behind white space, if it is the next one.
    fn takes(&mut self, sign: char) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len_utf8();
        }
        is_next
    }
}

/// Where in a point, and why.
type Flaw = (String, String);

fn point(written: Written<'_>, terms: &Terms<'_>) -> Result<Point, Flaw> {
    let Written { measurement, field, value, fields, tags, timestamp } = written;
    let measurement = measurement.as_deref().unwrap_or(terms.measurement);
    checked("/measurement", check_measurement(measurement))?;
    let mut values = fields.0;
    match (field, value) {
        (Some(name), Some(value)) => {
            checked("/field", check_name(&name))?;
            if values.insert(name.clone().into_owned(), value).is_some() {
                return Err(flaw("/field", format!("`{name}` stands in `fields` too; say it once")));
            }
        }
        (Some(_), None) => return Err(flaw("/value", "it is missing beside `field`")),
        (None, Some(_)) => return Err(flaw("/field", "it is missing beside `value`")),
        (None, None) if values.is_empty() => {
            return Err(flaw("", "it has no field; say `field` and `value`, or `fields`"));
        }
        (None, None) => {}
    }
    if values.len() > FIELDS_MAX {
        return Err(flaw("/fields", format!("{} fields are over the bound of {FIELDS_MAX}", values.len())));
    }
    let mut fields = std::collections::BTreeMap::new();
    for (name, value) in values {
        let path = format!("/fields/{}", escaped(&name));
        checked(&path, check_name(&name))?;
        let value = kept(value.0, terms.numbers).map_err(|reason| flaw(&path, reason))?;
        fields.insert(name, value);
    }
    let mut tags = tags.0;
    for (name, value) in &tags {
        let path = format!("/tags/{}", escaped(name));
        checked(&path, check_name(name).and_then(|()| check_tag(value)))?;
    }
    put_host(&mut tags, terms)?;
    // InfluxDB lets one name be both, and then nobody can tell whose word it is.
    if let Some(name) = fields.keys().find(|name| **name == HOST_TAG || tags.contains_key(&**name)) {
        let path = format!("/fields/{}", escaped(name));
        return Err(flaw(path, format!("`{name}` is the name of a tag; choose another name for the field")));
    }
    if tags.len() > TAGS_MAX {
        return Err(flaw("/tags", format!("{} tags are over the bound of {TAGS_MAX}", tags.len())));
    }
    let bytes: usize = tags.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > TAGS_BYTES_MAX {
        return Err(flaw("/tags", format!("their {bytes} bytes are over the bound of {TAGS_BYTES_MAX}")));
    }
    let timestamp = timestamp.map_or(terms.arrived_ns, |moment| moment.0);
    checked("/timestamp", check_timestamp(timestamp))?;
    Ok(Point { measurement: measurement.to_owned(), tags, fields, timestamp })
}

/// A key that is bound to a host speaks for it and for no other; what other keys say of a host counts only where
/// the service believes them.
fn put_host(tags: &mut std::collections::BTreeMap<String, String>, terms: &Terms<'_>) -> Result<(), Flaw> {
    const PATH: &str = "/tags/host";
    let claimed = tags.get(HOST_TAG);
    match (terms.host, claimed) {
        (Some(host), Some(claimed)) if !claimed.eq_ignore_ascii_case(host) => {
            let reason = format!("the key is bound to host {host} and speaks for no other; leave it away");
            Err(flaw(PATH, reason))
        }
        (Some(host), _) => {
            tags.insert(HOST_TAG.to_owned(), host.to_owned());
            Ok(())
        }
        (None, Some(_)) if terms.hosts == HostRule::Bound => Err(flaw(
            PATH,
            "the key is bound to no host, so that it can speak for none; use a key with `--bind-host`, or have the service say `metrics = { hosts = \"said\" }`",
        )),
        (None, _) => Ok(()),
    }
}

/// A value as it is kept.
fn kept(value: FieldValue, numbers: NumberRule) -> Result<FieldValue, String> {
    match value {
        FieldValue::Integer(number) if numbers == NumberRule::Float => {
            let float = number as f64;
            // The largest integer rounds up to a float that is none any more.
            if float as i128 == i128::from(number) {
                return Ok(FieldValue::Float(float));
            }
            Err(format!(
                "{number} has more digits than a float keeps; send it as a string, or have the service say `metrics = {{ numbers = \"written\" }}`"
            ))
        }
        FieldValue::Text(text) if text.len() > TEXT_LEN_MAX => {
            Err(format!("its {} bytes are over the bound of {TEXT_LEN_MAX}", text.len()))
        }
        value => Ok(value),
    }
}

fn checked(path: &str, outcome: Result<(), &'static str>) -> Result<(), Flaw> {
    outcome.map_err(|reason| flaw(path, reason))
}

fn flaw(path: impl Into<String>, reason: impl Into<String>) -> Flaw {
    (path.into(), reason.into())
}

/// A name in a JSON pointer (RFC 6901 §3), not longer than a name can be.
fn escaped(name: &str) -> String {
    let shown: String = name.chars().take(64).collect();
    shown.replace('~', "~0").replace('/', "~1")
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Map { key } => pointer.push_str(&escaped(key)),
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
    }
    if pointer == "/?" { String::new() } else { pointer }
}

/// What is wrong with a piece of JSON, with the byte of the point where it is.
fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) if error.line() <= 1 => format!("{reason} (byte {} of the point)", error.column()),
        Some((reason, place)) => format!("{reason} (line {place} of the point)"),
        None => text,
    }
}
