//! Handing on what is no record: the changes of the audit and decisions about requests, each to a topic of its own.
//!
//! Read on from the cursor, sent, acknowledged, noted: the cursor moves over what was acknowledged alone, under a
//! lease with an epoch. After a fault it begins at the cursor again, so everything arrives at least once with an
//! `event_id` that stays, in order. Nothing of it is on the way of a request: decisions are read where nodes have
//! shipped them.

mod messages;

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tollgate_core::time::Clock;
use tollgate_store::{Store, Stream, StreamLease};

use self::messages::{Said, Sampling, of_changes, of_decisions};
use super::{
    LEASE_US, PAUSE, of_store,
    producer::{Ack, Fault, Header, MakeProducer, Message, Producer, SendError},
    window::Window,
};
use crate::{faults::Faults, stop::Stop};

/// How often it is looked for more when there was nothing.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the lease is kept when nothing moves, or nothing is acknowledged.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// Messages on their way at once: what acknowledgements have room for.
const IN_FLIGHT_MAX: usize = 4096;

/// A stream and where it goes.
#[derive(Clone)]
pub struct StreamOptions {
    /// What is handed on.
    pub stream: Stream,
    /// What makes its producers.
    pub producers: Arc<dyn MakeProducer>,
    /// Of allowed decisions one in so many is handed on; of denied ones all are. 1 is all of them.
    pub one_in: u64,
}

pub(crate) struct Streaming {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node: u64,
    pub(crate) options: StreamOptions,
}

type Failed = (String, Option<String>);

/// How a turn ended without a fault.
enum Ended {
    Stopped,
    Elsewhere,
}

impl Streaming {
    pub(crate) async fn run(self, mut stop: Stop) {
        let sink = self.options.stream.sink();
        let mut faults = Faults::of(sink);
        loop {
            match self.turn(&mut stop, &mut faults).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Elsewhere) => {}
                Err((public, cause)) => {
                    metrics::counter!("tollgate_outbox_faults_total", "sink" => sink).increment(1);
                    faults.failed(self.clock.now(), &public, cause.as_deref());
                }
            }
            if stop.pause(PAUSE, std::future::pending()).await {
                return;
            }
        }
    }

    /// From taking the lease until a fault, or the end.
    async fn turn(&self, stop: &mut Stop, faults: &mut Faults) -> Result<Ended, Failed> {
        let now_us = self.clock.now().wall_us;
        let until_us = now_us.saturating_add(LEASE_US);
        let taken = self.store.take_stream(self.options.stream, self.node, (now_us, until_us)).await;
        let Some(lease) = taken.map_err(of_store)? else { return Ok(Ended::Elsewhere) };
        let (sender, acks) = mpsc::channel(IN_FLIGHT_MAX);
        let producer = self.options.producers.open(sender).map_err(|why| (why, None))?;
        let mut session = Session { streaming: self, lease, producer, acks };
        session.go_on(stop, faults).await
    }
}

/// One lease, one producer.
struct Session<'s> {
    streaming: &'s Streaming,
    lease: StreamLease,
    producer: Box<dyn Producer>,
    acks: mpsc::Receiver<Ack>,
}

impl Session<'_> {
    async fn go_on(&mut self, stop: &mut Stop, faults: &mut Faults) -> Result<Ended, Failed> {
        let mut quiet = Duration::ZERO;
        loop {
            if stop.is_asked() {
                self.streaming.store.leave_stream(&self.lease).await.map_err(of_store)?;
                return Ok(Ended::Stopped);
            }
            let (next, said) = self.read().await?;
            let (moved, count) = (next != self.lease, said.len() as u64);
            if !self.send_all(&said, stop).await? {
                return Ok(Ended::Elsewhere);
            }
            if stop.is_asked() {
                continue;
            }
            quiet += LOOK_EVERY;
            if moved || quiet >= KEEP_EVERY {
                self.lease = next;
                quiet = Duration::ZERO;
                if !self.keep().await? {
                    return Ok(Ended::Elsewhere);
                }
                let sink = self.lease.stream.sink();
                metrics::counter!("tollgate_outbox_sent_total", "sink" => sink).increment(count);
                faults.worked();
            }
            if !moved && stop.pause(LOOK_EVERY, std::future::pending()).await {
                continue;
            }
        }
    }

    /// What comes next, and where that leads.
    async fn read(&mut self) -> Result<(StreamLease, Vec<Said>), Failed> {
        let store = &self.streaming.store;
        let mut next = self.lease.clone();
        let said = match next.stream {
            Stream::Audit => {
                let rows = store.changes_after(next.sent).await.map_err(of_store)?;
                next.sent = rows.last().map_or(next.sent, |row| row.seq);
                of_changes(&rows)
            }
            Stream::Decisions => {
                let rows = store.decisions_on(&mut next.cursors).await.map_err(of_store)?;
                next.sent += rows.len() as u64;
                of_decisions(&rows, Sampling { one_in: self.streaming.options.one_in })
            }
        };
        Ok((next, said))
    }

    /// Sends them and waits for all of them, keeping the lease meanwhile; `false` when another has it.
    async fn send_all(&mut self, said: &[Said], stop: &mut Stop) -> Result<bool, Failed> {
        let mut window = Window::new(0);
        let outcome = self.send_through(said, &mut window, stop).await;
        let done = usize::try_from(window.cursor()).unwrap_or(usize::MAX);
        let last = done.checked_sub(1).and_then(|last| said.get(last)).and_then(Said::seq);
        if let (true, Some(seq)) = (done < said.len(), last) {
            // Sessions that break again and again must come forward all the same. Failing only repeats more.
            self.lease.sent = seq;
            let _noted = self.keep().await;
        }
        outcome
    }

    async fn send_through(
        &mut self,
        said: &[Said],
        window: &mut Window,
        stop: &mut Stop,
    ) -> Result<bool, Failed> {
        let mut at = 0;
        // What the brokers refused once: no more than what is on its way.
        let mut shortened = HashSet::new();
        while at < said.len() || window.in_flight() > 0 {
            while let Some(message) = said.get(at).filter(|_| window.in_flight() < IN_FLIGHT_MAX) {
                let sent = match self.send(message, at as u64) {
                    Err(SendError::Poison(reason)) => self.send_shortened(message, at as u64, reason),
                    sent => sent,
                };
                match sent {
                    Ok(()) => window.sent(),
                    Err(SendError::Full) if window.in_flight() > 0 => break,
                    Err(SendError::Full) => return Err(("the producer takes nothing".to_owned(), None)),
                    Err(SendError::Poison(reason)) => {
                        self.passed_over(message, &reason);
                        window.passed();
                    }
                    Err(SendError::Broken(why)) => return Err(broken(&why)),
                }
                at += 1;
            }
            if window.in_flight() == 0 {
                continue;
            }
            let ack = tokio::select! {
                ack = self.acks.recv() => Some(ack.ok_or_else(|| ("the producer is gone".to_owned(), None))?),
                // What is not acknowledged is sent again by whoever comes next.
                () = stop.asked() => return Ok(true),
                () = tokio::time::sleep(KEEP_EVERY) => None,
            };
            match ack {
                None if !self.keep().await? => return Ok(false),
                None => {}
                Some(Ack { token, outcome: Ok(()) }) => window.ended(token),
                Some(Ack { outcome: Err(Fault::Broken(why)), .. }) => return Err(broken(&why)),
                Some(Ack { token, outcome: Err(Fault::Poison(reason)) }) => {
                    let message = usize::try_from(token).ok().and_then(|token| said.get(token));
                    let again = message.filter(|_| shortened.insert(token));
                    if again.is_some_and(|said| self.send_shortened(said, token, reason.clone()).is_ok()) {
                        continue;
                    }
                    window.ended(token);
                    message.into_iter().for_each(|message| self.passed_over(message, &reason));
                }
            }
        }
        Ok(true)
    }

    fn send(&mut self, said: &Said, token: u64) -> Result<(), SendError> {
        let epoch = self.lease.epoch.to_string();
        let mut headers: Vec<Header<'_>> =
            said.headers.iter().map(|(name, value)| ((*name).into(), value.as_str().into())).collect();
        headers.push(("producer_epoch".into(), epoch.as_str().into()));
        self.producer.send(&Message { key: &said.key, payload: &said.data, headers: &headers, token })
    }

    /// Brokers that never take a message would stop all others: it is left out, and said so.
    fn passed_over(&self, said: &Said, reason: &str) {
        let sink = self.lease.stream.sink();
        metrics::counter!("tollgate_outbox_parked_total", "sink" => sink).increment(1);
        tracing::warn!(
            sink,
            event = said.event_id(),
            reason,
            "the brokers do not take a message; it is left out"
        );
    }

    /// Brokers that do not take a change whole are given less of it.
    fn send_shortened(&mut self, said: &Said, token: u64, reason: String) -> Result<(), SendError> {
        let Some(short) = said.shortened() else { return Err(SendError::Poison(reason)) };
        tracing::warn!(
            event = said.event_id(),
            reason,
            "a change goes to its topic without `before` and `after`"
        );
        self.send(&short, token)
    }

    async fn keep(&mut self) -> Result<bool, Failed> {
        let until_us = self.streaming.clock.now().wall_us.saturating_add(LEASE_US);
        let kept = self.streaming.store.advance_stream(&self.lease, until_us).await.map_err(of_store)?;
        Ok(kept.is_ok())
    }
}

fn broken(why: &str) -> Failed {
    (format!("the sink takes nothing: {why}"), None)
}
