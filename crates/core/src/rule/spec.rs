//! Rules as people write them (CONTRACT §6, `[[rule]]`).

use serde::{Deserialize, Serialize};

use crate::{money::amount::Currency, time::Span};

/// `[[rule]]`: when a metric passes a threshold, then block, unblock or tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// The project, `name` or `tenant/name`; a rule sees nothing of other projects.
    pub project: String,
    /// Unique in its project.
    pub name: String,
    /// What is watched.
    pub when: WhenSpec,
    /// What is done.
    pub then: ThenSpec,
    /// Whether it is done, or only said that it would be.
    #[serde(default)]
    pub mode: RuleMode,
}

/// What a rule watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenSpec {
    /// What is counted.
    pub metric: Metric,
    /// Only requests to this service of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only requests that ended with this code; for `denials`, all denials when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whose requests are counted together.
    #[serde(default)]
    pub per: Whose,
    /// Above this it acts: a number of requests, denials, tokens or addresses; a percentage of
    /// requests for `error_rate`; an amount of money in quotes for `cost`.
    pub above: Above,
    /// Of which money the amount is, for `cost`; US dollars when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Over how long, always the last: 1 s to 30 d.
    pub window: Span,
    /// Requests that there must be before `error_rate` means anything; 20 when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u64>,
}

/// What is counted. A request that was refused because its key is blocked never counts: it would keep
/// the block alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Requests, allowed and refused.
    Requests,
    /// Refused requests.
    Denials,
    /// Tokens of calls to models, read and written.
    Tokens,
    /// What calls to models cost.
    Cost,
    /// Of the allowed requests, those answered with 500 or above.
    ErrorRate,
    /// Addresses that requests came from.
    DistinctAddresses,
}

/// Whose requests are counted together, and who is blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// Each key's.
    #[default]
    Key,
    /// Each consumer's.
    Consumer,
    /// The whole project's.
    Project,
    /// Each service's.
    Service,
}

impl Whose {
    /// What each of them is.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Consumer => "consumer",
            Self::Project => "project",
            Self::Service => "service",
        }
    }
}

/// A threshold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Above {
    /// `100`.
    Count(u64),
    /// `"12.50"`.
    Decimal(String),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThenSpec {
    /// Which.
    pub action: Action,
    /// Only this service is closed to them, for `block` and `unblock`; all when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Until when, for `block`: `next_hour`, `next_day`, a time such as `30m`, or `manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UntilSpec>,
    /// Whose hours and days they are: an IANA zone, `UTC` when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Refuses them with `key_blocked`.
    Block,
    /// Takes blocks of rules away.
    Unblock,
    /// Tells so, as an event.
    Notify,
}

impl Action {
    /// Its word in every API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Notify => "notify",
        }
    }
}

/// Until when a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntilSpec {
    /// Until the next full hour.
    NextHour,
    /// Until the next midnight.
    NextDay,
    /// For so long.
    For(Span),
    /// Until somebody takes it away.
    Manual,
}

/// Whether a rule acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleMode {
    /// It only says what it would do.
    Observe,
    /// It acts.
    #[default]
    Enforce,
}

impl Serialize for UntilSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::NextHour => serializer.serialize_str("next_hour"),
            Self::NextDay => serializer.serialize_str("next_day"),
            Self::Manual => serializer.serialize_str("manual"),
            Self::For(span) => serializer.collect_str(span),
        }
    }
}

impl<'de> Deserialize<'de> for UntilSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "next_hour" => Self::NextHour,
            "next_day" => Self::NextDay,
            "manual" => Self::Manual,
            other => Self::For(other.parse().map_err(|error| {
                serde::de::Error::custom(format!("{error}; or write `next_hour`, `next_day` or `manual`"))
            })?),
        })
    }
}
