//! How long allowed requests took: percentiles of what nodes counted by service.

use tollgate_core::id::ServiceId;
use tollgate_store::{Latency, LatencyFilter};

use super::{range::Range, trouble::Trouble, visit::Visit, words};

/// Percentiles in words.
pub(super) struct Times {
    pub(super) median: String,
    pub(super) p95: String,
    pub(super) p99: String,
}

impl Times {
    /// `None` where nothing was counted.
    pub(super) fn of(latency: &Latency) -> Option<Self> {
        let at = |share| latency.per_mille(share).map(words::length);
        Some(Self { median: at(500)?, p95: at(950)?, p99: at(990)? })
    }
}

/// Those of a range, of one service or of all. They are counted by service, not by consumer: who sees
/// only their own consumers is shown none.
pub(super) async fn read(
    visit: &Visit,
    range: &Range,
    service: Option<ServiceId>,
) -> Result<Option<Times>, Trouble> {
    if !visit.may_all(tollgate_core::authz::Action::ReadUsage) {
        return Ok(None);
    }
    let filter = LatencyFilter {
        from_us: Some(range.from_us),
        to_us: Some(range.to_us),
        tenant: Some(visit.tenant()),
        service,
    };
    Ok(Times::of(&visit.store().latency(&filter).await?))
}
