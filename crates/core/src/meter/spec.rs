//! Meters as people write them, and what may be written.

use serde::{Deserialize, Serialize};

use super::{
    partial::Aggregate,
    path::{PATH_LEN_MAX, Path},
};
use crate::{event::is_type, field_error::FieldError, metric::METRIC_TYPE, name::check_name};

/// The type of events that every answered request of the gateway and of the service API is.
pub const REQUEST_TYPE: &str = "tollgate.request";
/// The type of records that services report of requests that they served themselves.
pub const USAGE_TYPE: &str = "tollgate.usage";
/// The type of records that predictions of models become: their model, version and latency are in the data.
pub const PREDICTION_TYPE: &str = "tollgate.prediction";
/// The types of Tollgate's own that may be counted.
const COUNTED_TYPES: [&str; 4] = [REQUEST_TYPE, USAGE_TYPE, METRIC_TYPE, PREDICTION_TYPE];
/// What types of Tollgate's own begin with.
pub const OWN_TYPES: &str = "tollgate.";
/// What a meter groups by, at most.
pub const GROUP_BY_MAX: usize = 4;
/// Groups of one meter where it says nothing.
pub const GROUPS_DEFAULT: u32 = 1_000;
/// Groups of one meter at most.
pub const GROUPS_MAX: u32 = 10_000;

/// The fields of a [`REQUEST_TYPE`] that a meter may count or group by, as `$.name`.
pub const REQUEST_FIELDS: [&str; 15] = [
    "service",
    "code",
    "status",
    "latency_ms",
    "upstream_ms",
    "bytes_in",
    "bytes_out",
    "units",
    "tokens",
    "tokens_in",
    "tokens_out",
    "model",
    "cost",
    "currency",
    "verified",
];
/// What every record has beside its data, as `@name`.
pub const SENDER_FIELDS: [&str; 4] = ["key", "consumer", "service", "source"];

/// `[[meter]]`: what is counted from events (CONTRACT §6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterSpec {
    /// The project whose events it counts, `name` or `tenant/name`.
    pub project: String,
    /// Its name, unique in the project.
    pub name: String,
    /// The type of the events: `tile.served`, `tollgate.request`, `tollgate.usage`.
    pub event_type: String,
    /// Where the value is: a path such as `$.bytes`. Only `count` can do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// How values become one.
    pub aggregate: Aggregate,
    /// What values are told apart by, at most four: paths such as `$.zoom`, or `@key`, `@consumer`,
    /// `@service`, `@source` of who sent the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// Groups that are kept apart: 1 to 10,000; 1,000 when not said. What comes beyond counts as `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_max: Option<u32>,
}

/// Where something of an event is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In its data.
    Data(Path),
    /// Beside it: one of [`SENDER_FIELDS`].
    Sender(&'static str),
}

impl Place {
    /// The place that a text is; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('@') {
            Some(name) => SENDER_FIELDS.into_iter().find(|own| *own == name).map(Self::Sender),
            None => Path::parse(text).ok().map(Self::Data),
        }
    }
}

/// What is wrong with a meter, everything at once.
#[must_use]
pub fn check_meter(spec: &MeterSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Err(problem) = check_name(&spec.name) {
        errors.push(FieldError::new("name", problem));
    }
    let kind = spec.event_type.as_str();
    if !is_type(kind) {
        let problem = "it is not a type such as `tile.served`; use 1 to 256 visible characters";
        errors.push(FieldError::new("event_type", problem));
    } else if kind.starts_with(OWN_TYPES) && !COUNTED_TYPES.contains(&kind) {
        let problem = format!("`{OWN_TYPES}` begins types of Tollgate's own: {}", COUNTED_TYPES.join(", "));
        errors.push(FieldError::new("event_type", problem));
    }
    match &spec.value {
        Some(value) => check_place("value".to_owned(), kind, value, &mut errors),
        None if spec.aggregate != Aggregate::Count => {
            let problem =
                format!("`{}` needs a value; write where it is, such as `$.bytes`", spec.aggregate.name());
            errors.push(FieldError::new("value", problem));
        }
        None => {}
    }
    if spec.group_by.len() > GROUP_BY_MAX {
        let problem = format!("{} are over the bound of {GROUP_BY_MAX}", spec.group_by.len());
        errors.push(FieldError::new("group_by", problem));
    }
    for (index, place) in spec.group_by.iter().enumerate() {
        check_place(format!("group_by[{index}]"), kind, place, &mut errors);
        if spec.group_by.iter().take(index).any(|before| before == place) {
            errors
                .push(FieldError::new(format!("group_by[{index}]"), "it stands here twice; leave one away"));
        }
    }
    if let Some(groups) = spec.groups_max.filter(|groups| !(1..=GROUPS_MAX).contains(groups)) {
        errors.push(FieldError::new("groups_max", format!("{groups} is outside 1 to {GROUPS_MAX}")));
    }
    errors
}

fn check_place(field: String, kind: &str, text: &str, errors: &mut Vec<FieldError>) {
    let problem = match Place::parse(text) {
        None if text.starts_with('@') => {
            format!("it is none of who sent an event; those are @{}", SENDER_FIELDS.join(", @"))
        }
        None => format!(
            "it is not a path to one place such as `$.bytes`, `$.list[0]` or `$['a.b']`, at most {PATH_LEN_MAX} bytes"
        ),
        Some(Place::Data(path))
            if kind == REQUEST_TYPE && !path.member().is_some_and(|name| REQUEST_FIELDS.contains(&name)) =>
        {
            format!("a request has no such field; it has $.{}", REQUEST_FIELDS.join(", $."))
        }
        Some(_) => return,
    };
    errors.push(FieldError::new(field, problem));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> MeterSpec {
        MeterSpec {
            project: "maps".into(),
            name: "tiles-served".into(),
            event_type: "tile.served".into(),
            value: Some("$.bytes".into()),
            aggregate: Aggregate::Sum,
            group_by: vec!["$.zoom".into(), "@consumer".into()],
            groups_max: None,
        }
    }

    #[test]
    fn what_is_wrong_is_named_all_at_once() {
        assert_eq!(check_meter(&spec()), []);
        let wrong = MeterSpec {
            name: "Tiles served".into(),
            event_type: "tollgate.other".into(),
            value: None,
            group_by: vec!["zoom".into(), "@nobody".into(), "$.a".into(), "$.a".into(), "$.b".into()],
            groups_max: Some(0),
            ..spec()
        };
        let fields: Vec<_> = check_meter(&wrong).into_iter().map(|error| error.field).collect();
        let expected = [
            "name",
            "event_type",
            "value",
            "group_by",
            "group_by[0]",
            "group_by[1]",
            "group_by[3]",
            "groups_max",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn requests_have_the_fields_that_they_have() {
        let of = |value: &str| MeterSpec {
            event_type: REQUEST_TYPE.into(),
            value: Some(value.into()),
            group_by: Vec::new(),
            ..spec()
        };
        assert_eq!(check_meter(&of("$.latency_ms")), []);
        for value in ["$.nothing", "$.service.name"] {
            assert_eq!(check_meter(&of(value)).len(), 1, "{value}");
        }
    }
}
