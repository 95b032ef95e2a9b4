//! The decision as a whole: order, counters, narrowing.

use proptest::prelude::*;
use tollgate_core::{
    admit::{Case, Check, Decision, ORDER, admit},
    blocks::Blocks,
    code::Code,
    counters::{Charge, Counters, Refund, Refusal, Rule, RuleId, Standing, Standings},
    facts::{Facts, TokenAsk},
    keyring::{KeyRecord, KeyState, Narrowing},
    policy::Policy,
    service::Service,
    signature::SignatureFact,
    time::Now,
};

use crate::fixture::{Memory, NOON_US, NOW, policy, record, service};

const BURST: &str = "limit = [{ name = 'burst', amount = 3, window = '1m' }]\n";
const QUOTA: &str = "quota = [{ name = 'daily', amount = 5, period = 'day' }]\n";

fn facts(service: &Service) -> Facts<'_> {
    Facts {
        service: Some(service),
        method: Some("GET"),
        path: Some("/tiles/1"),
        address: Some([10, 1, 2, 3].into()),
        cost: 1,
        ..Facts::default()
    }
}

fn decide(facts: &Facts<'_>, own: &Policy, counters: &Memory, now: Now) -> Decision {
    admit(Case { facts, record: &record(), policy: Some(own), blocks: Blocks::NONE, now }, counters)
}

#[test]
fn the_first_check_that_fails_decides_in_the_order_of_the_list() {
    let tiles = service("environment = 'test'");
    let strict = policy(
        "services = []\nscopes = []\nendpoints = []\nmodels = []\nallow_ips = []\nallow_referers = []\n\
         allow_origins = []\nallow_user_agents = []\nallow_apps = []\n\
         quota = [{ name = 'none', amount = 0, period = 'day' }]",
    );
    // Everything is wrong; mending one thing after the other walks through the list.
    let mut own = strict;
    let mut key = KeyRecord {
        state: KeyState::Revoked,
        expires_us: 0,
        narrowing: Some(Box::new(Narrowing { bind_host: Some("h".into()), networks: Some([].into()) })),
        ..record()
    };
    let mut facts = Facts { model: Some("m"), ..facts(&tiles) };
    let mended = service("signature = { scheme = 'github', secret = { secret = 's' } }");
    let mut seen = Vec::new();
    for _ in 0..=ORDER.len() {
        let decision = admit(
            Case { facts: &facts, record: &key, policy: Some(&own), blocks: Blocks::NONE, now: NOW },
            &Memory::default(),
        );
        let failed = decision.failed.unwrap();
        seen.push(failed);
        match failed {
            Check::State => key.state = KeyState::Active,
            Check::Expiry => key.expires_us = i64::MAX,
            Check::Environment => facts.service = Some(&mended),
            Check::Service => own.services = tollgate_core::policy::Grant::All,
            Check::Scope => own.scopes = None,
            Check::Endpoint => own.endpoints = None,
            Check::Model => own.models = None,
            Check::Network => own.networks = None,
            Check::KeyNetwork => key.narrowing.as_mut().unwrap().networks = None,
            Check::Host => key.narrowing = None,
            Check::Referer => own.referers = None,
            Check::Origin => own.origins = None,
            Check::UserAgent => own.user_agents = None,
            Check::App => own.apps = None,
            Check::Signature => facts.signature = SignatureFact::Valid,
            Check::Limits => own.rules = [].into(),
            Check::Budget => panic!("only calls that cost money are asked"),
        }
    }
    let mut expected = ORDER.to_vec();
    expected.push(Check::Limits);
    assert_eq!(seen, expected);
    let decision = admit(
        Case { facts: &facts, record: &key, policy: Some(&own), blocks: Blocks::NONE, now: NOW },
        &Memory::default(),
    );
    assert!(decision.is_allowed());
}

#[test]
fn numbers_and_names_of_checks_are_frozen() {
    let names: Vec<String> = ORDER
        .into_iter()
        .chain([Check::Limits, Check::Budget])
        .map(|check| format!("{} {}", check as u8, check.name()))
        .collect();
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn limits_allow_what_they_say_and_say_when_to_come_back() {
    let (tiles, own) = (service(""), policy(BURST));
    let (facts, counters) = (facts(&tiles), Memory::default());
    for left in [2, 1, 0] {
        let decision = decide(&facts, &own, &counters, NOW);
        assert!(decision.is_allowed());
        assert_eq!(decision.standings[0].remaining, left);
    }
    let decision = decide(&facts, &own, &counters, NOW);
    assert_eq!(decision.code, Code::RateLimited);
    assert_eq!(decision.retry_after_ns, Some(20_000_000_000));
    assert_eq!(decision.violated(&own).map(|rule| &*rule.name), Some("burst"));
    assert_eq!(
        decision.detail.as_deref(),
        Some("limit burst of policy standard allows 3 requests per 1m and key")
    );
    let later = Now { mono_ns: NOW.mono_ns + 20_000_000_000, ..NOW };
    assert!(decide(&facts, &own, &counters, later).is_allowed());
}

#[test]
fn quotas_end_with_their_period_and_concurrency_with_the_request() {
    let (tiles, own) = (service(""), policy(QUOTA));
    let (facts, counters) = (facts(&tiles), Memory::default());
    for _ in 0..5 {
        assert!(decide(&facts, &own, &counters, NOW).is_allowed());
    }
    let decision = decide(&facts, &own, &counters, NOW);
    assert_eq!(decision.code, Code::QuotaExhausted);
    assert_eq!(decision.retry_after_ns, Some(12 * 3_600_000_000_000), "midnight is twelve hours away");
    assert_eq!(
        decision.detail.as_deref(),
        Some("quota daily of policy standard allows 5 requests per day and key, all used")
    );
    let tomorrow = Now { wall_us: NOON_US + 12 * 3_600_000_000, ..NOW };
    assert!(decide(&facts, &own, &counters, tomorrow).is_allowed());

    let own = policy("max_concurrency = 2");
    let counters = Memory::default();
    let first = decide(&facts, &own, &counters, NOW);
    assert!(first.is_allowed() && decide(&facts, &own, &counters, NOW).is_allowed());
    let decision = decide(&facts, &own, &counters, NOW);
    assert_eq!((decision.code, decision.retry_after_ns), (Code::ConcurrencyExceeded, None));
    assert_eq!(
        decision.detail.as_deref(),
        Some("2 requests of this key are in flight already, the most that policy standard allows")
    );
    let charged = first.charged[0];
    counters.release(own.rules[usize::from(charged.rule)].id, charged.subject);
    assert!(decide(&facts, &own, &counters, NOW).is_allowed());
}

#[test]
fn whose_requests_count_together_is_as_written() {
    let tiles = service("");
    for (per, same, other) in [
        (
            "key",
            KeyRecord { consumer: tollgate_core::id::ConsumerId(9), ..record() },
            KeyRecord { id: tollgate_core::id::KeyId(9), ..record() },
        ),
        (
            "consumer",
            KeyRecord { id: tollgate_core::id::KeyId(9), ..record() },
            KeyRecord { consumer: tollgate_core::id::ConsumerId(9), ..record() },
        ),
    ] {
        let own = policy(&format!("limit = [{{ name = 'one', amount = 1, window = '1m', per = '{per}' }}]"));
        let (facts, counters) = (facts(&tiles), Memory::default());
        let ask = |key: &KeyRecord| {
            admit(
                Case { facts: &facts, record: key, policy: Some(&own), blocks: Blocks::NONE, now: NOW },
                &counters,
            )
            .code
        };
        assert_eq!(ask(&record()), Code::Valid);
        assert_eq!(ask(&same), Code::RateLimited, "{per}");
        assert_eq!(ask(&other), Code::Valid, "{per}");
    }
    let own = policy("limit = [{ name = 'one', amount = 1, window = '1m', per = 'ip' }]");
    let counters = Memory::default();
    let from = |address: Option<&str>| {
        let facts = Facts { address: address.map(|text| text.parse().unwrap()), ..facts(&tiles) };
        decide(&facts, &own, &counters, NOW).code
    };
    assert_eq!(from(Some("10.0.0.1")), Code::Valid);
    assert_eq!(from(Some("::ffff:10.0.0.1")), Code::RateLimited);
    assert_eq!(from(Some("10.0.0.2")), Code::Valid);
    assert_eq!(from(None), Code::Valid);
    assert_eq!(from(None), Code::RateLimited, "unknown addresses share one count");
}

#[test]
fn a_cost_of_nothing_asks_and_takes_nothing() {
    let (tiles, own) = (service(""), policy(&format!("{BURST}{QUOTA}max_concurrency = 1")));
    let counters = Memory::default();
    let free = Facts { cost: 0, ..facts(&tiles) };
    let before = decide(&free, &own, &counters, NOW);
    for _ in 0..10 {
        let decision = decide(&free, &own, &counters, NOW);
        assert!(decision.is_allowed());
        assert_eq!(decision.standings, before.standings);
        assert!(decision.charged.iter().all(|charged| charged.amount == 0));
    }
    assert!(counters.cells().values().all(|units| *units == 0));
}

#[test]
fn units_cost_what_the_caller_says_and_tokens_wait_for_the_call() {
    let tiles = service("");
    let own = policy(
        "limit = [{ name = 'units', unit = 'units', amount = 10, window = '1m' }, \
         { name = 'tokens', unit = 'tokens', amount = 1, window = '1m' }]",
    );
    let counters = Memory::default();
    let cost = |cost| decide(&Facts { cost, ..facts(&tiles) }, &own, &counters, NOW);
    assert_eq!(cost(7).standings.iter().map(|standing| standing.remaining).collect::<Vec<_>>(), [3]);
    assert_eq!(cost(4).code, Code::RateLimited);
    assert_eq!(cost(3).code, Code::Valid);
    let never = cost(11);
    assert_eq!((never.code, never.retry_after_ns), (Code::RateLimited, None), "waiting does not help");
}

/// Counters that are full, or say something that makes no sense.
struct Broken(Refusal);

impl Counters for Broken {
    fn take(&self, _: &[Charge<'_>], _: Now, _: &mut Standings) -> Result<(), Refusal> {
        Err(self.0)
    }

    fn release(&self, _: RuleId, _: u64) {}

    fn refund(&self, _: &Refund<'_>, _: Now) {}

    fn peek(&self, _: &Rule, _: u64, _: Now) -> Standing {
        Standing { remaining: 0, reset_after_ns: 0, window: None }
    }
}

#[test]
fn counters_that_cannot_count_refuse() {
    let (tiles, own) = (service(""), policy(BURST));
    for refusal in [Refusal::Full, Refusal::Exhausted { index: 7, retry_after_ns: None }] {
        let facts = facts(&tiles);
        let case =
            Case { facts: &facts, record: &record(), policy: Some(&own), blocks: Blocks::NONE, now: NOW };
        assert_eq!(admit(case, &Broken(refusal)).code, Code::Overloaded);
    }
}

/// Requests of all kinds, good and bad.
fn any_request() -> impl Strategy<Value = (&'static str, &'static str, [u8; 4], u32)> {
    let method = prop::sample::select(&["GET", "POST", "DELETE"][..]);
    let path = prop::sample::select(&["/tiles/1", "/admin"][..]);
    let address = prop::sample::select(&[[10, 1, 2, 3], [11, 1, 2, 3]][..]);
    (method, path, address, 0u32..4)
}

proptest! {
    #[test]
    fn a_refused_request_moves_no_counter(requests in prop::collection::vec((any_request(), 0u64..30_000_000_000), 1..60)) {
        let tiles = service("");
        let own = policy(&format!(
            "scopes = ['read']\nendpoints = ['* /tiles/**']\nallow_ips = ['10.0.0.0/8']\nmax_concurrency = 12\n\
             {BURST}{QUOTA}"
        ));
        let counters = Memory::default();
        let mut now = NOW;
        for ((method, path, address, cost), step) in requests {
            now.mono_ns += step;
            let before = counters.cells();
            let facts = Facts { method: Some(method), path: Some(path), address: Some(address.into()), cost, ..facts(&tiles) };
            let decision = decide(&facts, &own, &counters, now);
            let after = counters.cells();
            if !decision.is_allowed() || cost == 0 {
                prop_assert_eq!(&before, &after, "{:?}", decision);
            } else {
                prop_assert_ne!(&before, &after);
                prop_assert_eq!(decision.charged.len(), own.rules.len());
                prop_assert_eq!(decision.standings.len(), own.rules.len());
            }
        }
    }

    #[test]
    fn narrowing_never_widens(
        (method, path, address, _) in any_request(),
        bound: bool,
        resolved: bool,
        networks in prop::option::of(prop::collection::vec(prop::sample::select(&["10.0.0.0/8", "0.0.0.0/0", "11.1.2.3"][..]), 0..3)),
    ) {
        let tiles = service("");
        let own = policy("scopes = ['read', 'write']\nendpoints = ['* /tiles/**']\nallow_ips = ['10.0.0.0/8']");
        let address: std::net::IpAddr = address.into();
        let facts = Facts {
            method: Some(method),
            path: Some(path),
            address: Some(address),
            bound_host_addresses: resolved.then_some(std::slice::from_ref(&address)),
            ..facts(&tiles)
        };
        let narrowing = Narrowing {
            bind_host: bound.then(|| "h.example".into()),
            networks: networks.map(|texts| texts.iter().map(|text| tollgate_core::address::parse_network(text).unwrap()).collect()),
        };
        let narrow = KeyRecord { narrowing: Some(Box::new(narrowing)), ..record() };
        let ask = |key: &KeyRecord| admit(Case { facts: &facts, record: key, policy: Some(&own), blocks: Blocks::NONE, now: NOW }, &Memory::default());
        if ask(&narrow).is_allowed() {
            prop_assert!(ask(&record()).is_allowed());
        }
    }
}

/// Tokens: a limit lets no more through than it ever gives at once, a quota no more than is left.
#[test]
fn model_calls_take_the_most_they_can_use_of_token_limits_and_get_the_rest_back() {
    let tiles = service("");
    let own = policy(
        "limit = [{ name = 'tpm', unit = 'tokens', amount = 1000, window = '1m' }]\n\
         quota = [{ name = 'month', unit = 'tokens', amount = 1500, period = 'month' }]",
    );
    let counters = Memory::default();
    let call = |least, most| {
        let facts = Facts { tokens: Some(TokenAsk { least, most }), ..facts(&tiles) };
        decide(&facts, &own, &counters, NOW)
    };
    let first = call(100, 700);
    assert_eq!((first.code, first.tokens_granted(&own)), (Code::Valid, Some(700)));
    let waits = call(100, 700);
    assert_eq!(waits.code, Code::RateLimited, "waiting helps with a limit");
    assert!(waits.retry_after_ns.is_some());
    for charged in &first.charged {
        let rule = &own.rules[usize::from(charged.rule)];
        let refund = Refund { rule, subject: charged.subject, taken: charged.amount, used: 200, at: NOW };
        counters.refund(&refund, NOW);
    }
    // 200 of both are used: 800 of the limit are there, and more than it ever gives is never asked for.
    let later = Now { mono_ns: NOW.mono_ns + 60_000_000_000, ..NOW };
    let facts = Facts { tokens: Some(TokenAsk { least: 100, most: 5_000 }), ..facts(&tiles) };
    let large = decide(&facts, &own, &counters, later);
    assert_eq!((large.code, large.tokens_granted(&own)), (Code::Valid, Some(1000)));
    let none_left = decide(&facts, &own, &counters, Now { mono_ns: later.mono_ns * 2, ..later });
    assert_eq!(none_left.code, Code::QuotaExhausted);
}

#[test]
fn requests_that_are_no_model_calls_are_not_counted_by_token_limits() {
    let tiles = service("");
    let own = policy("limit = [{ name = 'tpm', unit = 'tokens', amount = 1, window = '1m' }]");
    let counters = Memory::default();
    for _ in 0..3 {
        assert!(decide(&facts(&tiles), &own, &counters, NOW).is_allowed());
    }
}
