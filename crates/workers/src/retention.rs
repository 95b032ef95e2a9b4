//! Folding minutes of usage into hours and days, forgetting what is old, merging small blocks of
//! decisions, and sweeping counters that are as good as new.
//!
//! Each statement deletes a bounded number of rows and is repeated until nothing is left, with a
//! pause between that lets the shipper write.

use std::{future::Future, sync::Arc, time::Duration};

use tollgate_core::time::{Clock, Now};
use tollgate_store::{Store, StoreError};

use crate::{faults::Faults, kept::UsageKept, stop::Stop};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The pause between two statements of one look.
const BREATH: Duration = Duration::from_millis(20);
/// How long one statement may take.
const STATEMENT_MAX: Duration = Duration::from_secs(30);
/// Statements of one kind in one look, at most 10,000 rows each.
const STATEMENTS_MAX: u32 = 1_000;
/// How old minutes of usage are when they are folded: by then nearly all that belongs to them is shipped.
const FOLDED_AFTER_US: i64 = 120_000_000;
/// Rows of minutes folded a statement: few enough that no shipment waits long behind one.
const FOLDED_ROWS_MAX: u32 = 16_384;
/// Keys in the list of those with the most requests of an hour; pages show 200.
const TOP_KEYS: u32 = 512;
/// Ended quota periods are kept this long, for who asks about last month.
const QUOTAS_KEPT_US: i64 = 400 * 86_400_000_000;
/// Secrets ended by rotation are kept this long: `keys show` says until when they were good and used.
const SECRETS_KEPT_US: i64 = 30 * 86_400_000_000;
/// Nodes that did not retire are forgotten after this long.
const NODES_KEPT_US: i64 = 7 * 86_400_000_000;

/// Notices are kept this long: longer than any webhook tries to tell one.
const NOTICES_KEPT_US: i64 = 90 * 86_400_000_000;

pub(crate) struct Retention {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long raw decisions are kept.
    pub(crate) decisions_kept: Duration,
    /// How long sums of usage are kept.
    pub(crate) usage_kept: UsageKept,
    /// Whether it forgets at all; some node does.
    pub(crate) forgets: bool,
    /// Drops counters that are as good as new.
    pub(crate) sweep: Arc<dyn Fn(Now) + Send + Sync>,
}

impl Retention {
    pub(crate) async fn run(self, mut stop: Stop) {
        let mut faults = Faults::of("retention");
        loop {
            (self.sweep)(self.clock.now());
            let forgot = if self.forgets { self.forget(&mut stop).await } else { Ok(()) };
            match forgot {
                Ok(()) => {
                    faults.worked();
                }
                Err(Fault::Store(error)) => {
                    faults.failed(self.clock.now(), &error, error.cause());
                }
                Err(Fault::Slow) => {
                    faults.failed(self.clock.now(), &"the database did not answer within 30 s", None);
                }
            }
            if stop.pause(LOOK_EVERY, std::future::pending()).await {
                return;
            }
        }
    }

    async fn forget(&self, stop: &mut Stop) -> Result<(), Fault> {
        let now_us = self.clock.now().wall_us;
        let before =
            |kept: Duration| now_us.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
        let store = &self.store;
        // Minutes first: what is not folded is not forgotten.
        let folded = now_us.saturating_sub(FOLDED_AFTER_US);
        until_none(stop, || store.fold_usage_before(folded, FOLDED_ROWS_MAX)).await?;
        until_none(stop, || store.rank_usage(TOP_KEYS)).await?;
        let decisions = before(self.decisions_kept);
        let UsageKept { minutes, hours, days } = self.usage_kept;
        let hours = hours.min(days);
        let (minutes, hours, days) = (before(minutes.min(hours)), before(hours), before(days));
        let quotas = now_us.saturating_sub(QUOTAS_KEPT_US);
        let nodes = now_us.saturating_sub(NODES_KEPT_US);
        until_none(stop, || store.forget_calls_before(decisions)).await?;
        until_none(stop, || store.forget_models_before(false, minutes)).await?;
        until_none(stop, || store.forget_models_before(true, days)).await?;
        let decisions = until_none(stop, || store.forget_decisions_before(decisions)).await?;
        let minutes = until_none(stop, || store.forget_minutes_before(minutes)).await?;
        let hours = until_none(stop, || store.forget_hours_before(hours)).await?;
        let usage = minutes + hours + until_none(stop, || store.forget_days_before(days)).await?;
        let quotas = until_none(stop, || store.forget_quotas_ended_before(quotas)).await?;
        let nodes = until_none(stop, || store.forget_nodes_before(nodes)).await?;
        let secrets = now_us.saturating_sub(SECRETS_KEPT_US);
        let secrets = until_none(stop, || store.forget_secrets_ended_before(secrets)).await?;
        let notices = now_us.saturating_sub(NOTICES_KEPT_US);
        until_none(stop, || store.forget_deliveries_before(notices)).await?;
        let notices = until_none(stop, || store.forget_notices_before(notices)).await?;
        if decisions + usage + quotas + nodes + secrets + notices > 0 {
            tracing::debug!(
                decisions,
                usage,
                quotas,
                nodes,
                secrets,
                notices,
                "forgot what is past its time"
            );
        }
        until_none(stop, || store.merge_blocks()).await?;
        Ok(())
    }
}

enum Fault {
    Store(StoreError),
    Slow,
}

/// Repeats a statement until it finds nothing, and says how many rows went.
async fn until_none<F>(stop: &mut Stop, mut statement: impl FnMut() -> F) -> Result<u64, Fault>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut rows = 0;
    for _ in 0..STATEMENTS_MAX {
        let gone = tokio::time::timeout(STATEMENT_MAX, statement()).await.map_err(|_| Fault::Slow)?;
        let gone = gone.map_err(Fault::Store)?;
        rows += gone;
        if gone == 0 || stop.pause(BREATH, std::future::pending()).await {
            break;
        }
    }
    Ok(rows)
}
