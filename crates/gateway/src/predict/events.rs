//! One event for each prediction, of the type `tollgate.prediction`, through the intake of records.
//!
//! An answer does not wait for its event: predictions of one key are gathered for a few milliseconds and handed over
//! together. Bounded in bytes, keys and batches on their way; what is beyond a bound, or is not taken, is counted and
//! said in the log. What a process that is killed had gathered is gone, its requests are in the journal all the same
//! (decision 0019).

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
    keyring::KeyRecord,
    service::Service,
    serving::Served,
    tensor::Tensor,
};
use tollgate_wire::{
    predict::{push_inputs, push_outputs},
    text::{DecisionText, push_json_string, push_number},
};

use crate::{faults::Fault, lane::Gateway};

/// The type of the events.
pub(crate) const KIND: &str = "tollgate.prediction";
/// How long predictions are gathered.
const GATHER: Duration = Duration::from_millis(20);
/// Predictions of one batch.
const RECORDS_MAX: usize = 512;
/// Bytes that a lane gathers.
const GATHERED_BYTES_MAX: usize = 8 << 20;
/// Batches of a lane that wait to be durable.
const UNDER_WAY_MAX: usize = 256;

/// What a lane has gathered.
pub(crate) struct Events {
    gathered: RefCell<HashMap<Sender, Batch>>,
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

/// What is told of a prediction.
pub(super) struct Told<'a> {
    pub(super) served: &'a Served,
    pub(super) service: &'a Service,
    pub(super) record: &'a KeyRecord,
    pub(super) decision: DecisionText,
    pub(super) rows: Option<usize>,
    pub(super) latency_ns: u64,
    /// Where the model says that they are recorded.
    pub(super) inputs: Option<&'a [Tensor]>,
    pub(super) outputs: &'a [(Box<str>, Tensor)],
}

/// Tells of a prediction.
pub(super) fn tell<C: Counters + 'static>(gateway: &Rc<Gateway<C>>, told: &Told<'_>) {
    let events = &gateway.predictions;
    if events.bytes.get() > GATHERED_BYTES_MAX {
        return events.lose(gateway, 1, "too many are gathered");
    }
    let sender = Sender {
        tenant: told.service.tenant,
        project: told.service.project,
        service: told.service.id,
        consumer: told.record.consumer,
        key: told.record.id,
    };
    let now_us = gateway.now().wall_us;
    let mut gathered = events.gathered.borrow_mut();
    let batch = gathered.entry(sender).or_insert_with(|| Batch {
        sender,
        received_us: now_us,
        name: None,
        source: format!("urn:tollgate:{}", told.service.id).into(),
        default_type: KIND.into(),
        buffer: Vec::new(),
        records: Vec::new(),
        attributes: Vec::new(),
    });
    let start = batch.buffer.len();
    write(&mut batch.buffer, told);
    let end = batch.buffer.len();
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
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
    let full = (batch.records.len() >= RECORDS_MAX).then(|| gathered.remove(&sender)).flatten();
    drop(gathered);
    if let Some(batch) = full {
        events.hand_over(gateway, batch);
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
    for batch in gathered.into_values() {
        gateway.predictions.hand_over(gateway, batch);
    }
}

/// Hands everything over and waits until it is durable: the lane ends.
pub(crate) async fn settle<C: Counters + 'static>(gateway: &Rc<Gateway<C>>) {
    flush(gateway);
    while gateway.predictions.under_way.get() > 0 {
        gateway.predictions.ended.notified().await;
    }
}

impl Events {
    fn hand_over<C: Counters + 'static>(&self, gateway: &Rc<Gateway<C>>, batch: Batch) {
        let (bytes, records) = (batch.buffer.len(), batch.records.len());
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        if self.under_way.get() >= UNDER_WAY_MAX {
            return self.lose(gateway, records, "too many wait to be durable");
        }
        self.under_way.set(self.under_way.get() + 1);
        let receipt = gateway.shared.intake.submit(batch);
        let own = Rc::clone(gateway);
        tokio::task::spawn_local(async move {
            let events = &own.predictions;
            if let Err(refused) = receipt.await {
                events.lose(&own, records, &format!("{refused:?}"));
            }
            events.under_way.set(events.under_way.get().saturating_sub(1));
            events.ended.notify_waiters();
        });
    }

    fn lose<C: Counters + 'static>(&self, gateway: &Gateway<C>, records: usize, why: &str) {
        self.lost.increment(records as u64);
        self.fault.report(gateway.mono_ns(), |left_out| {
            tracing::error!(records, left_out, why, "prediction events could not be kept");
        });
    }
}

fn write(out: &mut Vec<u8>, told: &Told<'_>) {
    let spec = &told.served.model.spec;
    out.extend_from_slice(b"{\"model\":");
    push_json_string(out, &spec.name);
    out.extend_from_slice(b",\"version\":");
    push_json_string(out, &spec.version);
    out.extend_from_slice(b",\"decision_id\":\"");
    out.extend_from_slice(told.decision.as_bytes());
    out.extend_from_slice(b"\",\"latency_us\":");
    push_number(out, told.latency_ns / 1_000);
    if let Some(rows) = told.rows {
        out.extend_from_slice(b",\"rows\":");
        push_number(out, rows as u64);
    }
    if let Some(inputs) = told.inputs {
        out.extend_from_slice(b",\"inputs\":");
        push_inputs(out, &told.served.inputs, inputs);
        out.extend_from_slice(b",\"outputs\":");
        push_outputs(out, told.outputs);
    }
    out.push(b'}');
}
