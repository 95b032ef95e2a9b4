//! Events of predictions on their way from a lane to the intake of records.
//!
//! An answer does not wait for its event: predictions of one service are gathered for a few milliseconds and handed over
//! together, whoever asked. Bounded in bytes and in predictions on their way; what is beyond a bound, or is not taken,
//! is counted and said in the log. What a process that is killed had gathered is gone, its requests are in the journal
//! all the same (decision 0019). What an event says is the business of `predict`.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use metrics::{Counter, counter, describe_counter};
use tokio::sync::Notify;
use tollgate_core::{
    counters::Counters,
    event::{Batch, Content, Record, Sender, Slice},
    id::ServiceId,
};

use super::Gateway;
use crate::faults::Fault;

/// The type of the events.
const KIND: &str = "tollgate.prediction";
/// How long predictions are gathered.
const GATHER: Duration = Duration::from_millis(20);
/// Predictions of one batch.
const RECORDS_MAX: usize = 2048;
/// Bytes that a lane gathers.
const GATHERED_BYTES_MAX: usize = 8 << 20;
/// Predictions of a lane that wait to be durable: half a second of what one asks. Their bytes are bounded where they
/// wait.
const UNDER_WAY_MAX: usize = 32_768;

/// What a lane has gathered.
pub(crate) struct Events {
    gathered: RefCell<HashMap<ServiceId, Batch>>,
    bytes: Cell<usize>,
    is_armed: Cell<bool>,
    under_way: Cell<usize>,
    ended: Notify,
    lost: Counter,
    fault: Fault,
}

impl Default for Events {
    fn default() -> Self {
        describe_counter!(
            "tollgate_prediction_events_lost_total",
            "Prediction events that could not be kept"
        );
        Self {
            gathered: RefCell::default(),
            bytes: Cell::new(0),
            is_armed: Cell::new(false),
            under_way: Cell::new(0),
            ended: Notify::new(),
            lost: counter!("tollgate_prediction_events_lost_total"),
            fault: Fault::default(),
        }
    }
}

/// Takes a record that `write` puts at the end of a buffer.
pub(crate) fn gather<C: Counters + 'static>(
    gateway: &Rc<Gateway<C>>,
    sender: Sender,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let events = &gateway.predictions;
    if events.bytes.get() > GATHERED_BYTES_MAX {
        return events.lose(gateway, 1, "too many are gathered");
    }
    let now_us = gateway.now().wall_us;
    let mut gathered = events.gathered.borrow_mut();
    let batch = gathered.entry(sender.service).or_insert_with(|| Batch {
        sender,
        senders: Vec::new(),
        received_us: now_us,
        name: None,
        source: format!("urn:tollgate:{}", sender.service).into(),
        default_type: KIND.into(),
        buffer: Vec::new(),
        records: Vec::new(),
        attributes: Vec::new(),
    });
    let start = batch.buffer.len();
    write(&mut batch.buffer);
    let end = batch.buffer.len();
    if events.bytes.get() + (end - start) > GATHERED_BYTES_MAX {
        batch.buffer.truncate(start);
        if batch.records.is_empty() {
            gathered.remove(&sender.service);
        }
        drop(gathered);
        return events.lose(gateway, 1, "too many are gathered");
    }
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    if batch.senders.last().map_or(batch.sender, |(_, last)| *last) != sender {
        batch.senders.push((place(batch.records.len()), sender));
    }
    batch.records.push(Record {
        id: None,
        kind: None,
        source: None,
        version: None,
        time_us: Some(now_us),
        data: Slice { start: place(start), end: place(end) },
        content: Content::Json,
        attributes: (0, 0),
    });
    events.bytes.set(events.bytes.get() + (end - start));
    let full = (batch.records.len() >= RECORDS_MAX).then(|| gathered.remove(&sender.service)).flatten();
    drop(gathered);
    if let Some(batch) = full {
        hand_over(gateway, [batch]);
    }
    if !events.is_armed.replace(true) {
        let own = Rc::clone(gateway);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(GATHER).await;
            own.predictions.is_armed.set(false);
            flush(&own);
        });
    }
}

/// Hands everything over that is gathered.
fn flush<C: Counters + 'static>(gateway: &Rc<Gateway<C>>) {
    let gathered = std::mem::take(&mut *gateway.predictions.gathered.borrow_mut());
    hand_over(gateway, gathered.into_values());
}

/// Hands batches over; one task waits for all of them, and asks for each once those before it are durable.
fn hand_over<C: Counters + 'static>(gateway: &Rc<Gateway<C>>, batches: impl IntoIterator<Item = Batch>) {
    let events = &gateway.predictions;
    let mut receipts = Vec::new();
    let mut all = 0;
    for batch in batches {
        let (bytes, records) = (batch.buffer.len(), batch.records.len());
        events.bytes.set(events.bytes.get().saturating_sub(bytes));
        if events.under_way.get() + all + records > UNDER_WAY_MAX {
            events.lose(gateway, records, "too many wait to be durable");
            continue;
        }
        all += records;
        receipts.push((records, gateway.shared.intake.submit(batch)));
    }
    if receipts.is_empty() {
        return;
    }
    events.under_way.set(events.under_way.get() + all);
    let own = Rc::clone(gateway);
    tokio::task::spawn_local(async move {
        let events = &own.predictions;
        for (records, receipt) in receipts {
            if let Err(refused) = receipt.await {
                events.lose(&own, records, &format!("{refused:?}"));
            }
            events.under_way.set(events.under_way.get().saturating_sub(records));
        }
        events.ended.notify_waiters();
    });
}

/// Hands everything over and waits until it is durable: the lane ends.
pub(crate) async fn settle<C: Counters + 'static>(gateway: &Rc<Gateway<C>>) {
    flush(gateway);
    while gateway.predictions.under_way.get() > 0 {
        gateway.predictions.ended.notified().await;
    }
}

impl Events {
    fn lose<C: Counters + 'static>(&self, gateway: &Gateway<C>, records: usize, why: &str) {
        self.lost.increment(records as u64);
        self.fault.report(gateway.mono_ns(), |left_out| {
            tracing::error!(records, left_out, why, "prediction events could not be kept");
        });
    }
}
