//! What one lane works with: its journal, its view of the tables, its resolvers and pools, and what
//! it shares with the other lanes.
//!
//! Everything of [`Gateway`] belongs to one thread; only [`Shared`] is seen by several. What is done
//! with it is said by `pipeline` and `proxy`.

pub(crate) mod account;
pub(crate) mod beyond;
pub(crate) mod bill;
pub(crate) mod call_account;
pub(crate) mod detached;
pub(crate) mod flow;
pub(crate) mod gathered;
pub(crate) mod purse;
mod remotes;
mod replays;
pub(crate) mod tables;
pub(crate) mod throttle;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
};

use tollgate_core::{
    code::Code,
    counters::Counters,
    id::DecisionId,
    serving::Models,
    tables::Snapshot,
    time::{Clock, Now},
};
use tollgate_journal::{Record, Ticket, Writer};
use tollgate_wire::text::{DecisionText, DecisionTexts};

use self::{detached::Detached, gathered::Events, remotes::Remotes, replays::Replays, tables::LaneTables};
use crate::{
    assertion::Assertions,
    bound_host::BoundHosts,
    denial::Denial,
    faults::Fault,
    http::{answer::FinishRefused, exchange::Lane, upstream::Upstreams},
    intake::{Intake, Room, Validators},
    meters::Meters,
    options::GatewayOptions,
    ports::{Ports, SharedLimits, Treasury},
    service::balance::Registry,
    slow_hash::{RehashSink, SlowHashes},
};

/// What all lanes share.
pub(crate) struct Shared<C> {
    pub(crate) options: GatewayOptions,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) counters: Arc<C>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rehash: Arc<dyn RehashSink>,
    pub(crate) slow_hashes: SlowHashes,
    pub(crate) unknown_keys: throttle::Throttle,
    pub(crate) malformed_keys: throttle::Throttle,
    pub(crate) registry: Registry,
    pub(crate) treasury: Arc<dyn Treasury>,
    pub(crate) limits: Arc<dyn SharedLimits>,
    /// Bytes of the bodies of model calls that are held now, by all lanes.
    pub(crate) bodies_held: AtomicU64,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) ingest_room: Arc<Room>,
    pub(crate) models: Arc<dyn Models>,
    pub(crate) replays: Replays,
}

impl<C> Shared<C> {
    /// Takes the ports apart: what is shared, and the writers of the lanes.
    pub(crate) fn new(options: GatewayOptions, ports: Ports<C>) -> std::io::Result<(Self, Vec<Writer>)> {
        let registry = Registry::new(options.upstream_egress.clone());
        let ingest_room = Room::new(options.ingest_bytes_max);
        let shared = Self {
            slow_hashes: SlowHashes::start(options.slow_hash_threads, options.slow_hash_queue)?,
            unknown_keys: throttle::Throttle::new(options.bad_keys),
            malformed_keys: throttle::Throttle::new(options.bad_keys),
            options,
            snapshot: ports.snapshot,
            counters: ports.counters,
            clock: ports.clock,
            rehash: ports.rehash,
            registry,
            treasury: ports.treasury,
            limits: ports.limits,
            bodies_held: AtomicU64::new(0),
            intake: ports.intake,
            ingest_room,
            models: ports.models,
            replays: Replays::default(),
        };
        Ok((shared, ports.writers))
    }
}

/// The gateway on one lane.
pub(crate) struct Gateway<C> {
    pub(crate) shared: Arc<Shared<C>>,
    lane: Lane,
    /// Without a writer nothing can be counted, and so everything is refused.
    writer: Option<Writer>,
    /// The boot id, for answers that have no ticket.
    boot: u64,
    unrecorded: Cell<u64>,
    pub(crate) hosts: BoundHosts,
    pub(crate) upstreams: Upstreams,
    pub(crate) assertions: Assertions,
    pub(crate) validators: Validators,
    tables: RefCell<Rc<LaneTables>>,
    ids: Cell<DecisionTexts>,
    pub(crate) meters: Meters,
    pub(crate) upstream_fault: Fault,
    journal_fault: Fault,
    /// Calls that go on after their client has left.
    pub(crate) detached: Detached,
    /// Where remote models are.
    pub(crate) remotes: Remotes,
    /// Events of predictions on their way.
    pub(crate) predictions: Events,
    pub(crate) predict_fault: Fault,
}

impl<C: Counters + 'static> Gateway<C> {
    /// Begins a lane.
    pub(crate) fn new(shared: Arc<Shared<C>>, lane: Lane, writer: Option<Writer>, hosts: BoundHosts) -> Self {
        let boot = writer.as_ref().and_then(|writer| writer.reserve().ok());
        let tables = LaneTables::new(&shared.snapshot);
        Self {
            boot: boot.map_or(0, |ticket| ticket.decision().boot),
            upstreams: Upstreams::new(shared.options.pool.clone()),
            assertions: Assertions::new(shared.options.assertion.clone()),
            validators: Validators::default(),
            hosts,
            shared,
            lane,
            writer,
            unrecorded: Cell::new(0),
            ids: Cell::new(DecisionTexts::new(DecisionId { boot: 0, lane: lane.0, number: 0 })),
            tables: RefCell::new(Rc::new(tables)),
            meters: Meters::new(lane.0),
            upstream_fault: Fault::default(),
            journal_fault: Fault::default(),
            detached: Detached::default(),
            remotes: Remotes::default(),
            predictions: Events::default(),
            predict_fault: Fault::default(),
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// The present moment for lengths of time, nanoseconds.
    pub(crate) fn mono_ns(&self) -> u64 {
        self.shared.clock.mono_ns()
    }

    /// The small tables and the blocks as they are now, with what this lane has made of them.
    pub(crate) fn tables(&self) -> Rc<LaneTables> {
        let known = self.tables.borrow().clone();
        if known.is_of(&self.shared.snapshot) {
            return known;
        }
        let renewed = Rc::new(known.renewed(&self.shared.snapshot));
        self.tables.replace(renewed.clone());
        renewed
    }

    /// Refuses while the node cannot prove that its keys are fresh (I3).
    pub(crate) fn check_fresh(&self, now: Now) -> Result<(), Denial> {
        if self.shared.snapshot.is_fresh(now.mono_ns) {
            return Ok(());
        }
        Err(Denial::new(Code::AuthStale, ""))
    }

    /// Takes a ticket, or an id for the answer that says that there is none.
    pub(crate) fn ticket(&self) -> Result<Ticket, DecisionId> {
        let refused = match self.writer.as_ref().map(Writer::reserve) {
            Some(Ok(ticket)) => return Ok(ticket),
            Some(Err(error)) => error.to_string(),
            None => "this lane has no writer".to_owned(),
        };
        self.meters.journal_full.increment(1);
        self.journal_fault.report(self.mono_ns(), |left_out| {
            tracing::error!(lane = self.lane.0, left_out, "requests are refused: {refused}");
        });
        // Not the number of any record: those count up from 0.
        let number = (1 << 63) | self.unrecorded.replace(self.unrecorded.get() + 1);
        Err(DecisionId { boot: self.boot, lane: self.lane.0, number })
    }

    /// The text of a decision's id.
    pub(crate) fn text_of(&self, id: DecisionId) -> DecisionText {
        let mut ids = self.ids.get();
        let text = ids.text(id);
        self.ids.set(ids);
        text
    }

    /// Writes a record.
    pub(crate) fn append(&self, ticket: Ticket, record: &Record<'_>) -> Result<(), FinishRefused> {
        let written = self.writer.as_ref().map(|writer| writer.append(ticket, record));
        match written {
            Some(Ok(_position)) => Ok(()),
            Some(Err(error)) => {
                self.journal_fault.report(self.mono_ns(), |left_out| {
                    tracing::error!(lane = self.lane.0, left_out, %error, "an answer was cut: it could not be journalled");
                });
                Err(FinishRefused)
            }
            None => Err(FinishRefused),
        }
    }
}
