//! Limits that all nodes share: refused until somebody was asked, and nothing is kept of what they refuse.

use tollgate_core::{
    admit::{
        Case, Check, Decision, admit,
        sharing::{SharedCharge, SharedVerdict},
    },
    blocks::Blocks,
    code::Code,
    counters::{RuleId, Standing, Standings, WhenGone},
    facts::Facts,
    policy::Policy,
    service::Service,
};

use crate::fixture::{Memory, NOW, compile, policy, record, service};

const RULES: &str = "max_concurrency = 2\n\
     limit = [{ name = 'here', amount = 9, window = '1m' }, \
              { name = 'all', amount = 5, window = '1m', mode = 'shared' }, \
              { name = 'guard', amount = 4, window = '1m', mode = 'shared', security = true }]\n\
     quota = [{ name = 'daily', amount = 7, period = 'day' }]\n";

fn decide(tiles: &Service, own: &Policy, counters: &Memory, cost: u32) -> Decision {
    let facts = Facts {
        service: Some(tiles),
        method: Some("GET"),
        path: Some("/tiles/1"),
        address: Some([10, 1, 2, 3].into()),
        cost,
        ..Facts::default()
    };
    let record = record();
    let case = Case { facts: &facts, record: &record, policy: Some(own), blocks: Blocks::NONE, now: NOW };
    admit(case, counters)
}

fn standing(remaining: u64) -> Standing {
    Standing { remaining, reset_after_ns: 1, window: None }
}

/// Rule 1: who forgets to ask lets nothing through.
#[test]
fn a_decision_is_a_refusal_until_shared_limits_were_asked() {
    let (tiles, own, counters) = (service(""), policy(RULES), Memory::default());
    let mut decision = decide(&tiles, &own, &counters, 1);
    assert!(decision.is_open() && !decision.is_allowed());
    assert_eq!((decision.code, decision.failed), (Code::Overloaded, Some(Check::Limits)));
    let charges = decision.shared_charges(&own);
    let asked: Vec<_> =
        charges.iter().map(|charge: &SharedCharge| (charge.amount, charge.when_gone)).collect();
    assert_eq!(asked, [(1, WhenGone::Divides), (1, WhenGone::Refuses)]);
    assert_eq!(charges.iter().map(|charge| charge.gcra.burst).collect::<Vec<_>>(), [5, 4]);
    let passed = SharedVerdict::Passed(Standings::from_slice(&[standing(4), standing(3)]));
    decision.conclude(&own, passed, (&counters, NOW, NOW));
    assert!(decision.is_allowed() && !decision.is_open() && decision.passed.contains(Check::Limits));
    // Each standing is of its rule: what is counted here first, then what all share.
    let named: Vec<(&str, u64)> = decision
        .charged
        .iter()
        .zip(&decision.standings)
        .map(|(charged, standing)| (&*own.rules[usize::from(charged.rule)].name, standing.remaining))
        .collect();
    assert_eq!(named, [("concurrency", 1), ("here", 8), ("daily", 6), ("all", 4), ("guard", 3)]);
}

#[test]
fn what_shared_limits_refuse_moves_no_counter() {
    let (tiles, own, counters) = (service(""), policy(RULES), Memory::default());
    let refused = SharedVerdict::Exhausted {
        index: 1,
        retry_after_ns: Some(77),
        standings: Standings::from_slice(&[standing(4), standing(0)]),
    };
    // Verdicts that fit no question are none.
    let wrong = SharedVerdict::Exhausted { index: 9, retry_after_ns: None, standings: Standings::new() };
    let short = SharedVerdict::Passed(Standings::from_slice(&[standing(4)]));
    for (verdict, code, named) in [
        (refused, Code::RateLimited, Some("guard")),
        (SharedVerdict::Unknown, Code::Overloaded, None),
        (wrong, Code::Overloaded, None),
        (short, Code::Overloaded, None),
    ] {
        let mut decision = decide(&tiles, &own, &counters, 1);
        decision.conclude(&own, verdict.clone(), (&counters, NOW, NOW));
        assert_eq!((decision.code, decision.is_open()), (code, false), "{verdict:?}");
        assert_eq!(decision.violated(&own).map(|rule| &*rule.name), named, "{verdict:?}");
        assert!(!decision.passed.contains(Check::Limits) && decision.retry_after_ns.is_some());
        // A rate that has drained meanwhile stands where it would have stood.
        let left: Vec<(RuleId, u64)> =
            counters.cells().into_iter().map(|((rule, ..), units)| (rule, units)).collect();
        assert!(left.iter().all(|(_, units)| *units == NOW.mono_ns), "{verdict:?}: {left:?}");
    }
}

#[test]
fn what_is_refused_here_asks_nobody() {
    let (tiles, own, counters) = (service(""), policy(RULES), Memory::default());
    for _ in 0..2 {
        assert!(decide(&tiles, &own, &counters, 1).is_open());
    }
    let decision = decide(&tiles, &own, &counters, 1);
    assert_eq!(decision.code, Code::ConcurrencyExceeded);
    assert!(!decision.is_open() && decision.shared.is_empty());
    // Only asking takes nothing here, and asks the others the same.
    let asked = decide(&tiles, &policy(&RULES.replace("max_concurrency = 2", "")), &Memory::default(), 0);
    assert!(asked.shared.iter().all(|charged| charged.amount == 0) && asked.is_open());
}

#[test]
fn limits_that_cannot_be_shared_say_so() {
    let limit =
        |more: &str| compile(&format!("limit = [{{ name = 'a', amount = 1, window = '1m', {more} }}]"));
    let errors = limit("unit = 'tokens', mode = 'shared'").err().unwrap();
    assert!(errors[0].to_string().contains("use `local`"), "{errors:?}");
    let errors = limit("security = true").err().unwrap();
    assert!(errors[0].to_string().contains("mode = \"shared\""), "{errors:?}");
}

/// Explaining and trying have counters of their own: what all nodes share is taken of these, up to its amount.
#[test]
fn a_decision_that_is_only_tried_is_ended_by_counters_of_its_own() {
    let (tiles, own, counters) = (
        service(""),
        policy("limit = [{ name = 'all', amount = 2, window = '1m', mode = 'shared' }]"),
        Memory::default(),
    );
    let mut codes = Vec::new();
    for cost in [0, 1, 1, 1] {
        let mut decision = decide(&tiles, &own, &counters, cost);
        decision.conclude_alone(&own, &counters, NOW);
        assert!(!decision.is_open());
        codes.push(decision.code);
    }
    assert_eq!(codes, [Code::Valid, Code::Valid, Code::Valid, Code::RateLimited]);
}
