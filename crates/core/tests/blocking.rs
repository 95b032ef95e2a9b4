//! Blocks of rules: whom they keep from what, until when, and what is said.

use tollgate_core::{
    admit::{Case, Check, admit},
    blocks::{Block, Blocks},
    code::Code,
    explain::trace,
    facts::Facts,
    id::{BlockId, ServiceId, TenantId},
    rule::{spec::Whose, watch::Subject},
    time::Now,
};

use crate::fixture::{Memory, NOON_US, NOW, PROJECT, policy, record, service};

fn block(whose: Whose, id: u64, service: Option<u64>, until_us: Option<i64>) -> Block {
    Block {
        id: BlockId(9),
        tenant: TenantId(1),
        project: PROJECT,
        subject: Subject { whose, id },
        service: service.map(ServiceId),
        until_us,
        rule: 7,
        rule_name: "flood".into(),
        reason: "101 requests within 1m, the threshold is 100 requests".into(),
    }
}

/// What becomes of a request of key 11, consumer 22, to service 1 of project 1.
fn asked(blocks: Vec<Block>, service_is_known: bool, now: Now) -> (Code, Option<Box<str>>) {
    let (own, tiles) = (policy(""), service(""));
    let facts = Facts {
        service: service_is_known.then_some(&*tiles),
        method: Some("GET"),
        path: Some("/tiles/1"),
        cost: 1,
        ..Facts::default()
    };
    let blocks: Blocks = blocks.into_iter().collect();
    let case = Case { facts: &facts, record: &record(), policy: Some(&own), blocks: &blocks, now };
    let decision = admit(case, &Memory::default());
    if decision.code == Code::KeyBlocked {
        assert_eq!(decision.failed, Some(Check::State));
        assert_eq!(trace(case, &decision).first().map(|step| step.detail.clone().into()), decision.detail);
    }
    (decision.code, decision.detail)
}

#[test]
fn a_block_keeps_its_subject_from_what_it_closes_and_nobody_else() {
    let code = |block: Block| asked(vec![block], true, NOW).0;
    for (whose, id) in [(Whose::Key, 11), (Whose::Consumer, 22), (Whose::Project, 1), (Whose::Service, 1)] {
        assert_eq!(code(block(whose, id, None, None)), Code::KeyBlocked, "{whose:?}");
        assert_eq!(code(block(whose, id, Some(1), None)), Code::KeyBlocked, "{whose:?}");
        assert_eq!(code(block(whose, id, Some(5), None)), Code::Valid, "another service of {whose:?}");
        assert_eq!(code(block(whose, 99, None, None)), Code::Valid, "another {whose:?}");
    }
    assert_eq!(asked(Vec::new(), true, NOW).0, Code::Valid);
}

#[test]
fn which_service_it_is_about_being_unknown_a_closed_one_refuses() {
    assert_eq!(asked(vec![block(Whose::Key, 11, Some(5), None)], false, NOW).0, Code::KeyBlocked);
    assert_eq!(asked(vec![block(Whose::Service, 5, None, None)], false, NOW).0, Code::Valid);
}

#[test]
fn a_block_ends_at_its_moment_by_the_clock_of_the_decision() {
    let until = NOON_US + 60_000_000;
    let at =
        |wall_us: i64| asked(vec![block(Whose::Key, 11, None, Some(until))], true, Now { wall_us, ..NOW }).0;
    assert_eq!((at(NOON_US), at(until - 1), at(until)), (Code::KeyBlocked, Code::KeyBlocked, Code::Valid));
}

#[test]
fn the_refusal_names_the_rule_the_end_and_what_it_saw() {
    let hour = NOON_US + 3_600_000_000;
    let words = |blocks| asked(blocks, true, NOW).1.unwrap();
    assert_eq!(
        &*words(vec![block(Whose::Key, 11, Some(1), Some(hour))]),
        "rule flood has blocked the key for this service until 2025-11-21T13:00:00Z: 101 requests within 1m, the \
         threshold is 100 requests; an administrator can lift it"
    );
    let both = vec![block(Whose::Key, 11, None, Some(hour)), block(Whose::Consumer, 22, None, None)];
    assert!(
        words(both).contains("the consumer until somebody lifts the block"),
        "the one that holds longest"
    );
}
