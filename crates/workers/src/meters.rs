//! Counting records into meters: one counter at a time, each record once (I13).
//!
//! It is a sink like any other: it holds a lease with an epoch, reads blocks from its cursor on, and moves the
//! cursor in the commit that adds what it counted. After any fault it begins at the cursor again. Requests are not
//! counted here: the shipment counts them. Whoever holds the lease also counts what was there before a meter, a step
//! at a time between what comes; each step is its own commit, so that nobody waits long behind one.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tollgate_core::{meter::set::Tally, time::Clock};
use tollgate_store::{Counting, Meters, Outbox, PassedOver, RelayLease, Store, StoreError};

use crate::{faults::Faults, stop::Stop};

/// The name of the sink.
pub const METERS_SINK: &str = "meters";
/// How long a lease lasts without being kept.
const LEASE_US: i64 = 15_000_000;
/// The pause after a step into the past, and how often it is looked for where there was none.
const PAST_BREATH: Duration = Duration::from_millis(10);
const PAST_EVERY_US: i64 = 1_000_000;
/// How often it is kept where nothing is counted.
const KEEP_US: i64 = 4_000_000;
/// The pause where there is nothing to count.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The pause after a fault, and while another counts.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause between two steps of forgetting, and how often it begins.
const BREATH: Duration = Duration::from_millis(20);
const FORGET_EVERY_US: i64 = 60_000_000;
/// How long the task may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long values of meters are kept.
#[derive(Clone, Copy, Debug)]
pub struct MetersKept {
    /// Values by minute.
    pub minutes: Duration,
    /// Values by hour.
    pub hours: Duration,
}

/// The running task.
pub struct Metering {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Metering {
    /// Starts it on the present tokio runtime. `node` is who holds the lease.
    #[must_use]
    pub fn start(store: &Arc<Store>, clock: &Arc<dyn Clock>, node: u64, kept: MetersKept) -> Self {
        let (stop, stopped) = watch::channel(false);
        let counter = Counter {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            node,
            kept,
            forgot_us: 0,
            past_us: 0,
            past_faults: Faults::of("the past of meters"),
        };
        Self { stop, task: tokio::spawn(counter.run(Stop::new(stopped))) }
    }

    /// Ends it, and gives the lease back. Nothing is lost if that does not come about.
    pub async fn stop(mut self) {
        // Nobody listening means that it has ended already.
        let _listeners = self.stop.send(true);
        match timeout(STOP_PATIENCE, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "counting meters ended badly"),
            Err(_late) => {
                tracing::warn!("counting meters takes too long to end and is left behind");
                self.task.abort();
            }
        }
    }
}

struct Counter {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    node: u64,
    kept: MetersKept,
    /// When it looked for what can go.
    forgot_us: i64,
    /// When it found nothing of the past, or could not count it.
    past_us: i64,
    past_faults: Faults,
}

impl Counter {
    async fn run(mut self, mut stop: Stop) {
        metrics::describe_counter!("tollgate_meter_records_total", "Records that meters have looked at");
        metrics::describe_counter!(
            "tollgate_meter_past_events_total",
            "Records and requests from before a meter that it has looked at"
        );
        metrics::describe_counter!(
            "tollgate_meter_past_damaged_total",
            "Records and requests from before a meter that are damaged and not counted"
        );
        metrics::describe_counter!(
            "tollgate_meter_past_unsummed_total",
            "Records of lost journals that the past of a meter waited for in vain"
        );
        let mut faults = Faults::of("meters");
        loop {
            match self.turn(&mut stop, &mut faults).await {
                Ok(()) if stop.is_asked() => return,
                Ok(()) => {}
                Err(error) => {
                    faults.failed(self.clock.now(), &error, error.cause());
                }
            }
            if stop.pause(PAUSE, std::future::pending()).await {
                return;
            }
        }
    }

    /// From taking the lease until a fault, until somebody else counts, or the end.
    async fn turn(&mut self, stop: &mut Stop, faults: &mut Faults) -> Result<(), StoreError> {
        let now_us = self.clock.now().wall_us;
        let span = (now_us, now_us.saturating_add(LEASE_US));
        let Some(mut lease) = self.store.take_relay(METERS_SINK, self.node, span).await? else {
            return Ok(());
        };
        let (mut meters, mut kept_us) = (self.store.meters_now(None).await?, now_us);
        loop {
            meters = self.store.meters_now(Some(meters)).await?;
            let before = lease.sent;
            let now_us = self.clock.now().wall_us;
            let (sent, tally) = self.count(&lease, &meters).await?;
            let is_idle = sent == before;
            if !is_idle || now_us.saturating_sub(kept_us) >= KEEP_US {
                let until_us = now_us.saturating_add(LEASE_US);
                match self.store.count_meters(&lease, (sent, until_us), (meters.version(), &tally)).await? {
                    Counting::Done => (lease.sent, kept_us) = (sent, now_us),
                    Counting::Lost => return Ok(()),
                    Counting::Changed => continue,
                }
                metrics::counter!("tollgate_meter_records_total").increment(sent - before);
            }
            faults.worked();
            self.forget(stop).await?;
            let pause = match (self.look_back(now_us).await, is_idle) {
                (true, _) => Some(PAST_BREATH),
                (false, true) => Some(LOOK_EVERY),
                (false, false) => None,
            };
            let is_over = match pause {
                Some(pause) => stop.pause(pause, std::future::pending()).await,
                None => stop.is_asked(),
            };
            if is_over {
                return self.store.leave_relay(&lease).await;
            }
        }
    }

    /// Counts a piece of what was there before meters; whether there was one. What cannot be counted is tried again
    /// later and does not hold up what comes now.
    async fn look_back(&mut self, now_us: i64) -> bool {
        if now_us.abs_diff(self.past_us) < PAST_EVERY_US.unsigned_abs() {
            return false;
        }
        match self.count_past(now_us).await {
            Ok(was_there) => {
                self.past_faults.worked();
                was_there
            }
            Err(error) => {
                self.past_us = now_us;
                self.past_faults.failed(self.clock.now(), &error, error.cause());
                false
            }
        }
    }

    async fn count_past(&mut self, now_us: i64) -> Result<bool, StoreError> {
        let Some(past) = self.store.meters_past(now_us).await? else {
            self.store.note_waiting_past(now_us).await?;
            self.past_us = now_us;
            return Ok(false);
        };
        let counted = tokio::task::spawn_blocking(move || (past.tally(), past)).await;
        let broken = |_| StoreError::Corrupt("what was there before could not be counted".to_owned());
        let (tally, past) = counted.map_err(broken)?;
        // Where it was lost or meters have changed, the next piece is as it is now.
        if self.store.count_past(&past, &tally).await? == Counting::Done {
            metrics::counter!("tollgate_meter_past_events_total").increment(past.len() as u64);
            tell(tally.passed_over());
        }
        Ok(true)
    }

    /// What meters count of the next records, and where these end.
    async fn count(&self, lease: &RelayLease, meters: &Arc<Meters>) -> Result<(u64, Tally), StoreError> {
        if meters.is_empty() {
            // Without meters there is nothing to look at. One that comes in between is found by the commit.
            return Ok((self.store.events_end().await?.max(lease.sent), Tally::default()));
        }
        let outbox = self.store.outbox(lease.sent).await?;
        if outbox.is_empty() {
            return Ok((lease.sent, Tally::default()));
        }
        let (from, meters) = (lease.sent, Arc::clone(meters));
        // Some megabytes of JSON: other tasks go on meanwhile.
        let counted = tokio::task::spawn_blocking(move || counted(&outbox, from, &meters)).await;
        counted.unwrap_or_else(|_| Err(StoreError::Corrupt("records could not be counted".to_owned())))
    }

    /// Forgets some of what is past its time.
    async fn forget(&mut self, stop: &mut Stop) -> Result<(), StoreError> {
        let now_us = self.clock.now().wall_us;
        if now_us.saturating_sub(self.forgot_us) < FORGET_EVERY_US {
            return Ok(());
        }
        let before =
            |kept: Duration| now_us.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
        for _ in 0..50 {
            let gone =
                self.store.forget_meters_before(before(self.kept.minutes), before(self.kept.hours)).await?;
            if gone == 0 {
                self.forgot_us = now_us;
                return Ok(());
            }
            if stop.pause(BREATH, std::future::pending()).await {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Says what of the past is not counted, or not whole, once: it is passed over for good.
fn tell(passed: &[PassedOver]) {
    for passed in passed {
        metrics::counter!("tollgate_meter_past_damaged_total").increment(passed.damaged());
        metrics::counter!("tollgate_meter_past_unsummed_total").increment(passed.unsummed());
        tracing::error!("{passed}; meters that count the past pass over what is missing");
    }
}

fn counted(outbox: &Outbox, from: u64, meters: &Meters) -> Result<(u64, Tally), StoreError> {
    Ok((outbox.ends, outbox.tally(from, meters)?))
}
