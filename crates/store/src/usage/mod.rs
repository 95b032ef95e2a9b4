//! What was used: shipped from the nodes' journals exactly once, rolled up by minute, hour and day, kept
//! raw for as long as the operator wants, counted into quotas.

mod asks;
mod block;
mod calls;
mod cubes;
mod decisions;
mod draws;
mod fold;
mod groups;
mod holds;
mod intake;
mod invoice;
mod latency;
mod marks;
mod merge;
mod model_sums;
mod models;
mod most;
mod names;
mod plan;
mod quota_leases;
mod quotas;
mod read_on;
mod recorded;
mod replay;
mod report;
mod reported;
mod retention;
mod rollup;
mod ship;
mod shown;
mod source;
mod tops;
mod uses;

use std::net::IpAddr;

use tollgate_core::{
    code::Code,
    counters::RuleId,
    id::{ConsumerId, DecisionId, KeyId, PolicyId, ProjectId, ServiceId, TenantId},
};

use crate::named::Named;

pub use calls::CallDetail;
pub use intake::Intake;
pub use invoice::{Invoice, InvoiceLine};
pub use latency::{Latency, LatencyFilter};
pub use models::{CallReport, CallRow, CallSums};
pub use quota_leases::{QUOTAS_ROUND_MAX, QuotaKey, QuotaLeased, QuotaWant};
pub use read_on::Cursors;
pub(crate) use recorded::{BlocksOf, Opened};
pub use recorded::{Parts, Recorded, Used};
pub use replay::{Replay, ReplaySpan};
pub(crate) use reported::write_reported;
pub use ship::{Taken, With};
pub use uses::LastUses;

/// What a quota has taken in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaTotal {
    /// The quota.
    pub rule: RuleId,
    /// Whose count.
    pub subject: u64,
    /// The start of the period, wall microseconds.
    pub period_start_us: i64,
    /// Its end.
    pub period_end_us: i64,
    /// How much was taken.
    pub used: u64,
}

/// What a shipment did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shipped {
    /// Records that were new; the others had been shipped before.
    pub records: u64,
    /// Records counted as lost, as the journal reported them.
    pub lost: u64,
    /// The quotas that were charged, with their totals over all nodes now; none unless asked for.
    pub quotas: Vec<QuotaTotal>,
}

/// What usage is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsageBy {
    /// Key.
    Key,
    /// Service.
    Service,
    /// Outcome.
    Code,
    /// Consumer.
    Consumer,
    /// Project.
    Project,
    /// Tenant.
    Tenant,
    /// UTC day.
    Day,
    /// UTC hour.
    Hour,
    /// Minute.
    Minute,
}

/// Which usage; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// From the minute that holds this moment, wall microseconds; from the hour or day that holds it
    /// where minutes or hours are forgotten already.
    pub from_us: Option<i64>,
    /// Up to the minute (hour, day) that holds the last moment before this.
    pub to_us: Option<i64>,
    /// Of this key.
    pub key: Option<KeyId>,
    /// Of this consumer.
    pub consumer: Option<ConsumerId>,
    /// Of these consumers and no others.
    pub consumers: Option<Vec<ConsumerId>>,
    /// Of this service.
    pub service: Option<ServiceId>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// With this outcome.
    pub code: Option<Code>,
}

/// Sums of usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// Answered requests, denied ones too.
    pub requests: u64,
    /// Requests with another outcome than `valid`.
    pub denied: u64,
    /// Units charged.
    pub units: u64,
    /// Microseconds from head to last byte, summed.
    pub latency_us: u64,
    /// Microseconds of waiting for upstreams, summed.
    pub upstream_us: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of answer bodies.
    pub bytes_out: u64,
}

impl UsageSums {
    /// Both together.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            denied: self.denied.saturating_add(more.denied),
            units: self.units.saturating_add(more.units),
            latency_us: self.latency_us.saturating_add(more.latency_us),
            upstream_us: self.upstream_us.saturating_add(more.upstream_us),
            bytes_in: self.bytes_in.saturating_add(more.bytes_in),
            bytes_out: self.bytes_out.saturating_add(more.bytes_out),
        }
    }
}

/// Usage of one group; only the columns it was grouped by are there. What a request had none of
/// (an unknown key, no service) is `None` as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// The key.
    pub key: Option<KeyId>,
    /// The service.
    pub service: Option<Named<ServiceId>>,
    /// The outcome.
    pub code: Option<Code>,
    /// The consumer.
    pub consumer: Option<Named<ConsumerId>>,
    /// The project.
    pub project: Option<Named<ProjectId>>,
    /// The tenant.
    pub tenant: Option<Named<TenantId>>,
    /// The start of the day, hour or minute, wall microseconds.
    pub time_us: Option<i64>,
    /// The sums.
    pub sums: UsageSums,
}

/// Usage by group, and in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// By group, in the order of the columns.
    pub rows: Vec<UsageRow>,
    /// In all.
    pub total: UsageSums,
}

/// The groups that used most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageMost {
    /// These groups, the largest first.
    pub rows: Vec<UsageRow>,
    /// How many groups there are, with those that are not listed; `None` when that was not counted, and
    /// then there may be more.
    pub groups: Option<u64>,
    /// In all, with those that are not listed.
    pub total: UsageSums,
}

/// Which decisions; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct DecisionFilter {
    /// Of this key.
    pub key: Option<KeyId>,
    /// Of this consumer.
    pub consumer: Option<ConsumerId>,
    /// Of this service.
    pub service: Option<ServiceId>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// With this outcome.
    pub code: Option<Code>,
    /// From this moment, wall microseconds.
    pub from_us: Option<i64>,
    /// Before this moment.
    pub to_us: Option<i64>,
    /// Oldest first; newest first when not set.
    pub oldest_first: bool,
}

/// A decision as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    /// Its id.
    pub id: DecisionId,
    /// When, wall microseconds.
    pub at_us: i64,
    /// The key.
    pub key: Option<KeyId>,
    /// The consumer.
    pub consumer: Option<Named<ConsumerId>>,
    /// The project.
    pub project: Option<Named<ProjectId>>,
    /// The tenant.
    pub tenant: Option<Named<TenantId>>,
    /// The service.
    pub service: Option<Named<ServiceId>>,
    /// The policy.
    pub policy: Option<PolicyId>,
    /// The outcome.
    pub code: Code,
    /// The number of the method, as the gateway counts them.
    pub method: u8,
    /// The HTTP status of the answer; 0 when none was sent.
    pub status: u16,
    /// Microseconds from head to last byte.
    pub latency_us: u32,
    /// Microseconds of waiting for the upstream.
    pub upstream_us: u32,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Units charged.
    pub units: u32,
    /// Which secret of the key was used.
    pub generation: u16,
    /// Marks (`tollgate_journal::Flags`).
    pub flags: u16,
    /// The checks that passed, one bit each.
    pub checks_passed: u32,
    /// The checks that were configured, one bit each.
    pub checks_configured: u32,
    /// The client's address.
    pub address: IpAddr,
    /// The path.
    pub path: String,
    /// Why it was denied.
    pub detail: String,
    /// The User-Agent.
    pub user_agent: String,
    /// What it used of a model; `None` when it called none.
    pub call: Option<CallDetail>,
}
