//! What a request will be accounted as, written exactly once.
//!
//! An account is opened before any work and closed before the last byte of the answer leaves, or
//! by being dropped when the client goes away first. Either way one record reaches the journal and
//! everything held for the request (a place in flight, an upstream's load) is given back exactly
//! once (I12, I17).

use std::{net::IpAddr, rc::Rc, sync::Arc};

use smallvec::SmallVec;
use tollgate_core::{
    admit::{Check, CheckSet, Decision},
    code::Code,
    counters::{Counters, Measure, RuleId},
    id::DecisionId,
    keyring::KeyRecord,
    money::price::Provider,
    policy::Policy,
    predict_spec::ModelSpec,
    resource::{ServiceKind, Unit},
    service::Service,
    time::Now,
};
use tollgate_journal::{Charge, Charges, Entry, Flags, Record, Ticket, USER_AGENT_BYTES_MAX};
use tollgate_wire::text::DecisionText;

use super::{
    Gateway,
    bill::Charged,
    call_account::{CallAccount, Unrecorded},
    flow::Flow,
};
use crate::{
    http::{
        answer::{Answer, AnswerHead, Finish, FinishHook, FinishInfo, FinishRefused},
        head::RequestHead,
    },
    meters::Served,
    names,
    service::balance::Load,
};

/// The number of a method in the journal; the reader of the journal shows the same names.
pub fn method_number(method: &str) -> u8 {
    METHODS
        .iter()
        .position(|name| *name == method)
        .and_then(|index| u8::try_from(index + 1).ok())
        .unwrap_or(0)
}

/// The methods that have a number of their own, beginning with 1; 0 is any other.
pub const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// A User-Agent of this length needs no memory of its own.
const USER_AGENT_BYTES_USUAL: usize = 64;

/// One open account.
pub(crate) struct Account<C: Counters + 'static> {
    gateway: Rc<Gateway<C>>,
    ticket: Option<Ticket>,
    id: DecisionId,
    /// Its text, which is needed twice.
    request_id: DecisionText,
    opened: Now,
    pub(crate) entry: Entry,
    code: Code,
    charges: SmallVec<[Charge; 2]>,
    held: SmallVec<[(RuleId, u64); 1]>,
    path: Option<Rc<str>>,
    detail: Box<str>,
    /// UTF-8.
    user_agent: SmallVec<[u8; USER_AGENT_BYTES_USUAL]>,
    load: Option<Load>,
    /// When the upstream answered, nanoseconds.
    answered_ns: u64,
    /// When all of the answer was here, if that is known already.
    ended_ns: Option<u64>,
    /// Whose error shape a refusal has; `None` for problem+json.
    shape: Option<Provider>,
    /// Of a call to a model.
    pub(crate) call: Option<Box<CallAccount<C>>>,
    /// The registered model of a prediction.
    predicted: Option<Arc<ModelSpec>>,
}

impl<C: Counters + 'static> Account<C> {
    /// Opens the account of a request that has a ticket.
    pub(crate) fn open(gateway: &Rc<Gateway<C>>, ticket: Ticket, now: Now) -> Box<Self> {
        gateway.meters.opened();
        let mut account = Box::new(Self::blank(gateway, ticket.decision(), now));
        account.ticket = Some(ticket);
        account
    }

    /// An account of nothing, which writes nothing.
    fn blank(gateway: &Rc<Gateway<C>>, id: DecisionId, now: Now) -> Self {
        Self {
            id,
            request_id: gateway.text_of(id),
            gateway: gateway.clone(),
            ticket: None,
            opened: now,
            entry: Entry { at_us: now.wall_us, ..Entry::default() },
            // What is not decided when the client goes away was waiting for something scarce.
            code: Code::Overloaded,
            charges: SmallVec::new(),
            held: SmallVec::new(),
            path: None,
            detail: Box::default(),
            user_agent: SmallVec::new(),
            load: None,
            answered_ns: 0,
            ended_ns: None,
            shape: None,
            call: None,
            predicted: None,
        }
    }

    /// Gives all that is open to another owner, who may outlive the request; what is left writes nothing.
    pub(crate) fn hand_over(&mut self) -> Box<Self> {
        let mut other = Box::new(Self::blank(&self.gateway, self.id, self.opened));
        std::mem::swap(self, &mut other);
        other
    }

    /// The lane that it is of.
    pub(crate) fn gateway(&self) -> &Rc<Gateway<C>> {
        &self.gateway
    }

    /// Whose error shape a refusal of this request has; `None` for problem+json.
    pub(crate) fn shape(&self) -> Option<Provider> {
        self.shape
    }

    /// The id of the decision.
    pub(crate) fn id(&self) -> DecisionId {
        self.id
    }

    /// When it was opened.
    pub(crate) fn opened(&self) -> Now {
        self.opened
    }

    /// The id as `X-Request-Id` has it.
    pub(crate) fn request_id(&self) -> DecisionText {
        self.request_id
    }

    /// Puts the id on its answer.
    pub(crate) fn write_request_id(&self, head: &mut AnswerHead) {
        head.set_text(&names::X_REQUEST_ID, |out| out.extend_from_slice(self.request_id.as_bytes()));
    }

    /// Notes what the head says.
    pub(crate) fn note_head(&mut self, head: &RequestHead) {
        self.entry.method = method_number(head.method());
        if let Some(agent) = head.header("user-agent") {
            self.note_user_agent(agent);
        }
    }

    /// Notes the program that calls.
    pub(crate) fn note_user_agent(&mut self, agent: &[u8]) {
        let kept = agent.get(..agent.len().min(USER_AGENT_BYTES_MAX)).unwrap_or(agent);
        self.user_agent.clear();
        match std::str::from_utf8(kept) {
            Ok(_) => self.user_agent.extend_from_slice(kept),
            Err(_) => self.user_agent.extend_from_slice(String::from_utf8_lossy(kept).as_bytes()),
        }
    }

    /// Notes which registered model is asked: never what a client calls one, which has no bound.
    pub(crate) fn note_model(&mut self, model: &Arc<ModelSpec>) {
        self.predicted = Some(Arc::clone(model));
    }

    /// Notes who the client is.
    pub(crate) fn note_address(&mut self, address: IpAddr) {
        self.entry.address = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
    }

    /// Notes the path in its one spelling.
    pub(crate) fn note_path(&mut self, path: &Rc<str>) {
        self.path = Some(path.clone());
    }

    /// Notes the service.
    pub(crate) fn note_service(&mut self, service: &Service) {
        self.entry.service = service.id.0;
        self.entry.project = service.project.0;
        self.entry.tenant = service.tenant.0;
        if service.spec.kind == ServiceKind::Llm {
            self.shape = service.spec.provider;
        }
    }

    /// Notes the key, with the tenant of its project.
    pub(crate) fn note_key(&mut self, record: &KeyRecord, tenant: u64) {
        self.entry.key = record.id.0;
        self.entry.consumer = record.consumer.0;
        self.entry.generation = record.generation;
        self.entry.policy = record.policy.map_or(0, |policy| policy.0);
        // Without a service the key says where it happened; with one the service does.
        if self.entry.service == 0 {
            self.entry.project = record.project.0;
            self.entry.tenant = tenant;
        }
    }

    /// Notes the decision and what it took.
    pub(crate) fn note_decision(&mut self, decision: &Decision, policy: Option<&Policy>) {
        self.code = decision.code;
        self.entry.checks_configured = decision.configured.0;
        self.entry.checks_passed = decision.passed.0;
        let Some(policy) = policy.filter(|_| decision.is_allowed()) else { return };
        for (charged, standing) in decision.charged.iter().zip(&decision.standings) {
            let Some(rule) = policy.rules.get(usize::from(charged.rule)).filter(|_| charged.amount > 0)
            else {
                continue;
            };
            match (&rule.measure, standing.window) {
                (Measure::Concurrency, _) => self.held.push((rule.id, charged.subject)),
                (Measure::Quota(_), Some(window)) => self.charges.push(Charge {
                    rule: rule.id.0,
                    subject: charged.subject,
                    period_start_us: window.start_us,
                    period_end_us: window.end_us,
                    amount: u64::from(charged.amount),
                }),
                (Measure::Quota(_), None) | (Measure::Rate { .. }, _) => {}
            }
            if rule.unit != Unit::Tokens {
                self.entry.units = self.entry.units.max(charged.amount);
            }
        }
    }

    /// Notes whether the budgets of a call could pay for it. Where they cannot, all that limits and quotas
    /// took is given back; its place in flight is kept until the account is closed.
    pub(crate) fn note_payment(&mut self, is_paid: bool) {
        let mut bit = CheckSet::default();
        bit.insert(Check::Budget);
        self.entry.checks_configured |= bit.0;
        if is_paid {
            self.entry.checks_passed |= bit.0;
            return;
        }
        if let Some(call) = &mut self.call {
            call.undo(&self.gateway);
        }
        self.charges.clear();
        self.entry.units = 0;
    }

    /// Notes the code, and why when it is a refusal.
    pub(crate) fn note_outcome(&mut self, code: Code, detail: &str) {
        self.code = code;
        self.detail = detail.into();
    }

    /// Adds a mark.
    pub(crate) fn note_flag(&mut self, flag: Flags) {
        self.entry.flags = self.entry.flags.with(flag);
    }

    /// Notes when the upstream answered and how long that took, and keeps its load until the answer ends.
    pub(crate) fn note_upstream(&mut self, now_ns: u64, waited_ns: u64, load: Load) {
        self.entry.upstream_us = micros(waited_ns);
        self.answered_ns = now_ns;
        self.load = Some(load);
    }

    /// Binds the account to the end of its answer.
    pub(crate) fn seal(mut self: Box<Self>, answer: Answer) -> Answer {
        self.entry.status = answer.head.status();
        // What came as a whole goes out at once: another look at the clock would tell nothing new.
        self.ended_ns = Some(self.answered_ns).filter(|at_ns| *at_ns > 0 && answer.body.came_whole());
        answer.with_finish(Finish::of(self))
    }

    /// Closes the account of a decision that a service asked for: it stands when it is made, and
    /// nothing is in flight after it.
    pub(crate) fn settle(mut self: Box<Self>, status: u16) -> Result<(), FinishRefused> {
        self.entry.status = status;
        self.write(false)
    }

    /// Writes down what the attempt of a call that is under way holds, before it is sent.
    pub(crate) fn send(&mut self) -> Result<(), Unrecorded> {
        let Some(call) = &mut self.call else { return Ok(()) };
        call.send(&self.gateway, (self.entry, self.id.number), &self.charges)
    }

    /// Ends the attempt of a call that is under way.
    pub(crate) fn charge(&mut self, charged: Charged) {
        if let Some(call) = &mut self.call {
            call.settle(&self.gateway, charged);
        }
    }

    /// Writes the record of a call whose answer has ended.
    pub(crate) fn end(mut self: Box<Self>, aborted: bool) -> Result<(), FinishRefused> {
        self.write(aborted)
    }

    fn write(&mut self, aborted: bool) -> Result<(), FinishRefused> {
        let Some(ticket) = self.ticket.take() else { return Ok(()) };
        let gateway = &self.gateway;
        let mut call = self.call.take();
        if let Some(call) = &mut call {
            call.close(gateway, &mut self.charges);
            self.entry.flags = self.entry.flags.with(call.flags());
        }
        for (rule, subject) in self.held.drain(..) {
            gateway.shared.counters.release(rule, subject);
        }
        self.load = None;
        if aborted {
            self.entry.flags = self.entry.flags.with(Flags::ABORTED);
        }
        let ended_ns = self.ended_ns.unwrap_or_else(|| gateway.mono_ns());
        let took_ns = ended_ns.saturating_sub(self.opened.mono_ns);
        self.entry.latency_us = micros(took_ns);
        self.entry.code = self.code.number();
        let served = match (self.entry.service, self.shape) {
            (0, _) => Served::ByNone,
            (_, None) => Served::Proxy,
            (_, Some(_)) => Served::Llm,
        };
        gateway.meters.answered(self.code, served, took_ns);
        let mut record = Record {
            entry: self.entry,
            // A policy has fewer quotas than a record has room for charges.
            charges: Charges::new(&self.charges).unwrap_or_default(),
            path: self.path.as_deref().unwrap_or(""),
            detail: &self.detail,
            user_agent: std::str::from_utf8(&self.user_agent).unwrap_or(""),
            ..call.as_deref().map_or_else(Record::default, CallAccount::record)
        };
        if let Some(model) = &self.predicted {
            record.model = &model.name;
        }
        gateway.append(ticket, &record)
    }
}

impl<C: Counters + 'static> FinishHook for Account<C> {
    fn run(mut self: Box<Self>, info: FinishInfo) -> Result<(), FinishRefused> {
        self.entry.bytes_in = info.bytes_in;
        self.entry.bytes_out = info.bytes_out;
        match self.call.as_mut().and_then(|call| call.flow.take()) {
            None => self.write(info.aborted),
            Some(flow) => Flow::closed(&flow, self, info.aborted),
        }
    }
}

impl<C: Counters + 'static> Drop for Account<C> {
    /// The client went away before there was an answer.
    fn drop(&mut self) {
        if self.ticket.is_some() {
            // Nobody is left to hear a refusal.
            let _ = self.write(true);
        }
    }
}

fn micros(nanos: u64) -> u32 {
    u32::try_from(nanos / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_number_and_others_share_zero() {
        assert_eq!(method_number("GET"), 1);
        assert_eq!(method_number("CONNECT"), 9);
        assert_eq!(method_number("PROPFIND"), 0);
    }
}
