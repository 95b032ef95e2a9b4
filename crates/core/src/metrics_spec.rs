//! What services of kind `metrics` say beside what every service says, as people write it. What may be written
//! is in [`crate::metrics_service`].

use serde::{Deserialize, Serialize};

/// The path of metrics services that name none (CONTRACT §4).
pub const METRICS_PATH: &str = "/api/submit";
/// The measurement of points that name none (CONTRACT §4).
pub const MEASUREMENT: &str = "metrics";
/// Points of one request where the service says nothing.
pub const POINTS_DEFAULT: u32 = 10_000;
/// Points of one request at most.
pub const POINTS_MAX: u32 = 100_000;
/// Bytes of a body where the service says nothing.
pub const METRICS_BODY_BYTES_DEFAULT: u64 = 4 << 20;
/// Bytes of a body at most, before and after decompression.
pub const METRICS_BODY_BYTES_MAX: u64 = 64 << 20;

/// `metrics = { … }` of a service of kind `metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSpec {
    /// The measurement of points that name none; `metrics` when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurement: Option<String>,
    /// How numbers are kept.
    #[serde(default, skip_serializing_if = "NumberRule::is_float")]
    pub numbers: NumberRule,
    /// Who may say the host of a point.
    #[serde(default, skip_serializing_if = "HostRule::is_bound")]
    pub hosts: HostRule,
    /// Points of one request: 1 to 100,000; 10,000 when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_max: Option<u32>,
}

/// How numbers are kept. InfluxDB gives a field the type of its first point and refuses others from then on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberRule {
    /// Every number is a float, so that `5` and `5.5` can follow one another.
    #[default]
    Float,
    /// A whole number written without a point is an integer, all others are floats.
    Written,
}

impl NumberRule {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_float(&self) -> bool {
        *self == Self::Float
    }
}

/// Who may say the host of a point. A key that is bound to a host speaks for that host only, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostRule {
    /// Nobody: points of keys without a bound host have none.
    #[default]
    Bound,
    /// Points of keys without a bound host may say theirs.
    Said,
}

impl HostRule {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_bound(&self) -> bool {
        *self == Self::Bound
    }
}
