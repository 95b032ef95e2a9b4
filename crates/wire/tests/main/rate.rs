//! Rate headers against the IETF draft, and `Retry-After` against both.

use std::fmt::Write as _;

use tollgate_core::{admit::Decision, code::Code, resource::RateHeaders};
use tollgate_wire::rate::{LastPolicy, each_field, retry_after_s};

use crate::fixture::{allowed, exhausted, policy};

fn fields(decision: &Decision, choice: RateHeaders) -> String {
    fields_after(&mut LastPolicy::default(), decision, choice)
}

fn fields_after(last: &mut LastPolicy, decision: &Decision, choice: RateHeaders) -> String {
    let mut text = String::new();
    each_field(decision, &policy(), (choice, last), |name, write| {
        let mut value = Vec::new();
        write(&mut value);
        let _ = writeln!(text, "{name}: {}", std::str::from_utf8(&value).unwrap());
    });
    text
}

#[test]
fn an_allowed_answer_names_every_limit_and_where_it_stands() {
    insta::assert_snapshot!(fields(&allowed(), RateHeaders::Ietf), @r#"
    ratelimit-policy: "concurrency";q=50;qu="concurrent-requests", "burst";q=100;w=60, "bytes";q=5000;qu="units";w=10, "monthly";q=1000000;w=2592000
    ratelimit: "concurrency";r=49, "burst";r=99;t=1, "bytes";r=4000;t=3, "monthly";r=940;t=2548800
    "#);
    assert_eq!(retry_after_s(&allowed()), None);
}

#[test]
fn the_old_style_names_the_tightest_limit() {
    // 940 of 1,000,000 is a smaller share than 4000 of 5000 or 99 of 100.
    insta::assert_snapshot!(fields(&allowed(), RateHeaders::Legacy), @r"
    x-ratelimit-limit: 1000000
    x-ratelimit-remaining: 940
    x-ratelimit-reset: 2548800
    ");
}

#[test]
fn both_styles_can_go_together_and_none_means_none() {
    let both = fields(&allowed(), RateHeaders::Both);
    assert_eq!(both, fields(&allowed(), RateHeaders::Ietf) + &fields(&allowed(), RateHeaders::Legacy));
    assert_eq!(fields(&allowed(), RateHeaders::None), "");
}

#[test]
fn a_refusal_names_the_limit_that_refused_with_the_time_of_retry_after() {
    let decision = exhausted(1, Code::RateLimited, Some(1_200_000_001));
    assert_eq!(retry_after_s(&decision), Some(2), "rounded up: never too early");
    insta::assert_snapshot!(fields(&decision, RateHeaders::Both), @r#"
    ratelimit-policy: "concurrency";q=50;qu="concurrent-requests", "burst";q=100;w=60
    ratelimit: "burst";r=0;t=2
    x-ratelimit-limit: 100
    x-ratelimit-remaining: 0
    x-ratelimit-reset: 2
    "#);
}

#[test]
fn retry_after_is_there_even_when_the_limit_cannot_tell() {
    let decision = exhausted(0, Code::ConcurrencyExceeded, None);
    assert_eq!(retry_after_s(&decision), Some(1));
    insta::assert_snapshot!(fields(&decision, RateHeaders::Ietf), @r#"
    ratelimit-policy: "concurrency";q=50;qu="concurrent-requests"
    ratelimit: "concurrency";r=0;t=1
    "#);
    let at_once = exhausted(1, Code::RateLimited, Some(0));
    assert_eq!(retry_after_s(&at_once), Some(1));
}

#[test]
fn a_request_that_met_no_limit_has_no_rate_headers() {
    let mut decision = allowed();
    decision.charged.clear();
    decision.standings.clear();
    assert_eq!(fields(&decision, RateHeaders::Both), "");
}

#[test]
fn what_was_said_last_is_said_again_only_where_it_is_the_same() {
    let mut longer = allowed();
    let window = longer.standings.iter_mut().find_map(|standing| standing.window.as_mut()).unwrap();
    window.end_us += 86_400_000_000;
    let mut fewer = allowed();
    fewer.charged.pop();
    fewer.standings.pop();
    let refused = exhausted(1, Code::RateLimited, Some(1));
    let mut last = LastPolicy::default();
    for decision in [allowed(), allowed(), longer.clone(), refused, fewer.clone(), longer, allowed(), fewer] {
        let fresh = fields(&decision, RateHeaders::Both);
        assert_eq!(fields_after(&mut last, &decision, RateHeaders::Both), fresh);
    }
}
