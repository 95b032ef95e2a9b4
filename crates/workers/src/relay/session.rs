//! One session of a relay: one lease, one producer.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::sync::mpsc;
use tollgate_core::id::TenantId;
use tollgate_store::{Event, NewParked, Outbox, ParkedFilter, ParkedRow, ParkedState, Policy, RelayLease};

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
}

impl<'r> Session<'r> {
    pub(super) async fn open(relay: &'r Relay, lease: RelayLease) -> Result<Self, Failed> {
        let (sender, acks) = mpsc::channel(relay.options.in_flight_max.max(2));
        let producer = relay.options.producers.open(sender).map_err(|why| (why, None))?;
        let window = Window::new(lease.sent);
        let (noted, noted_ns) = (lease.sent, relay.clock.mono_ns());
        let (held, parked, told) = (HashMap::new(), Vec::new(), HashMap::new());
        let mut session = Self { relay, lease, producer, acks, window, held, parked, told, noted, noted_ns };
        session.read_held().await?;
        Ok(session)
    }

    pub(super) async fn run(&mut self, stop: &mut Stop, faults: &mut Faults) -> Result<Ended, Failed> {
        let outcome = self.go_on(stop, faults).await;
        if outcome.is_err() && (self.window.cursor() > self.noted || !self.parked.is_empty()) {
            // Sessions that break again and again must come forward all the same. Failing only repeats more.
            let _noted = self.write_down().await;
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
            if !self.note().await? {
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
            // What was on its way behind the first one is read again from there.
            self.held.entry(parked.tenant).or_insert(row);
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
            if is_full || outcome.is_err() || event.position != self.window.next() {
                return;
            }
            if self.held.contains_key(&event.sender.tenant) {
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
    async fn note(&mut self) -> Result<bool, Failed> {
        let since_ns = self.relay.clock.mono_ns().saturating_sub(self.noted_ns);
        let moved = self.window.cursor() > self.noted;
        let is_due =
            (moved && since_ns >= NOTE_EVERY_NS) || since_ns >= KEEP_EVERY_NS || !self.parked.is_empty();
        if !is_due {
            return Ok(true);
        }
        if !self.write_down().await? {
            return Ok(false);
        }
        if since_ns >= KEEP_EVERY_NS {
            return self.release().await;
        }
        Ok(true)
    }

    async fn write_down(&mut self) -> Result<bool, Failed> {
        let sent = self.window.cursor();
        let until_us = self.relay.clock.now().wall_us.saturating_add(LEASE_US);
        let store = &self.relay.store;
        let advanced =
            store.advance_relay(&self.lease, (sent, until_us), &self.parked).await.map_err(of_store)?;
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

    async fn read_held(&mut self) -> Result<Vec<ParkedRow>, Failed> {
        let filter = ParkedFilter { sink: Some(self.lease.sink.clone()), open: true, tenant: None };
        let rows = self.relay.store.parked(&filter).await.map_err(of_store)?;
        self.held.clear();
        let mut released = Vec::new();
        for row in rows {
            if row.state != ParkedState::Held && !self.held.contains_key(&row.tenant) {
                released.push(row.clone());
            }
            self.held.entry(row.tenant).or_insert(row);
        }
        Ok(released)
    }

    /// Sends what waited for records that people have released.
    async fn release(&mut self) -> Result<bool, Failed> {
        for row in self.read_held().await? {
            while self.window.in_flight() > 0 {
                let Some(ack) = self.acks.recv().await else { return Ok(true) };
                self.took(ack)?;
            }
            if !self.replay(&row).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends the records of one tenant from a released one up to where the others are.
    async fn replay(&mut self, row: &ParkedRow) -> Result<bool, Failed> {
        let is_skip = row.state == ParkedState::Skip;
        let (mut from, to) = (row.position + u64::from(is_skip), self.window.next());
        while from < to {
            let outbox = self.relay.store.outbox(from).await.map_err(of_store)?;
            if outbox.is_empty() {
                break;
            }
            // The released one goes alone: if it is not taken this time either, none may have passed it.
            let alone = from == row.position;
            let part = self.replay_part(row.tenant, &outbox, (from, to, alone))?;
            if let Some(parked) = self.arrived(part.on_their_way, part.poison).await? {
                self.held.remove(&row.tenant);
                let is_same = parked.position == row.position;
                self.park(parked);
                if !is_same {
                    self.relay.store.settle_parked(row, is_skip).await.map_err(of_store)?;
                }
                return self.write_down().await;
            }
            from = part.next.unwrap_or(outbox.ends);
            if !self.write_down().await? {
                return Ok(false);
            }
        }
        self.relay.store.settle_parked(row, is_skip).await.map_err(of_store)?;
        self.held.remove(&row.tenant);
        Ok(true)
    }

    /// Hands over what some blocks have of one tenant.
    fn replay_part(
        &mut self,
        tenant: TenantId,
        outbox: &Outbox,
        (from, to, alone): (u64, u64, bool),
    ) -> Result<Part, Failed> {
        let mut part = Part::default();
        let mut broken = None;
        let most = self.relay.options.in_flight_max.max(2);
        let read = outbox.each(from, |event| {
            let is_over = broken.is_some() || part.poison.is_some() || part.next.is_some();
            if is_over || event.position >= to || event.sender.tenant != tenant {
                return;
            }
            match self.send(&event) {
                Ok(()) => {
                    part.on_their_way.insert(event.position);
                    let is_enough = alone || part.on_their_way.len() >= most;
                    part.next = is_enough.then_some(event.position + 1);
                }
                Err(SendError::Full) => part.next = Some(event.position),
                Err(SendError::Poison(reason)) => part.poison = Some(of_event(&event, reason, Policy::Hold)),
                Err(SendError::Broken(why)) => broken = Some(why),
            }
        });
        read.map_err(of_store)?;
        match broken {
            Some(why) => Err((format!("the sink does not take records: {why}"), None)),
            None => Ok(part),
        }
    }

    /// Waits for all of these; the first that was not taken.
    async fn arrived(
        &mut self,
        mut on_their_way: HashSet<u64>,
        mut poison: Option<NewParked>,
    ) -> Result<Option<NewParked>, Failed> {
        while !on_their_way.is_empty() {
            let Some(Ack { token, outcome }) = self.acks.recv().await else {
                return Err(("the producer is gone".to_owned(), None));
            };
            on_their_way.remove(&token);
            let told = self.told.remove(&token);
            match (outcome, told) {
                (Ok(()), _) => {}
                (Err(Fault::Broken(why)), _) => {
                    return Err((format!("the sink does not take records: {why}"), None));
                }
                (Err(Fault::Poison(reason)), Some((tenant, event, kind))) => {
                    let policy = Policy::Hold;
                    let found =
                        NewParked { position: token, tenant, event, kind, reason, policy, parked_us: 0 };
                    if poison.as_ref().is_none_or(|known| known.position > token) {
                        poison = Some(found);
                    }
                }
                (Err(Fault::Poison(_)), None) => {}
            }
        }
        Ok(poison)
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
        if self.write_down().await? {
            self.relay.store.leave_relay(&self.lease).await.map_err(of_store)?;
        }
        Ok(Ended::Stopped)
    }
}

/// What was handed over of some blocks.
#[derive(Default)]
struct Part {
    on_their_way: HashSet<u64>,
    poison: Option<NewParked>,
    /// Where to go on, when it stopped before the end.
    next: Option<u64>,
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
