//! Questions and answers of `verify`.

use proptest::prelude::{prop, prop_assert, proptest};
use serde_json::{Value, json};
use tollgate_core::{code::Code, id::KeyId};
use tollgate_wire::text::DecisionText;
use tollgate_wire::verify::{
    answer::{Allowed, Refused},
    read,
    request::BatchForm,
};

use crate::fixture::{ID, allowed, consumer, policy, record};

#[test]
fn a_whole_question_is_read_without_copying() {
    let body = br#"{"key":"tg_live_x","service":"maps/tiles","method":"GET","path":"/tiles/1","scopes":["read"],
        "ip":"2001:db8::1","headers":{"User-agent":"curl/8","X-Other":["dropped"],"origin":null},"cost":0,"model":"m"}"#;
    let request = read::request(body).unwrap();
    assert_eq!(request.key.as_str(), "tg_live_x");
    assert!(matches!(request.key.0, std::borrow::Cow::Borrowed(_)));
    assert!(matches!(request.service.as_ref().unwrap().0, std::borrow::Cow::Borrowed("maps/tiles")));
    assert_eq!(request.scopes.as_ref().unwrap().0.len(), 1);
    assert_eq!(request.ip, Some("2001:db8::1".parse().unwrap()));
    let headers = request.headers.as_ref().unwrap();
    assert_eq!(headers.user_agent.as_ref().unwrap().as_str(), "curl/8");
    assert_eq!(headers.origin, None);
    assert_eq!(request.units(), 0);
}

#[test]
fn only_the_key_is_needed_and_null_is_not_said() {
    assert_eq!(read::request(br#"{"key":"k"}"#).unwrap().units(), 1);
    let nulls = br#"{"key":"k","service":null,"method":null,"path":null,"scopes":null,"ip":null,"headers":null,"cost":null,"model":null}"#;
    let request = read::request(nulls).unwrap();
    assert_eq!((request.ip, request.cost), (None, None));
}

#[test]
fn a_key_is_never_printed() {
    let request = read::request(br#"{"key":"tg_live_secret","service":"s"}"#).unwrap();
    assert!(!format!("{request:?}").contains("secret"));
}

fn mistake(body: &str) -> String {
    read::request(body.as_bytes()).expect_err("must be refused").to_string()
}

#[test]
fn a_mistake_names_line_field_and_remedy() {
    let headers: String = (0..65).map(|n| format!("\"h{n}\":\"v\",")).collect();
    let headers = format!(r#"{{"key":"k","headers":{{{}}}}}"#, headers.trim_end_matches(','));
    let scopes = format!(r#"{{"key":"k","scopes":{}}}"#, json!(vec!["s"; 65]));
    let bodies = [
        "",
        "{",
        "{\"key\":\n}",
        "[]",
        "\"tg_live_secret\"",
        "{}",
        r#"{"key":null}"#,
        r#"{"key":["tg_live_secret"]}"#,
        r#"{"key":"k","sevice":"tg_live_secret"}"#,
        r#"{"key":"k","key":"k"}"#,
        "{\"key\":\"k\",\n\"cost\":-1}",
        r#"{"key":"k","cost":1.5}"#,
        r#"{"key":"k","cost":4294967296}"#,
        r#"{"key":"k","ip":"10.0.0.1:80"}"#,
        r#"{"key":"k","scopes":"read"}"#,
        &scopes,
        r#"{"key":"k","headers":[]}"#,
        r#"{"key":"k","headers":{"Origin":["a"]}}"#,
        r#"{"key":"k","headers":{"Origin":"a","origin":"b"}}"#,
        &headers,
        r#"{"key":"k"} {"key":"k"}"#,
        "{\"key\":\"\u{1}\"}",
    ];
    let all: Vec<String> = bodies
        .iter()
        .map(|body| {
            let words = mistake(body);
            assert!(!words.contains("secret"), "{words}");
            format!("{}\n    {words}", if body.len() > 80 { &body[..40] } else { body })
        })
        .collect();
    insta::assert_snapshot!("mistakes", all.join("\n"));
}

#[test]
fn bytes_that_are_no_text_are_a_mistake() {
    assert!(read::request(b"{\"key\":\"\xff\"}").is_err());
}

#[test]
fn a_batch_is_an_object_or_a_list() {
    let object = read::batch(br#"{"requests":[{"key":"a"},{"key":"b"}]}"#).unwrap();
    assert_eq!((object.requests.len(), object.form), (2, BatchForm::Object));
    let list = read::batch(b" \n[{\"key\":\"a\"}]").unwrap();
    assert_eq!((list.requests.len(), list.form), (1, BatchForm::Array));
    assert_eq!(read::batch(b"[]").unwrap().requests.len(), 0);
}

#[test]
fn a_mistake_in_a_batch_names_the_request() {
    let words = |body: &str| read::batch(body.as_bytes()).expect_err("must be refused").to_string();
    let all = [
        words(r#"[{"key":"a"},{"key":"b","cost":"1"}]"#),
        words(r#"{"requests":[{"key":"a"},7]}"#),
        words(r#"{"requests":{}}"#),
        words(r#"{"keys":[]}"#),
        words("{}"),
        words("7"),
        words(r#"[{"key":"a"}"#),
    ];
    insta::assert_snapshot!("mistakes_in_batches", all.join("\n"));
}

#[test]
fn a_batch_has_at_most_a_thousand_requests() {
    let batch = |count: usize| format!("[{}]", vec![r#"{"key":"k"}"#; count].join(","));
    assert_eq!(read::batch(batch(1000).as_bytes()).unwrap().requests.len(), 1000);
    let words = read::batch(batch(1001).as_bytes()).unwrap_err().to_string();
    assert!(words.contains("more than 1000 requests; split them"), "{words}");
}

#[test]
fn an_allowed_answer_says_who_it_is_and_what_remains() {
    let (record, policy, consumer, decision) = (record(), policy(), consumer(), allowed());
    let answer = Allowed {
        id: DecisionText::of(ID),
        record: &record,
        tenant: "acme",
        project: "maps",
        consumer: Some(&consumer),
        policy: Some(&policy),
        decision: &decision,
    };
    let mut out = Vec::new();
    answer.write(&mut out);
    insta::assert_snapshot!("allowed", pretty(&out));
}

#[test]
fn an_answer_about_a_key_without_policy_consumer_or_end_is_whole() {
    let (mut record, mut decision) = (record(), allowed());
    record.expires_us = i64::MAX;
    decision.charged.clear();
    decision.standings.clear();
    let answer = Allowed {
        id: DecisionText::of(ID),
        record: &record,
        tenant: "acme",
        project: "maps",
        consumer: None,
        policy: None,
        decision: &decision,
    };
    let mut out = Vec::new();
    answer.write(&mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["scopes"], json!([]));
    assert_eq!(value["expires_at"], Value::Null);
    assert_eq!(value["consumer"], Value::Null);
    assert_eq!(value["limits"], json!([]));
}

#[test]
fn the_end_of_a_rotated_secret_is_its_expiry() {
    let (mut record, decision) = (record(), allowed());
    record.secret_until_us = record.expires_us - 3_600_000_000;
    let answer = Allowed {
        id: DecisionText::of(ID),
        record: &record,
        tenant: "acme",
        project: "maps",
        consumer: None,
        policy: None,
        decision: &decision,
    };
    let mut out = Vec::new();
    answer.write(&mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["expires_at"], "2026-09-02T11:00:00Z");
}

#[test]
fn a_refusal_says_why_and_when_to_come_back() {
    let refused = |code, detail, key, retry_after_ns| {
        let mut out = Vec::new();
        Refused { id: DecisionText::of(ID), code, detail, key, retry_after_ns }.write(&mut out);
        pretty(&out)
    };
    let all = [
        refused(Code::KeyUnknown, "no such key", None, None),
        refused(Code::KeyExpired, "", Some(KeyId(7)), None),
        refused(Code::RateLimited, "limit burst", Some(KeyId(7)), Some(1_000_001)),
        refused(Code::RateLimited, "can never pass", Some(KeyId(7)), None),
        refused(Code::ConcurrencyExceeded, "", Some(KeyId(7)), None),
    ];
    insta::assert_snapshot!("refused", all.join("\n"));
}

proptest! {
    /// Whatever comes is read or refused; a refusal names a place and repeats no value.
    #[test]
    fn any_body_is_read_or_refused(pieces in prop::collection::vec(
        prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"key\"", "\"requests\"", "\"cost\"", "\"headers\"", "\"scopes\"",
            "\"ip\"", "\"Origin\"", "\"S3CRET\"", "\"\\u0053\"", "null", "1", "-1", "1e99", " ", "\n", "\\",
            "\"", "true", "{\"key\":\"S3CRET\"}", "ü",
        ]), 0..24)) {
        let body = pieces.concat();
        for mistake in [
            read::request(body.as_bytes()).err(),
            read::batch(body.as_bytes()).err(),
        ].into_iter().flatten() {
            prop_assert!(mistake.line >= 1);
            prop_assert!(!mistake.problem.is_empty() && !mistake.problem.contains("S3CRET"), "{}", mistake);
        }
    }
}

fn pretty(body: &[u8]) -> String {
    // `Value` would sort the fields; their order is part of what is looked at here.
    let text = std::str::from_utf8(body).unwrap();
    serde_json::from_str::<Value>(text).unwrap();
    text.replace(",\"", ",\n\"")
}
