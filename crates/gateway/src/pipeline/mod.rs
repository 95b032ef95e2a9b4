//! The way of a request: ticket, address, path, freshness, service, key, decision, forwarding,
//! record. One file a step; this one holds the order.
//!
//! Decisions come from `core` alone: nothing here allows what `admit` refuses. Every request gets a
//! ticket before any work, and with it the id that is journalled, answered as `X-Request-Id` and
//! sent upstream; without a ticket it is refused, for it could not be counted (I12).

pub(crate) mod account;
mod admission;
pub(crate) mod cors;
pub(crate) mod credential;
mod denial;
mod entrance;
mod own;
mod tables;
pub(crate) mod throttle;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use tollgate_core::{
    code::Code,
    counters::Counters,
    id::DecisionId,
    tables::Snapshot,
    time::{Clock, Now},
};
use tollgate_journal::{Record, Ticket, Writer};
use tollgate_wire::text;

pub(crate) use self::{
    account::Account,
    admission::{Caller, Identity, NO_SUCH_KEY, Recognition, flaw_denial, policy_of, tenant_of},
    denial::{Denial, RateFields, rate_fields},
    entrance::{Sender, bare_host, only},
    tables::LaneTables,
};
use crate::{
    assertion::Assertions,
    bound_host::BoundHosts,
    faults::Fault,
    http::{
        answer::{Answer, FinishRefused},
        exchange::{Exchange, Handler, Lane, Peer},
        field::FieldValue,
        guard::Malformed,
        head::RequestHead,
        upstream::Upstreams,
    },
    meters::Meters,
    names,
    options::GatewayOptions,
    ports::Ports,
    proxy::{self, balance::Registry},
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
}

impl<C> Shared<C> {
    /// Takes the ports apart: what is shared, and the writers of the lanes.
    pub(crate) fn new(options: GatewayOptions, ports: Ports<C>) -> std::io::Result<(Self, Vec<Writer>)> {
        let shared = Self {
            slow_hashes: SlowHashes::start(options.slow_hash_threads, options.slow_hash_queue)?,
            unknown_keys: throttle::Throttle::new(options.bad_keys),
            malformed_keys: throttle::Throttle::new(options.bad_keys),
            options,
            snapshot: ports.snapshot,
            counters: ports.counters,
            clock: ports.clock,
            rehash: ports.rehash,
            registry: Registry::default(),
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
    tables: RefCell<Rc<LaneTables>>,
    pub(crate) meters: Meters,
    pub(crate) upstream_fault: Fault,
    journal_fault: Fault,
}

impl<C: Counters + 'static> Gateway<C> {
    /// Begins a lane.
    pub(crate) fn new(shared: Arc<Shared<C>>, lane: Lane, writer: Option<Writer>, hosts: BoundHosts) -> Self {
        let boot = writer.as_ref().and_then(|writer| writer.reserve().ok());
        let tables = LaneTables::new(shared.snapshot.tables());
        Self {
            boot: boot.map_or(0, |ticket| ticket.decision().boot),
            upstreams: Upstreams::new(shared.options.pool.clone()),
            assertions: Assertions::new(shared.options.assertion.clone()),
            hosts,
            shared,
            lane,
            writer,
            unrecorded: Cell::new(0),
            tables: RefCell::new(Rc::new(tables)),
            meters: Meters::new(lane.0),
            upstream_fault: Fault::default(),
            journal_fault: Fault::default(),
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// The small tables as they are now, with what this lane has made of them.
    pub(crate) fn tables(&self) -> Rc<LaneTables> {
        let current = self.shared.snapshot.tables_ref();
        let known = self.tables.borrow().clone();
        if known.is_of(&current) {
            return known;
        }
        let renewed = Rc::new(known.renewed(Arc::clone(&current)));
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
        self.journal_fault.report(self.now().mono_ns, |left_out| {
            tracing::error!(lane = self.lane.0, left_out, "requests are refused: {refused}");
        });
        // Not the number of any record: those count up from 0.
        let number = (1 << 63) | self.unrecorded.replace(self.unrecorded.get() + 1);
        Err(DecisionId { boot: self.boot, lane: self.lane.0, number })
    }

    /// Writes a record.
    pub(crate) fn append(&self, ticket: Ticket, record: &Record<'_>) -> Result<(), FinishRefused> {
        let written = self.writer.as_ref().map(|writer| writer.append(ticket, record));
        match written {
            Some(Ok(_position)) => Ok(()),
            Some(Err(error)) => {
                self.journal_fault.report(self.now().mono_ns, |left_out| {
                    tracing::error!(lane = self.lane.0, left_out, %error, "an answer was cut: it could not be journalled");
                });
                Err(FinishRefused)
            }
            None => Err(FinishRefused),
        }
    }

    async fn answer(self: &Rc<Self>, account: &mut Account<C>, exchange: Exchange, now: Now) -> Answer {
        let mut grant = None;
        let mut answer = match self.pass(account, exchange, now, &mut grant).await {
            Ok(answer) => answer,
            Err(denial) => {
                account.note_outcome(denial.code(), denial.detail());
                denial.into_answer(account.id())
            }
        };
        if let Some(grant) = grant {
            cors::Grant::write(grant, &mut answer.head);
        }
        answer.head.set(names::X_REQUEST_ID.clone(), account.request_id());
        answer
    }

    async fn pass(
        self: &Rc<Self>,
        account: &mut Account<C>,
        mut exchange: Exchange,
        now: Now,
        grant: &mut Option<cors::Grant>,
    ) -> Result<Answer, Denial> {
        let head = &exchange.head;
        let sender = Sender::of(exchange.peer, head, &self.shared.options.trusted_proxies);
        account.note_address(sender.address);
        let path: Rc<str> = match entrance::path(head) {
            Ok(path) => Rc::from(&*path),
            Err(error) => return Err(Denial::new(Code::MalformedRequest, error.to_string())),
        };
        account.note_path(&path);
        let request = admission::Request { path: &path, sender, now };
        if let Some(endpoint) = own::endpoint(head.method(), &path) {
            return self.serve_own(endpoint, account, &exchange, request).await;
        }
        self.check_fresh(now)?;
        let preflight = cors::preflight_method(head);
        let Some(service) = self.tables().route(head, &path, preflight, &self.shared.registry) else {
            return Err(Denial::new(Code::NoService, ""));
        };
        account.note_service(&service.service);
        if let Some(cors) = &service.cors {
            if preflight.is_some() {
                account.note_outcome(Code::Valid, "");
                return Ok(cors.preflight(head));
            }
            *grant = Some(cors.grant(head));
        }
        let caller = if service.service.spec.public {
            account.note_outcome(Code::Valid, "");
            Caller::public(head, &service.places)
        } else {
            self.admit(account, &exchange, request, &service).await?
        };
        exchange.body.limit(service.body_bytes_max(&self.shared.options)).map_err(proxy::body_denial)?;
        proxy::forward(self, account, exchange, proxy::Passage { service, caller, path, sender }).await
    }
}

/// What the engine hands requests to.
pub(crate) struct Gate<C>(pub(crate) Rc<Gateway<C>>);

impl<C: Counters + 'static> Handler for Gate<C> {
    async fn handle(self: Rc<Self>, exchange: Exchange) -> Answer {
        let gateway = &self.0;
        let now = gateway.now();
        let ticket = match gateway.ticket() {
            Ok(ticket) => ticket,
            Err(id) => return unrecorded(id),
        };
        let mut account = Account::open(gateway, ticket, now);
        account.note_head(&exchange.head);
        let answer = gateway.answer(&mut account, exchange, now).await;
        account.seal(answer)
    }

    fn refused(&self, peer: Peer, why: Malformed, head: Option<&RequestHead>) -> Answer {
        let gateway = &self.0;
        let ticket = match gateway.ticket() {
            Ok(ticket) => ticket,
            Err(id) => return unrecorded(id),
        };
        let mut account = Account::open(gateway, ticket, gateway.now());
        account.note_address(peer.addr.ip().to_canonical());
        if let Some(head) = head {
            account.note_head(head);
        }
        let code = if why.is_too_large() { Code::HeadTooLarge } else { Code::MalformedRequest };
        let detail = why.to_string();
        account.note_outcome(code, &detail);
        let mut answer = Denial::new(code, detail).into_answer(account.id());
        set_request_id(&mut answer, account.id());
        account.seal(answer)
    }
}

/// The answer to a request that could not be counted.
fn unrecorded(id: DecisionId) -> Answer {
    let mut answer = Denial::new(Code::Overloaded, "").into_answer(id);
    set_request_id(&mut answer, id);
    answer
}

/// The id of a decision as a field value.
pub(crate) fn request_id(id: DecisionId) -> FieldValue {
    FieldValue::parse(text::decision_id(id)).unwrap_or_else(|_| FieldValue::of(""))
}

pub(crate) fn set_request_id(answer: &mut Answer, id: DecisionId) {
    answer.head.set(names::X_REQUEST_ID.clone(), request_id(id));
}
