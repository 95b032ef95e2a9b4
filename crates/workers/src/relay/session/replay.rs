//! Sending again, in their order, the records of a tenant from a released one up to where the others are. A tenant
//! is never without what holds it, before or after a crash, until all that waited has gone.

use std::collections::{HashMap, HashSet};

use tollgate_core::id::TenantId;
use tollgate_store::{NewParked, Outbox, ParkedFilter, ParkedRow, ParkedState, Policy, SettledSpan};

use super::{Failed, Heard, Session, of_event};
use crate::{
    relay::{
        of_store,
        producer::{Ack, Fault, SendError},
    },
    stop::Stop,
};

impl Session<'_> {
    /// The first open record of each tenant waits; those that people have released.
    pub(super) async fn read_held(&mut self) -> Result<Vec<ParkedRow>, Failed> {
        let rows = self.relay.store.first_parked(&self.lease.sink).await.map_err(of_store)?;
        // What is not written yet holds as well.
        let unwritten =
            self.held.extract_if(|_, row| self.parked.iter().any(|new| new.position == row.position));
        let mut held: HashMap<TenantId, ParkedRow> = unwritten.collect();
        let mut released = Vec::new();
        for row in rows {
            if held.get(&row.tenant).is_some_and(|first| first.position <= row.position) {
                continue;
            }
            if row.state != ParkedState::Held {
                released.push(row.clone());
            }
            held.insert(row.tenant, row);
        }
        self.held = held;
        Ok(released)
    }

    /// Sends what waited for records that people have released.
    pub(super) async fn release(&mut self, stop: &mut Stop) -> Result<bool, Failed> {
        for row in self.read_held().await? {
            while self.window.in_flight() > 0 {
                match self.heard(stop).await? {
                    Heard::Ack(ack) => self.took(ack)?,
                    Heard::Stop => return Ok(true),
                    Heard::Lost => return Ok(false),
                }
            }
            // An earlier one of the tenant may have turned out not to be taken meanwhile.
            let is_first = self.held.get(&row.tenant).is_some_and(|first| first.position == row.position);
            if is_first && !self.replay(&row, stop).await? {
                return Ok(false);
            }
            if stop.is_asked() {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Sends the records of one tenant from a released one up to where the others are.
    async fn replay(&mut self, row: &ParkedRow, stop: &mut Stop) -> Result<bool, Failed> {
        let (mut from, to) = (row.position, self.window.next());
        let left_out = self.left_out(row.tenant).await?;
        while from < to {
            let outbox = self.relay.store.outbox(from).await.map_err(of_store)?;
            if outbox.is_empty() {
                break;
            }
            // The released one goes alone: if it is not taken this time either, none may have passed it.
            let alone = from == row.position;
            let part = self.replay_part((row.tenant, &left_out), &outbox, (from, to, alone))?;
            match self.arrived(part.on_their_way, part.poison, stop).await? {
                Arrived::All(None) => {}
                Arrived::All(Some(parked)) => {
                    let span = SettledSpan { tenant: row.tenant, from: row.position, to: parked.position };
                    self.held.remove(&row.tenant);
                    self.park(parked);
                    // The old one goes and the new one comes in one commit: one of the two always holds.
                    return self.write_down(Some(span)).await;
                }
                Arrived::Stop => return Ok(true),
                Arrived::Lost => return Ok(false),
            }
            from = part.next.unwrap_or(outbox.ends);
            if !self.write_down(None).await? {
                return Ok(false);
            }
        }
        let span = SettledSpan { tenant: row.tenant, from: row.position, to };
        let is_ours = self.write_down(Some(span)).await?;
        if is_ours {
            self.held.remove(&row.tenant);
        }
        Ok(is_ours)
    }

    /// The positions of a tenant that people have said to leave out.
    async fn left_out(&mut self, tenant: TenantId) -> Result<HashSet<u64>, Failed> {
        let filter = ParkedFilter { sink: Some(self.lease.sink.clone()), open: true, tenant: Some(tenant) };
        let rows = self.relay.store.parked(&filter).await.map_err(of_store)?;
        Ok(rows.iter().filter(|row| row.state == ParkedState::Skip).map(|row| row.position).collect())
    }

    /// Hands over what some blocks have of one tenant.
    fn replay_part(
        &mut self,
        (tenant, left_out): (TenantId, &HashSet<u64>),
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
            if left_out.contains(&event.position) || !self.relay.options.takes.takes(event.kind) {
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
        stop: &mut Stop,
    ) -> Result<Arrived, Failed> {
        while !on_their_way.is_empty() {
            let Ack { token, outcome } = match self.heard(stop).await? {
                Heard::Ack(ack) => ack,
                Heard::Stop => return Ok(Arrived::Stop),
                Heard::Lost => return Ok(Arrived::Lost),
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
        Ok(Arrived::All(poison))
    }
}

/// What became of what was handed over again.
enum Arrived {
    /// All of it was answered; the first that was not taken.
    All(Option<NewParked>),
    Stop,
    /// Another relay has the lease.
    Lost,
}

/// What was handed over of some blocks.
#[derive(Default)]
struct Part {
    on_their_way: HashSet<u64>,
    poison: Option<NewParked>,
    /// Where to go on, when it stopped before the end.
    next: Option<u64>,
}
