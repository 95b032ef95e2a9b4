//! One session of a relay: one lease, one producer. Sending again what people have released is in `replay`.

mod replay;

use std::{collections::HashMap, time::Duration};

use tokio::sync::mpsc;
use tollgate_core::id::TenantId;
use tollgate_store::{Event, NewParked, Outbox, ParkedRow, ParkedState, Policy, RelayLease, SettledSpan};

use super::{
    LEASE_US, Relay,
    message::headers,
    of_store,
    producer::{Ack, Fault, Message, Producer, SendError},
    window::Window,
};
use crate::{faults::Faults, stop::Stop};

/// How often the cursor is written while records are acknowledged.
const NOTE_EVERY_NS: u64 = 250_000_000;
/// How often the lease is kept and released records are looked for when nothing moves.
const KEEP_EVERY_NS: u64 = 2_000_000_000;
/// How often new records are looked for when there were none.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long what is on its way may take at the end.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// How a turn ended without a fault.
pub(super) enum Ended {
    Stopped,
    /// Another relay has the lease.
    Elsewhere,
}

type Failed = (String, Option<String>);

pub(super) struct Session<'r> {
    relay: &'r Relay,
    lease: RelayLease,
    producer: Box<dyn Producer>,
    acks: mpsc::Receiver<Ack>,
    window: Window,
    /// Tenants whose records wait.
    held: HashMap<TenantId, ParkedRow>,
    /// To be parked with the next note.
    parked: Vec<NewParked>,
    /// What was handed over, for saying what it was when it is not taken.
    told: HashMap<u64, (TenantId, String, String)>,
    noted: u64,
    noted_ns: u64,
    /// When it was last looked for released records.
    looked_ns: u64,
}

impl<'r> Session<'r> {
    pub(super) async fn open(relay: &'r Relay, lease: RelayLease) -> Result<Self, Failed> {
        let (sender, acks) = mpsc::channel(relay.options.in_flight_max.max(2));
        let producer = relay.options.producers.open(sender).map_err(|why| (why, None))?;
        let window = Window::new(lease.sent);
        let (noted, noted_ns) = (lease.sent, relay.clock.mono_ns());
        let (held, parked, told) = (HashMap::new(), Vec::new(), HashMap::new());
        let looked_ns = noted_ns;
        let mut session =
            Self { relay, lease, producer, acks, window, held, parked, told, noted, noted_ns, looked_ns };
        session.read_held().await?;
        Ok(session)
    }

    pub(super) async fn run(&mut self, stop: &mut Stop, faults: &mut Faults) -> Result<Ended, Failed> {
        let outcome = self.go_on(stop, faults).await;
        if outcome.is_err() && (self.window.cursor() > self.noted || !self.parked.is_empty()) {
            // Sessions that break again and again must come forward all the same. Failing only repeats more.
            let _noted = self.write_down(None).await;
        }
        outcome
    }

    async fn go_on(&mut self, stop: &mut Stop, faults: &mut Faults) -> Result<Ended, Failed> {
        loop {
            let moved = self.take_acks()?;
            if moved {
                faults.worked();
            }
            let sent = self.fill().await?;
            if !self.note(stop).await? {
                return Ok(Ended::Elsewhere);
            }
            if stop.is_asked() {
                return self.end().await;
            }
            if !moved && !sent {
                self.wait(stop).await?;
            }
        }
    }

    /// Waits for an acknowledgement, or a moment.
    async fn wait(&mut self, stop: &mut Stop) -> Result<(), Failed> {
        let ack = tokio::select! {
            ack = self.acks.recv() => ack,
            () = stop.asked() => None,
            () = tokio::time::sleep(LOOK_EVERY) => None,
        };
        ack.map_or(Ok(()), |ack| self.took(ack))
    }

    fn take_acks(&mut self) -> Result<bool, Failed> {
        let mut moved = false;
        while let Ok(ack) = self.acks.try_recv() {
            self.took(ack)?;
            moved = true;
        }
        Ok(moved)
    }

    fn took(&mut self, ack: Ack) -> Result<(), Failed> {
        let Ack { token, outcome } = ack;
        let told = self.told.remove(&token);
        match outcome {
            Ok(()) => {}
            Err(Fault::Broken(why)) => return Err((format!("the sink does not take records: {why}"), None)),
            Err(Fault::Poison(reason)) => {
                if let Some((tenant, event, kind)) = told {
                    self.park(NewParked {
                        position: token,
                        tenant,
                        event,
                        kind,
                        reason,
                        policy: self.relay.options.policy,
                        parked_us: 0,
                    });
                }
            }
        }
        self.window.ended(token);
        Ok(())
    }

    fn park(&mut self, parked: NewParked) {
        // Held further down already: what was on its way behind that one is read again from there.
        let is_behind = self.held.get(&parked.tenant).is_some_and(|row| row.position < parked.position);
        if is_behind && parked.policy == Policy::Hold {
            return;
        }
        let parked = NewParked { parked_us: self.relay.clock.now().wall_us, ..parked };
        tracing::warn!(
            sink = self.lease.sink,
            event = parked.event,
            kind = parked.kind,
            reason = parked.reason,
            "a record is not taken; see `tollgate outbox list`"
        );
        metrics::counter!("tollgate_outbox_parked_total", "sink" => self.lease.sink.clone()).increment(1);
        if parked.policy == Policy::Hold {
            let row = ParkedRow {
                sink: self.lease.sink.clone(),
                position: parked.position,
                tenant: parked.tenant,
                event: parked.event.clone(),
                kind: parked.kind.clone(),
                reason: parked.reason.clone(),
                state: ParkedState::Held,
                parked_us: parked.parked_us,
            };
            self.held.insert(parked.tenant, row);
        }
        self.parked.push(parked);
    }

    /// Hands records over until enough are on their way; whether any was.
    async fn fill(&mut self) -> Result<bool, Failed> {
        let most = self.relay.options.in_flight_max.max(2);
        // Half of them at a time, so that a block is not read again for every few.
        if self.window.in_flight() > most / 2 {
            return Ok(false);
        }
        let outbox = self.relay.store.outbox(self.window.next()).await.map_err(of_store)?;
        let before = self.window.next();
        self.hand_over(&outbox, most)?;
        Ok(self.window.next() > before)
    }

    fn hand_over(&mut self, outbox: &Outbox, most: usize) -> Result<(), Failed> {
        let mut outcome = Ok(());
        let mut is_full = false;
        let read = outbox.each(self.window.next(), |event| {
            if is_full || outcome.is_err() {
                return;
            }
            if event.position != self.window.next() {
                outcome = Err((gap(&self.lease.sink, self.window.next(), event.position), None));
                return;
            }
            if !self.relay.options.takes.takes(event.kind) || self.held.contains_key(&event.sender.tenant) {
                self.window.passed();
                return;
            }
            match self.send(&event) {
                Ok(()) => {
                    self.window.sent();
                    is_full = self.window.in_flight() >= most;
                }
                Err(SendError::Full) => is_full = true,
                Err(SendError::Poison(reason)) => {
                    self.park(of_event(&event, reason, self.relay.options.policy));
                    self.window.passed();
                }
                Err(SendError::Broken(why)) => {
                    outcome = Err((format!("the sink does not take records: {why}"), None))
                }
            }
        });
        read.map_err(of_store)?;
        outcome
    }

    fn send(&mut self, event: &Event<'_>) -> Result<(), SendError> {
        let event_id = event.event_id();
        let key = event.sender.tenant.to_string();
        let headers = headers(event, &event_id, &self.lease);
        let token = event.position;
        self.producer.send(&Message { key: &key, payload: event.data, headers: &headers, token })?;
        drop(headers);
        self.told.insert(token, (event.sender.tenant, event_id, event.kind.to_owned()));
        Ok(())
    }

    /// Writes down how far it is, when it is time; `false` when another relay has taken over.
    async fn note(&mut self, stop: &mut Stop) -> Result<bool, Failed> {
        let now_ns = self.relay.clock.mono_ns();
        let since_ns = now_ns.saturating_sub(self.noted_ns);
        let moved = self.window.cursor() > self.noted;
        let is_due =
            (moved && since_ns >= NOTE_EVERY_NS) || since_ns >= KEEP_EVERY_NS || !self.parked.is_empty();
        if is_due && !self.write_down(None).await? {
            return Ok(false);
        }
        if now_ns.saturating_sub(self.looked_ns) >= KEEP_EVERY_NS {
            self.looked_ns = now_ns;
            return self.release(stop).await;
        }
        Ok(true)
    }

    /// Writes down how far it is, with what is parked and what has gone on, all in one commit; `false` when
    /// another relay has taken over.
    async fn write_down(&mut self, settled: Option<SettledSpan>) -> Result<bool, Failed> {
        let sent = self.window.cursor();
        let until_us = self.relay.clock.now().wall_us.saturating_add(LEASE_US);
        let store = &self.relay.store;
        let advanced = store.advance_relay(&self.lease, (sent, until_us), &self.parked, settled).await;
        let advanced = advanced.map_err(of_store)?;
        if advanced.is_err() {
            tracing::warn!(sink = self.lease.sink, epoch = self.lease.epoch, "another relay has taken over");
            return Ok(false);
        }
        self.parked.clear();
        let sink = self.lease.sink.clone();
        metrics::counter!("tollgate_outbox_sent_total", "sink" => sink.clone()).increment(sent - self.noted);
        let ends = store.events_end().await.map_err(of_store)?;
        metrics::gauge!("tollgate_outbox_lag_records", "sink" => sink).set(ends.saturating_sub(sent) as f64);
        (self.noted, self.noted_ns) = (sent, self.relay.clock.mono_ns());
        Ok(true)
    }

    /// Waits for an acknowledgement, keeping the lease meanwhile.
    async fn heard(&mut self, stop: &mut Stop) -> Result<Heard, Failed> {
        loop {
            tokio::select! {
                ack = self.acks.recv() => {
                    let gone = || ("the producer is gone".to_owned(), None);
                    return ack.map(Heard::Ack).ok_or_else(gone);
                }
                () = stop.asked() => return Ok(Heard::Stop),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let since_ns = self.relay.clock.mono_ns().saturating_sub(self.noted_ns);
            if since_ns >= KEEP_EVERY_NS && !self.write_down(None).await? {
                return Ok(Heard::Lost);
            }
        }
    }

    /// Waits for what is on its way, notes it and gives the lease back.
    async fn end(&mut self) -> Result<Ended, Failed> {
        let rest = async {
            while self.window.in_flight() > 0 {
                let Some(ack) = self.acks.recv().await else { break };
                self.took(ack)?;
            }
            Ok::<(), Failed>(())
        };
        // What is not acknowledged in time is sent again by whoever comes next.
        if let Ok(ended) = tokio::time::timeout(END_PATIENCE, rest).await {
            ended?;
        }
        if self.write_down(None).await? {
            self.relay.store.leave_relay(&self.lease).await.map_err(of_store)?;
        }
        Ok(Ended::Stopped)
    }
}

/// What came while waiting for an acknowledgement.
enum Heard {
    Ack(Ack),
    Stop,
    /// Another relay has the lease.
    Lost,
}

fn gap(sink: &str, from: u64, to: u64) -> String {
    format!(
        "the records {from} to {to} that `{sink}` has not had are not in the database; nothing is sent there \
         until its cursor is set"
    )
}

fn of_event(event: &Event<'_>, reason: String, policy: Policy) -> NewParked {
    NewParked {
        position: event.position,
        tenant: event.sender.tenant,
        event: event.event_id(),
        kind: event.kind.to_owned(),
        reason,
        policy,
        parked_us: 0,
    }
}
