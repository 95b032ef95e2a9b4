//! Handing records on to Kafka: one relay at a time, in order, each at least once (I15).
//!
//! The relay holds a lease with an epoch, sends from the cursor on, and moves the cursor over what is
//! acknowledged. After any fault it takes a new producer and begins at the cursor again: what was delivered
//! and not noted comes twice with the same `event_id`, nothing is left out, nothing changes its order. A record
//! that is never taken is parked where people see it, and the later ones of its tenant wait for it.

mod kafka;
mod message;
mod producer;
mod running;
mod session;
mod stream;
mod window;

use std::{sync::Arc, time::Duration};

use tollgate_core::time::Clock;
use tollgate_store::{Policy, Store};

use self::session::{Ended, Session};
pub use self::stream::StreamOptions;
pub use self::{
    kafka::{KAFKA_SPEAKS_TLS, KafkaCheck, KafkaOptions, Sasl},
    producer::{Ack, Acks, Fault, Header, MakeProducer, Message, Producer, SendError},
    running::{EventOptions, Relaying},
};
use crate::{faults::Faults, stop::Stop};

/// How long a lease lasts without being kept. A relay elsewhere begins after that.
const LEASE_US: i64 = 15_000_000;
/// The pause before another try.
const PAUSE: Duration = Duration::from_secs(1);

/// Which records a sink takes, by their type; the others it passes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takes {
    /// All of them.
    #[default]
    All,
    /// Those of one type.
    Only(&'static str),
    /// Those of every other type.
    AllBut(&'static str),
}

impl Takes {
    /// Whether it takes records of a type.
    #[must_use]
    pub fn takes(self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(own) => kind == own,
            Self::AllBut(other) => kind != other,
        }
    }
}

/// The relay of one sink.
#[derive(Clone)]
pub struct RelayOptions {
    /// The name of the sink: what its cursor is told apart by.
    pub sink: String,
    /// Which records it takes.
    pub takes: Takes,
    /// What makes its producers.
    pub producers: Arc<dyn MakeProducer>,
    /// What happens to the later records of a tenant when one is not taken.
    pub policy: Policy,
    /// Messages on their way at once. Default of the binary: 16,384.
    pub in_flight_max: usize,
}

pub(crate) struct Relay {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node: u64,
    pub(crate) options: RelayOptions,
}

impl Relay {
    pub(crate) async fn run(self, mut stop: Stop) {
        describe();
        let mut faults = Faults::of("relay");
        loop {
            match self.turn(&mut stop, &mut faults).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Elsewhere) => {}
                Err((public, cause)) => {
                    metrics::counter!("tollgate_outbox_faults_total", "sink" => self.options.sink.clone())
                        .increment(1);
                    faults.failed(self.clock.now(), &public, cause.as_deref());
                }
            }
            if stop.pause(PAUSE, std::future::pending()).await {
                return;
            }
        }
    }

    /// From taking the lease until a fault, or the end.
    async fn turn(&self, stop: &mut Stop, faults: &mut Faults) -> Result<Ended, (String, Option<String>)> {
        let until_us = |now_us: i64| now_us.saturating_add(LEASE_US);
        let now_us = self.clock.now().wall_us;
        let taken = self.store.take_relay(&self.options.sink, self.node, (now_us, until_us(now_us))).await;
        let Some(lease) = taken.map_err(of_store)? else { return Ok(Ended::Elsewhere) };
        let mut session = Session::open(self, lease).await?;
        session.run(stop, faults).await
    }
}

fn of_store(error: tollgate_store::StoreError) -> (String, Option<String>) {
    (error.to_string(), error.cause().map(str::to_owned))
}

fn describe() {
    metrics::describe_counter!("tollgate_outbox_sent_total", "Records that a sink has acknowledged");
    metrics::describe_counter!("tollgate_outbox_parked_total", "Records that a sink did not take");
    metrics::describe_counter!("tollgate_outbox_faults_total", "Sessions of a relay that ended in a fault");
    metrics::describe_gauge!("tollgate_outbox_lag_records", "Records that a sink has not acknowledged");
}
