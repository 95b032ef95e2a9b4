//! The decision. One pure function, the only judge of the whole product.
//!
//! The checks stand in one list ([`ORDER`]), in the order they are asked; the first that fails
//! decides. Checks that cost nothing come first, those that move counters last, so that a refused
//! request moves none. What each check compares lives in `checks`, what is charged in `charging`,
//! how it is said in `words`. Calls that cost money are asked one more check, [`afford`].
//!
//! Keeps I1 and I4 (only an active, unexpired key passes) and rule 1: a restriction on something
//! that is not known refuses, and a policy that is not known grants nothing.

pub mod afford;
mod charging;
pub(crate) mod checks;
pub mod sharing;
pub(crate) mod words;

use smallvec::SmallVec;

use crate::{
    admit::checks::{Outcome, ask},
    blocks::Blocks,
    code::Code,
    counters::{Counters, Rule, Standings},
    facts::Facts,
    keyring::KeyRecord,
    policy::Policy,
    resource::Unit,
    time::Now,
};

/// What a decision is made of besides the counters.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// What is known of the request.
    pub facts: &'a Facts<'a>,
    /// The key.
    pub record: &'a KeyRecord,
    /// The policy that the record names; `None` grants nothing, and refuses everything when the
    /// record names one all the same.
    pub policy: Option<&'a Policy>,
    /// Who is blocked.
    pub blocks: &'a Blocks,
    /// The moment.
    pub now: Now,
}

/// One check. Its number is its bit in a [`CheckSet`] and is stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Check {
    /// The key is active, and no block of a rule holds.
    State = 0,
    /// Key and secret have not expired.
    Expiry = 1,
    /// The key's environment fits the service.
    Environment = 2,
    /// The policy grants the service.
    Service = 3,
    /// The policy grants the scopes.
    Scope = 4,
    /// An endpoint pattern matches.
    Endpoint = 5,
    /// The model is granted.
    Model = 6,
    /// The policy's networks hold the address.
    Network = 7,
    /// The key's own networks hold the address.
    KeyNetwork = 8,
    /// The peer is the host the key is bound to.
    Host = 9,
    /// The Referer matches.
    Referer = 10,
    /// The Origin matches.
    Origin = 11,
    /// The User-Agent matches.
    UserAgent = 12,
    /// The mobile app is allowed.
    App = 13,
    /// Concurrency, limits and quotas have room.
    Limits = 14,
    /// Every budget can pay ([`afford`]).
    Budget = 15,
    /// The request is signed as the service asks.
    Signature = 16,
}

/// The checks in the order they are asked; [`Check::Limits`] comes after them, and [`Check::Budget`] last.
pub const ORDER: [Check; 15] = [
    Check::State,
    Check::Expiry,
    Check::Environment,
    Check::Service,
    Check::Scope,
    Check::Endpoint,
    Check::Model,
    Check::Network,
    Check::KeyNetwork,
    Check::Host,
    Check::Referer,
    Check::Origin,
    Check::UserAgent,
    Check::App,
    Check::Signature,
];

impl Check {
    /// The check's name in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Expiry => "expiry",
            Self::Environment => "environment",
            Self::Service => "service",
            Self::Scope => "scope",
            Self::Endpoint => "endpoint",
            Self::Model => "model",
            Self::Network => "network",
            Self::KeyNetwork => "key_network",
            Self::Host => "host",
            Self::Referer => "referer",
            Self::Origin => "origin",
            Self::UserAgent => "user_agent",
            Self::App => "app",
            Self::Limits => "limits",
            Self::Budget => "budget",
            Self::Signature => "signature",
        }
    }
}

/// A set of checks, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckSet(pub u32);

impl CheckSet {
    /// Puts a check in.
    pub const fn insert(&mut self, check: Check) {
        self.0 |= 1 << check as u8;
    }

    /// Whether a check is in.
    #[must_use]
    pub const fn contains(self, check: Check) -> bool {
        self.0 & (1 << check as u8) != 0
    }
}

/// The answer, with what is needed to explain it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// `valid`, or why not.
    pub code: Code,
    /// Checks that were asked and had something to compare with.
    pub configured: CheckSet,
    /// Of these, the ones that passed.
    pub passed: CheckSet,
    /// The check that failed.
    pub failed: Option<Check>,
    /// In words, for the client: what was compared with what, set where. Only on refusal.
    pub detail: Option<Box<str>>,
    /// Standings of the policy's rules, in the order of `charged`.
    pub standings: Standings,
    /// Which of the policy's rules the standings belong to, and for whom. On a refusal by limits
    /// the last entry is the rule that refused, and nothing was taken.
    pub charged: SmallVec<[Charged; 4]>,
    /// Nanoseconds until it is worth trying again, for refusals that pass.
    pub retry_after_ns: Option<u64>,
    /// Whether it is refused only because too little of a quota is set aside for this process. Nothing was
    /// taken; what `charged` names can be asked for, and then it is to be decided again.
    pub is_short: bool,
    /// Limits that all nodes share. All else has passed and was taken; until they were asked
    /// ([`Decision::conclude`]) the request is refused.
    pub shared: Vec<Charged>,
}

/// One rule that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Its index in the policy's rules.
    pub rule: u8,
    /// Whose count.
    pub subject: u64,
    /// How much was taken; 0 when it was only asked.
    pub amount: u32,
}

impl Decision {
    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.code == Code::Valid
    }

    /// The policy's rule that a refusal by limits names.
    #[must_use]
    pub fn violated<'p>(&self, policy: &'p Policy) -> Option<&'p Rule> {
        if self.failed != Some(Check::Limits) {
            return None;
        }
        self.charged.last().and_then(|charged| policy.rules.get(usize::from(charged.rule)))
    }

    /// The least of what token limits and quotas granted, if there are any: the call may use no more, or
    /// it has to be limited to that.
    #[must_use]
    pub fn tokens_granted(&self, policy: &Policy) -> Option<u32> {
        let of_tokens = |charged: &&Charged| {
            let rule = policy.rules.get(usize::from(charged.rule));
            rule.is_some_and(|rule| rule.unit == Unit::Tokens)
        };
        self.charged.iter().filter(of_tokens).map(|charged| charged.amount).min()
    }

    fn refuse(&mut self, check: Check, code: Code, detail: String) {
        self.code = code;
        self.failed = Some(check);
        self.detail = Some(detail.into());
    }
}

/// The scope that a method needs (CONTRACT §3). Methods outside the table need `admin`.
#[must_use]
pub fn scope_of_method(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" | "OPTIONS" => "read",
        "POST" | "PUT" | "PATCH" => "write",
        "DELETE" => "delete",
        _ => "admin",
    }
}

/// Decides. Pure but for `counters`, which are moved only when everything else allows.
pub fn admit(case: Case<'_>, counters: &impl Counters) -> Decision {
    let mut decision = screen(case);
    if let Some(policy) = case.policy
        && decision.is_allowed()
        && !policy.rules.is_empty()
    {
        charging::charge(case, policy, counters, &mut decision);
    }
    decision
}

/// Decides as far as it can be decided without counters. Who is refused here is refused by [`admit`]; to
/// be asked of requests whose body has to be read before they can be decided, so that not everybody
/// makes a node read.
#[must_use]
pub fn screen(case: Case<'_>) -> Decision {
    let mut decision = Decision {
        code: Code::Valid,
        configured: CheckSet::default(),
        passed: CheckSet::default(),
        failed: None,
        detail: None,
        standings: Standings::new(),
        charged: SmallVec::new(),
        retry_after_ns: None,
        is_short: false,
        shared: Vec::new(),
    };
    for check in ORDER {
        match ask(check, case) {
            Outcome::Open => {}
            Outcome::Pass => {
                decision.configured.insert(check);
                decision.passed.insert(check);
            }
            Outcome::Fail(code, detail) => {
                decision.configured.insert(check);
                decision.refuse(check, code, detail);
                return decision;
            }
        }
    }
    decision
}
