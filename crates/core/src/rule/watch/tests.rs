//! What the watch promises.

use super::*;
use crate::rule::{RuleRow, spec::RuleSpec};

/// A quarter past some full hour.
const NOON: i64 = 1_700_000_100_000_000;
const SECOND: i64 = 1_000_000;

fn rule(when: &str, then: &str) -> Rule {
    let text = format!("project = \"maps\"\nname = \"flood\"\nwhen = {{ {when} }}\nthen = {{ {then} }}");
    let spec: RuleSpec = toml::from_str(&text).unwrap();
    let named = |name: &str| (name == "tiles").then_some(crate::id::ServiceId(5));
    Rule::compile(&spec, RuleRow { id: 7, project: ProjectId(1) }, named).unwrap()
}

fn watch(when: &str, then: &str) -> Watch {
    let mut watch = Watch::default();
    watch.replace_rules(vec![rule(when, then)]);
    watch
}

fn seen(at_us: i64) -> Seen {
    Seen {
        at_us,
        key: 2,
        consumer: 3,
        project: ProjectId(1),
        service: 5,
        code: Code::Valid,
        status: 200,
        tokens: 0,
        cost: 0,
        currency: None,
        address: 1,
    }
}

/// When the watch acted, and until when it blocked.
fn look(watch: &mut Watch, seen: &Seen) -> Option<(i64, Option<i64>)> {
    let mut acted = None;
    watch.look(seen, |firing| acted = Some((firing.at_us, firing.until_us)));
    acted
}

const BLOCK: &str = r#"action = "block", service = "tiles", until = "next_hour""#;
const HUNDRED: &str = r#"metric = "requests", service = "tiles", above = 100, window = "1m""#;

#[test]
fn the_hundred_and_first_request_in_a_minute_blocks_until_the_next_hour() {
    let mut watch = watch(HUNDRED, BLOCK);
    for request in 0..100 {
        assert_eq!(look(&mut watch, &seen(NOON + request * 100_000)), None);
    }
    let last = NOON + 10 * SECOND;
    let next_hour = (NOON / 3_600_000_000 + 1) * 3_600_000_000;
    assert_eq!(look(&mut watch, &seen(last)), Some((last, Some(next_hour))));
    assert_eq!(look(&mut watch, &seen(last + 1)), None, "it acts once");
    let refused = Seen { code: Code::KeyBlocked, ..seen(last + 2) };
    assert_eq!(look(&mut watch, &refused), None);
}

#[test]
fn a_hundred_requests_spread_over_more_than_the_window_do_nothing() {
    let mut watch = watch(HUNDRED, BLOCK);
    for request in 0..1_000 {
        assert_eq!(look(&mut watch, &seen(NOON + request * 610_000)), None, "{request}");
    }
}

#[test]
fn what_the_refused_do_does_not_keep_a_block_alive_and_new_traffic_makes_a_new_one() {
    let mut watch = watch(HUNDRED, r#"action = "block", until = "30s""#);
    let flood = |watch: &mut Watch, from: i64, code: Code| {
        (0..101).filter_map(|request| look(watch, &Seen { code, ..seen(from + request) })).last()
    };
    assert!(flood(&mut watch, NOON, Code::Valid).is_some());
    let later = NOON + 90 * SECOND;
    assert_eq!(flood(&mut watch, later, Code::KeyBlocked), None);
    assert!(flood(&mut watch, later + SECOND, Code::Valid).is_some());
}

#[test]
fn only_what_the_rule_names_counts() {
    let mut watch = watch(
        r#"metric = "denials", code = "rate_limited", service = "tiles", above = 1, window = "1m""#,
        BLOCK,
    );
    let limited = Seen { code: Code::RateLimited, ..seen(NOON) };
    let others = [
        seen(NOON),
        Seen { code: Code::ScopeMissing, ..limited },
        Seen { service: 6, ..limited },
        Seen { project: ProjectId(9), ..limited },
        Seen { key: 0, ..limited },
    ];
    for other in others {
        assert_eq!(look(&mut watch, &other), None);
        assert_eq!(look(&mut watch, &other), None);
    }
    assert_eq!(look(&mut watch, &limited), None);
    assert_eq!(look(&mut watch, &Seen { key: 8, ..limited }), None, "of another key");
    assert!(look(&mut watch, &limited).is_some());
}

#[test]
fn an_error_rate_means_nothing_before_there_are_enough_requests() {
    let when = r#"metric = "error_rate", above = 50, at_least = 10, window = "1m""#;
    let mut watch = watch(when, BLOCK);
    let failed = |at: i64| Seen { status: 503, ..seen(NOON + at) };
    for request in 0..9 {
        assert_eq!(look(&mut watch, &failed(request)), None);
    }
    assert!(look(&mut watch, &failed(9)).is_some());
}

#[test]
fn money_and_tokens_are_summed_up() {
    let mut cost = watch(r#"metric = "cost", per = "consumer", above = "1", window = "1d""#, BLOCK);
    let dear = Seen { cost: 600_000_000, currency: Some(Currency::USD), ..seen(NOON) };
    assert_eq!(look(&mut cost, &dear), None);
    let euros = Seen { currency: Some(Currency::Money(*b"EUR")), ..dear };
    assert_eq!(look(&mut cost, &euros), None);
    assert!(look(&mut cost, &Seen { key: 99, ..dear }).is_some(), "of the same consumer");
    let mut tokens = watch(r#"metric = "tokens", above = 1000, window = "1m""#, BLOCK);
    assert_eq!(look(&mut tokens, &Seen { tokens: 1000, ..seen(NOON) }), None);
    assert!(look(&mut tokens, &Seen { tokens: 1, ..seen(NOON) }).is_some());
}

#[test]
fn addresses_are_counted_once_each() {
    let mut watch = watch(r#"metric = "distinct_addresses", above = 3, window = "1h""#, BLOCK);
    for round in 0..3 {
        for address in (1..=3).map(|number| number << 64) {
            assert_eq!(look(&mut watch, &Seen { address, ..seen(NOON + round) }), None);
        }
    }
    assert!(look(&mut watch, &Seen { address: 4 << 64, ..seen(NOON + 9) }).is_some());
}

#[test]
fn a_notice_is_given_once_per_passing() {
    let when = r#"metric = "requests", above = 1, window = "1m""#;
    let mut watch = watch(when, r#"action = "notify""#);
    assert_eq!(look(&mut watch, &seen(NOON)), None);
    assert_eq!(look(&mut watch, &seen(NOON + 1)), Some((NOON + 1, None)));
    assert_eq!(look(&mut watch, &seen(NOON + 2)), None);
    let later = NOON + 300 * SECOND;
    assert_eq!(look(&mut watch, &seen(later)), None);
    assert!(look(&mut watch, &seen(later + 1)).is_some());
}

#[test]
fn who_was_unblocked_by_hand_begins_anew() {
    let mut watch = watch(HUNDRED, r#"action = "block", until = "manual""#);
    for request in 0..101 {
        look(&mut watch, &seen(NOON + request));
    }
    assert_eq!(look(&mut watch, &seen(NOON + 200)), None, "blocked, for all it knows");
    watch.forget(7, Subject { whose: Whose::Key, id: 2 }, NOON + 200);
    assert_eq!(look(&mut watch, &seen(NOON + 150)), None, "it came before that");
    for request in 0..100 {
        assert_eq!(look(&mut watch, &seen(NOON + 300 + request)), None);
    }
    assert_eq!(look(&mut watch, &seen(NOON + 500)), Some((NOON + 500, None)));
}

#[test]
fn a_watch_that_begins_anew_stands_where_the_one_before_it_stood() {
    let mut watch = watch(HUNDRED, BLOCK);
    (0..101).for_each(|request| watch.recall(&seen(NOON + request)));
    let mut anew = |acted: Option<Option<i64>>| {
        watch.forget(7, Subject { whose: Whose::Key, id: 2 }, NOON - 1);
        (0..101).for_each(|request| watch.recall(&seen(NOON + request)));
        if let Some(until_us) = acted {
            watch.acted(7, Subject { whose: Whose::Key, id: 2 }, until_us);
        }
        look(&mut watch, &seen(NOON + 200)).is_some()
    };
    assert!(anew(None), "nobody acted, and the threshold is passed");
    assert!(!anew(Some(Some(NOON + 300))), "it acted, and its block holds");
    assert!(anew(Some(Some(NOON + 100))), "its block has ended");
    assert!(!anew(Some(None)), "its block holds until somebody lifts it");
    assert!(watch.counts_all(&[Rule { above: 5, ..rule(HUNDRED, BLOCK) }]));
    assert!(!watch.counts_all(&[Rule { window_us: 5, ..rule(HUNDRED, BLOCK) }]));
    assert!(!watch.counts_all(&[Rule { id: 8, ..rule(HUNDRED, BLOCK) }]));
}

#[test]
fn rules_that_change_their_threshold_keep_what_they_counted() {
    let mut watch = watch(HUNDRED, BLOCK);
    for request in 0..50 {
        look(&mut watch, &seen(NOON + request));
    }
    watch.replace_rules(vec![Rule { above: 50, ..rule(HUNDRED, BLOCK) }]);
    assert!(look(&mut watch, &seen(NOON + 60)).is_some());
    let observing = Rule { above: 50, mode: crate::rule::spec::RuleMode::Observe, ..rule(HUNDRED, BLOCK) };
    watch.replace_rules(vec![observing]);
    assert!(look(&mut watch, &seen(NOON + 61)).is_some(), "what it does now it has not done yet");
    watch.replace_rules(Vec::new());
    assert!(watch.is_idle());
    assert_eq!(watch.subjects, 0);
}

#[test]
fn subjects_are_bounded_and_make_room_when_they_are_over() {
    let mut watch = watch(r#"metric = "requests", above = 1, window = "1s""#, BLOCK);
    for key in 1..=SUBJECTS_MAX as u64 / 2 + 5 {
        look(&mut watch, &Seen { key, ..seen(NOON) });
    }
    assert_eq!((watch.subjects, watch.left_out()), (SUBJECTS_MAX / 2, 5), "half is left for others");
    look(&mut watch, &Seen { key: 1 << 40, ..seen(NOON + 10 * SECOND) });
    assert_eq!((watch.subjects, watch.left_out()), (1, 5));
}

#[test]
fn no_project_takes_all_the_room() {
    let when = r#"metric = "requests", above = 1, window = "1h""#;
    let mut watch = Watch::default();
    let other = Rule { id: 8, project: ProjectId(2), ..rule(when, BLOCK) };
    watch.replace_rules(vec![rule(when, BLOCK), other]);
    for key in 1..=SUBJECTS_MAX as u64 {
        look(&mut watch, &Seen { key, ..seen(NOON) });
    }
    let theirs = Seen { project: ProjectId(2), ..seen(NOON + 1) };
    assert_eq!(look(&mut watch, &theirs), None);
    assert!(look(&mut watch, &theirs).is_some());
}

#[test]
fn addresses_are_bounded_over_all_subjects_and_many_of_one_network_are_one() {
    let mut watch = watch(r#"metric = "distinct_addresses", above = 10000, window = "1h""#, BLOCK);
    let v4 = |number: u64| u128::from(number) | 0xFFFF_0000_0000;
    for key in 1..=101_u64 {
        for number in 0..10_000 {
            look(&mut watch, &Seen { key, address: v4(number), ..seen(NOON) });
        }
    }
    assert_eq!((watch.addresses, watch.left_out()), (ADDRESSES_HELD_MAX / 2, 10_000));
    let later = Seen { address: v4(1), ..seen(NOON + 7_200 * SECOND) };
    look(&mut watch, &later);
    assert_eq!((watch.addresses, watch.subjects), (1, 1));
    watch.forget(7, Subject { whose: Whose::Key, id: 2 }, NOON);
    for low in 0..100 {
        let address = 0x2001_0db8_u128 << 96 | low;
        look(&mut watch, &Seen { address, ..later });
    }
    assert_eq!(watch.addresses, 1);
}

#[test]
fn a_node_whose_clock_is_ahead_silences_no_rule() {
    let mut watch = watch(r#"metric = "requests", above = 3, window = "1m""#, BLOCK);
    watch.set_present(NOON);
    look(&mut watch, &seen(NOON + 3_600 * SECOND));
    for request in 0..2 {
        assert_eq!(look(&mut watch, &seen(NOON + request)), None);
    }
    let (at_us, _) = look(&mut watch, &seen(NOON + 3)).unwrap();
    assert!(at_us <= NOON + 2 * SECOND);
}

/// A rule like [`rule`], of another id.
fn other(id: u64, when: &str, then: &str) -> Rule {
    Rule { id, ..rule(when, then) }
}

/// What rules did because of these requests, as rule, subject and moment.
fn firings(watch: &mut Watch, seen: &[Seen]) -> Vec<(u64, u64, i64)> {
    let mut acted = Vec::new();
    for seen in seen {
        watch.look(seen, |firing| acted.push((firing.rule.id, firing.subject.id, firing.at_us)));
    }
    acted
}

proptest::proptest! {
    #[test]
    fn a_rule_that_changes_begins_with_what_was_seen_and_the_others_stand_as_they_stood(
        steps in proptest::collection::vec((0..4_000_000_i64, 1..4_u64, 0..3_u8), 2..300),
        cut in 0..300_usize,
        (above, window) in (2..12_u64, 5..90_i64),
    ) {
        let mut at_us = NOON;
        let all: Vec<Seen> = steps.iter().map(|(step, key, kind)| {
            at_us += step;
            let status = if *kind == 0 { 502 } else { 200 };
            Seen { key: *key, status, address: (0xFFFF << 32) | u128::from(*kind), ..seen(at_us) }
        }).collect();
        let (before, after) = all.split_at(cut.min(all.len()));
        let notify = r#"action = "notify""#;
        let when = |metric: &str, above: u64, window: i64| {
            format!("metric = \"{metric}\", above = {above}, window = \"{window}s\"")
        };
        let kept = [
            other(1, &when("requests", 8, 30), BLOCK),
            other(2, &when("distinct_addresses", 2, 20), notify),
            other(3, &when("error_rate", 30, 40), notify),
        ];
        let mut rules = kept.to_vec();
        rules.push(other(4, &when("requests", 5, 15), notify));
        rules.push(other(5, &when("requests", 3, 15), notify));
        let changed = other(4, &when("requests", above, window + 15), notify);
        let mut watch = Watch::default();
        watch.replace_rules(rules);
        let first = firings(&mut watch, before);
        // Rule 4 counts otherwise, 5 goes, 6 comes.
        let mut rules = kept.to_vec();
        rules.extend([changed.clone(), other(6, &when("denials", 1, 15), notify)]);
        let mut begun = watch.beginning(&rules);
        before.iter().for_each(|seen| begun.recall(seen));
        watch.take_up(rules.clone(), begun);
        proptest::prop_assert!(watch.counts_all(&rules));
        let found = firings(&mut watch, after);

        let mut alone = Watch::default();
        alone.replace_rules(kept.to_vec());
        let of = |found: &[(u64, u64, i64)], is_it: fn(u64) -> bool| {
            found.iter().filter(|own| is_it(own.0)).copied().collect::<Vec<_>>()
        };
        proptest::prop_assert_eq!(firings(&mut alone, before), of(&first, |id| id < 4));
        proptest::prop_assert_eq!(firings(&mut alone, after), of(&found, |id| id < 4));
        let mut anew = Watch::default();
        anew.replace_rules(vec![changed]);
        before.iter().for_each(|seen| anew.recall(seen));
        proptest::prop_assert_eq!(firings(&mut anew, after), of(&found, |id| id == 4));
        proptest::prop_assert!(of(&found, |id| id == 5).is_empty());
    }
}

#[test]
fn a_rule_that_begins_leaves_the_others_their_room() {
    let mut watch = watch(HUNDRED, BLOCK);
    for key in 1..=(SUBJECTS_MAX / 2) as u64 {
        watch.recall(&Seen { key, ..seen(NOON) });
    }
    let rules = [rule(HUNDRED, BLOCK), other(8, HUNDRED, BLOCK)];
    let mut begun = watch.beginning(&rules);
    let left_out = begun.left_out();
    begun.recall(&seen(NOON));
    watch.take_up(rules.to_vec(), begun);
    assert!(watch.left_out() > left_out);
    assert!(watch.subjects <= SUBJECTS_MAX);
}
