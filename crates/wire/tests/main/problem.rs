//! The body of each refusal.

use serde_json::Value;
use tollgate_core::code::Code;
use tollgate_wire::{
    codes::{API_ENTRIES, entry},
    problem::Problem,
};

use crate::fixture::{ID, exhausted, policy};

#[test]
fn every_refusal_has_its_body() {
    let mut all = String::new();
    for code in Code::ALL.iter().filter(|code| **code != Code::Valid) {
        all.push_str(&body(&Problem::new(*code, "", ID)));
    }
    for entry in API_ENTRIES {
        all.push_str(&body(&Problem::undecided(entry, "")));
    }
    insta::assert_snapshot!("every_refusal", all);
}

#[test]
fn a_limit_names_the_policy_that_is_violated() {
    let policy = policy();
    let decision = exhausted(1, Code::RateLimited, Some(600_000_000));
    let problem = Problem::of_decision(&decision, Some(&policy), ID);
    assert_eq!(problem.status(), 429);
    insta::assert_snapshot!("a_limit", body(&problem));
}

#[test]
fn a_hostile_detail_stays_inside_its_string() {
    let detail = "\"},\n\u{0}\u{1f}\\ \u{2028} </script> ü";
    let text = body(&Problem::new(Code::UserAgentNotAllowed, detail, ID));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["detail"], detail);
    assert_eq!(value["code"], "user_agent_not_allowed");
    assert_eq!(value.as_object().unwrap().len(), 6);
}

#[test]
fn the_catalogue_needs_no_escaping() {
    for entry in Code::ALL.iter().map(|code| entry(*code)).chain(API_ENTRIES) {
        for text in [entry.name, entry.title, entry.remedy, &entry.type_uri()] {
            assert!(!text.contains(['"', '\\']) && text.chars().all(|sign| !sign.is_control()), "{text}");
        }
    }
}

/// The body, which must be JSON whose `status` is the answer's.
fn body(problem: &Problem<'_>) -> String {
    let text = String::from_utf8(problem.to_body()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["status"], problem.status());
    assert_eq!(value["type"], *problem.entry.type_uri());
    text + "\n"
}
