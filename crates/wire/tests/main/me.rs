//! The answer of `GET /v1/me`.

use serde_json::Value;
use tollgate_core::keyring::Narrowing;
use tollgate_wire::me::Me;

use crate::fixture::{ID, NOON_US, consumer, policy, record, standings};

#[test]
fn it_says_what_the_key_is_and_what_remains() {
    let (mut record, policy, consumer) = (record(), policy(), consumer());
    record.generation = 2;
    record.secret_until_us = NOON_US;
    record.narrowing = Some(Box::new(Narrowing {
        bind_host: Some("app.example.com".into()),
        networks: Some(Box::new(["192.0.2.0/24".parse().unwrap()])),
    }));
    let stands: Vec<_> = policy.rules.iter().zip(standings()).collect();
    let me = Me {
        id: ID,
        record: &record,
        tenant: "acme",
        project: "maps",
        consumer: Some(&consumer),
        policy: Some(&policy),
        services: &[],
        standings: &stands,
    };
    let body: Value = serde_json::from_slice(&me.to_body()).unwrap();
    insta::assert_snapshot!("me", serde_json::to_string_pretty(&body).unwrap());
}

#[test]
fn a_key_without_policy_says_so() {
    let record = record();
    let me = Me {
        id: ID,
        record: &record,
        tenant: "acme",
        project: "maps",
        consumer: None,
        policy: None,
        services: &[],
        standings: &[],
    };
    let body: Value = serde_json::from_slice(&me.to_body()).unwrap();
    assert_eq!(body["policy"], Value::Null);
    assert_eq!(body["rotation"]["is_current"], true);
}
