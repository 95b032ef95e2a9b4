//! What services report of requests that they served themselves (CONTRACT §5, `POST /v1/usage`): reading a
//! report, and what it charges.
//!
//! The same reports come by HTTP and by Kafka. What is neither here: whose key and service it is, and keeping it.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;
use thiserror::Error;

use crate::{
    counters::{Measure, Rule, RuleId},
    event::{ID_LEN_MAX, Sender, moment_us},
    id::KeyId,
    period::Window,
    policy::Policy,
    resource::{Per, Unit},
};

/// Requests of one report.
pub const REQUESTS_MAX: usize = 1_000;
/// Bytes of one report.
pub const REPORT_BYTES_MAX: u64 = 1 << 20;
/// How long ago a request may have been, microseconds: 31 days.
pub const AGE_MAX_US: i64 = 31 * 86_400_000_000;
/// How far ahead of this clock a request may say that it was, microseconds: 5 minutes.
pub const AHEAD_MAX_US: i64 = 300_000_000;
/// The longest name of a service: tenant, project and name.
const SERVICE_LEN_MAX: usize = 200;

/// One request that a service served itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Whose key it was.
    pub key: KeyId,
    /// Which service: `name`, `project/name` or `tenant/project/name`.
    pub service: Box<str>,
    /// What it cost in units, 1 when not said.
    pub units: u32,
    /// Tokens that it used, 0 when not said.
    pub tokens: u32,
    /// The HTTP status of its answer, 200 when not said.
    pub status: u16,
    /// When it was, wall microseconds; when it was reported where it does not say.
    pub at_us: Option<i64>,
    /// What it is told apart by.
    pub id: Option<Box<str>>,
}

/// What is wrong with a report. Nothing of it was counted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Wrong {
    /// It cannot be read at all.
    #[error("{0}; send a JSON list of objects")]
    Body(String),
    /// It has too many requests.
    #[error("a report has at most {REQUESTS_MAX} requests; send several")]
    TooMany,
    /// Something is wrong with one of its requests.
    #[error("[{index}].{field}: {problem}")]
    Request {
        /// Its index, from 0.
        index: usize,
        /// The field.
        field: &'static str,
        /// The value's problem and the remedy.
        problem: Cow<'static, str>,
    },
}

impl Wrong {
    /// Something is wrong with one request.
    pub fn at(index: usize, field: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::Request { index, field, problem: problem.into() }
    }
}

/// Reads a report: a list of requests, or one alone.
///
/// # Errors
/// [`Wrong`], for the first thing that is.
pub fn read<'de, D: Deserializer<'de>>(report: D) -> Result<Vec<Served>, Wrong> {
    let at = At { index: Cell::new(None), field: Cell::new(""), is_over: Cell::new(false) };
    report.deserialize_any(Requests(&at)).map_err(|error| match (at.is_over.get(), at.index.get()) {
        (true, _) => Wrong::TooMany,
        (_, None) => Wrong::Body(error.to_string()),
        (_, Some(index)) => {
            let field = at.field.get();
            let problem = match remedy(field) {
                "" => Cow::Owned(error.to_string()),
                remedy => Cow::Borrowed(remedy),
            };
            Wrong::Request { index, field: if field.is_empty() { "(object)" } else { field }, problem }
        }
    })
}

/// Refuses a request of another time than now, and one with an id from before what is remembered: whether it came
/// before is not known then. `remembered_us` is how long ids are.
///
/// # Errors
/// [`Wrong`], when it is.
pub fn check_time(index: usize, request: &Served, (now_us, remembered_us): (i64, i64)) -> Result<(), Wrong> {
    let Some(at_us) = request.at_us else { return Ok(()) };
    if at_us > now_us.saturating_add(AHEAD_MAX_US) {
        return Err(Wrong::at(
            index,
            "time",
            "it is more than 5 minutes ahead; set the clock of the service",
        ));
    }
    if at_us < now_us.saturating_sub(AGE_MAX_US) {
        return Err(Wrong::at(
            index,
            "time",
            "it is more than 31 days ago; such requests are not taken any more",
        ));
    }
    if request.id.is_some() && at_us < now_us.saturating_sub(remembered_us) {
        return Err(Wrong::at(
            index,
            "time",
            "it is longer ago than ids are remembered, so it might count twice; report sooner, or set \
             `ingest.remembered` higher",
        ));
    }
    Ok(())
}

const fn remedy(field: &str) -> &'static str {
    match field.as_bytes() {
        b"key_id" => "must be the id of a key, `key_…`",
        b"service" => "must be `name`, `project/name` or `tenant/project/name` of a service",
        b"units" | b"tokens" => "must be a whole number from 0 to 4294967295",
        b"status" => "must be an HTTP status from 100 to 599",
        b"time" => "must be a time of RFC 3339 such as 2026-01-31T12:00:00Z",
        b"id" => "must be a text of 1 to 256 bytes",
        _ => "",
    }
}

/// Where reading is.
struct At {
    index: Cell<Option<usize>>,
    field: Cell<&'static str>,
    is_over: Cell<bool>,
}

struct Requests<'a>(&'a At);

impl<'de> Visitor<'de> for Requests<'_> {
    type Value = Vec<Served>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of requests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut requests = Vec::new();
        loop {
            let index = requests.len();
            self.0.index.set(Some(index));
            self.0.field.set("");
            let Some(request) = list.next_element_seed(One(self.0))? else {
                self.0.index.set(None);
                return Ok(requests);
            };
            if index >= REQUESTS_MAX {
                self.0.is_over.set(true);
                return Err(de::Error::custom("too many"));
            }
            requests.push(request);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        self.0.index.set(Some(0));
        Ok(vec![One(self.0).visit_map(members)?])
    }
}

struct One<'a>(&'a At);

impl<'de> de::DeserializeSeed<'de> for One<'_> {
    type Value = Served;

    fn deserialize<D: Deserializer<'de>>(self, request: D) -> Result<Served, D::Error> {
        request.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = Served;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `key_id` and `service`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Served, A::Error> {
        const FIELDS: [&str; 7] = ["key_id", "service", "units", "tokens", "status", "time", "id"];
        let (mut key, mut service) = (None, None);
        let (mut units, mut tokens, mut status, mut at_us, mut id) = (None, None, None, None, None);
        let wrong = || de::Error::custom("it is not what it should be");
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let Some(field) = FIELDS.into_iter().find(|field| *field == name) else {
                self.0.field.set("");
                let shown: String = name.chars().filter(|sign| !sign.is_control()).take(64).collect();
                return Err(de::Error::custom(format!(
                    "`{shown}` is no field; there are {}",
                    FIELDS.join(", ")
                )));
            };
            self.0.field.set(field);
            match field {
                "key_id" => key = Some(members.next_value::<KeyId>()?),
                "service" => service = Some(members.next_value::<Cow<'de, str>>()?),
                "units" => units = members.next_value::<Option<u32>>()?,
                "tokens" => tokens = members.next_value::<Option<u32>>()?,
                "status" => status = members.next_value::<Option<u16>>()?,
                "time" => {
                    let time = members.next_value::<Option<Cow<'de, str>>>()?;
                    at_us = time.map(|time| moment_us(&time).ok_or_else(wrong)).transpose()?;
                }
                _ => id = members.next_value::<Option<Cow<'de, str>>>()?,
            }
            let is_good = match field {
                "service" => service.as_ref().is_some_and(|name| (1..=SERVICE_LEN_MAX).contains(&name.len())),
                "status" => status.is_none_or(|status| (100..600).contains(&status)),
                "id" => {
                    id.as_ref().is_none_or(|id| (1..=ID_LEN_MAX).contains(&id.len()) && !id.contains('\0'))
                }
                _ => true,
            };
            if !is_good {
                return Err(wrong());
            }
        }
        self.0.field.set("key_id");
        let key = key.ok_or_else(|| de::Error::missing_field("key_id"))?;
        self.0.field.set("service");
        let service = service.ok_or_else(|| de::Error::missing_field("service"))?;
        Ok(Served {
            key,
            service: service.as_ref().into(),
            units: units.unwrap_or(1),
            tokens: tokens.unwrap_or(0),
            status: status.unwrap_or(200),
            at_us,
            id: id.map(|id| id.as_ref().into()),
        })
    }
}

/// What a request takes of a quota, whether there is room or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaCharge {
    /// The quota.
    pub rule: RuleId,
    /// Whose count.
    pub subject: u64,
    /// The period of the request's own time.
    pub window: Window,
    /// How much.
    pub amount: u64,
}

/// A request as it counts: whose it is, and what it takes. One for each record of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Whose it is, and which service served it.
    pub sender: Sender,
    /// The policy of the key; 0 when it has none.
    pub policy: u64,
    /// When it was, wall microseconds.
    pub at_us: i64,
    /// Units.
    pub units: u32,
    /// Tokens.
    pub tokens: u32,
    /// The HTTP status of its answer.
    pub status: u16,
    /// What it takes of quotas.
    pub charges: SmallVec<[QuotaCharge; 4]>,
}

/// The quotas of a policy that a request takes something of. Limits of short windows are not charged: what is
/// reported afterwards can no longer be slowed down.
pub fn charges<'p>(
    policy: &'p Policy,
    request: &Served,
    (sender, at_us): (&Sender, i64),
) -> SmallVec<[(&'p Rule, QuotaCharge); 4]> {
    let charge = |rule: &'p Rule| {
        let Measure::Quota(period) = &rule.measure else { return None };
        let subject = match rule.per {
            Per::Key => sender.key.0,
            Per::Consumer => sender.consumer.0,
            Per::Project => sender.project.0,
            // As for all requests whose address is not known.
            Per::Ip => u64::MAX,
        };
        let amount = match rule.unit {
            Unit::Requests => u64::from(request.units.min(1)),
            Unit::Units => u64::from(request.units),
            Unit::Tokens => u64::from(request.tokens),
        };
        let charge = QuotaCharge { rule: rule.id, subject, window: period.window_at(at_us), amount };
        (amount > 0).then_some((rule, charge))
    };
    policy.rules.iter().filter_map(charge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Served>, Wrong> {
        read(&mut serde_json::Deserializer::from_str(text))
    }

    fn request(more: &str) -> String {
        format!(r#"{{"key_id":"{}","service":"maps/tiles"{more}}}"#, KeyId(7))
    }

    #[test]
    fn a_report_is_a_list_of_requests_or_one_alone() {
        let plain = Served {
            key: KeyId(7),
            service: "maps/tiles".into(),
            units: 1,
            tokens: 0,
            status: 200,
            at_us: None,
            id: None,
        };
        assert_eq!(of(&request("")).unwrap(), std::slice::from_ref(&plain));
        let whole = r#","units":3,"tokens":12,"status":404,"time":"1970-01-01T00:00:01Z","id":"r-1""#;
        let whole = format!("[{},{}]", request(""), request(whole));
        let full = Served {
            units: 3,
            tokens: 12,
            status: 404,
            at_us: Some(1_000_000),
            id: Some("r-1".into()),
            ..plain.clone()
        };
        assert_eq!(of(&whole).unwrap(), [plain, full]);
        assert_eq!(of("[]").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_named_by_index_and_field() {
        for (more, field) in [
            (r#","units":-1"#, "units"),
            (r#","units":4294967296"#, "units"),
            (r#","tokens":"many""#, "tokens"),
            (r#","status":99"#, "status"),
            (r#","time":"yesterday""#, "time"),
            (r#","id":"""#, "id"),
            (r#","service":"""#, "service"),
            (r#","key_id":"svc_0""#, "key_id"),
            (r#","cost":1"#, "(object)"),
        ] {
            let report = format!("[{},{}]", request(""), request(more));
            let Err(Wrong::Request { index: 1, field: named, problem }) = of(&report) else {
                panic!("{more}: {:?}", of(&report));
            };
            assert_eq!(named, field);
            assert!(!problem.is_empty());
        }
        assert!(matches!(of(r#"[{"service":"a"}]"#), Err(Wrong::Request { index: 0, field: "key_id", .. })));
        assert!(matches!(of("[1]"), Err(Wrong::Request { index: 0, .. })));
        assert!(matches!(of("7"), Err(Wrong::Body(_))));
        let many = format!("[{}]", vec![request(""); REQUESTS_MAX + 1].join(","));
        assert_eq!(of(&many), Err(Wrong::TooMany));
    }

    #[test]
    fn requests_of_another_time_are_refused() {
        let mut requests = of(&request("")).unwrap();
        let now_us = 100 * 86_400_000_000;
        let day_us = 86_400_000_000;
        for (at_us, is_good) in [
            (None, true),
            (Some(now_us), true),
            (Some(now_us + AHEAD_MAX_US), true),
            (Some(now_us + AHEAD_MAX_US + 1), false),
            (Some(now_us - AGE_MAX_US), true),
            (Some(now_us - AGE_MAX_US - 1), false),
        ] {
            requests[0].at_us = at_us;
            let outcome = check_time(0, &requests[0], (now_us, day_us));
            assert_eq!(outcome.is_ok(), is_good, "{at_us:?}");
        }
        // With an id it must be one that is remembered.
        requests[0].id = Some("r-1".into());
        for (at_us, is_good) in [(now_us - day_us, true), (now_us - day_us - 1, false)] {
            requests[0].at_us = Some(at_us);
            assert_eq!(check_time(0, &requests[0], (now_us, day_us)).is_ok(), is_good, "{at_us}");
        }
    }
}
