//! Nothing of another tenant is learnt, and nothing beyond the token's services.

use serde_json::{Value, json};
use tollgate_core::keyring::KeyState;
use tollgate_testkit::http::Call;

use super::world::{FOREIGN, GLOBEX_TOKEN, SHOP, TILES_TOKEN, TOKEN, TWO_TOKEN, World, assert_mistake};

fn without_id(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("decision_id").unwrap();
    answer
}

#[tokio::test]
async fn a_key_of_another_tenant_is_answered_like_one_that_does_not_exist() {
    let world = World::start();
    let unknown =
        without_id(world.verify(json!({"key": world.unknown_key(), "service": "maps/tiles"})).await);
    for change in [KeyState::Active, KeyState::Revoked, KeyState::Disabled] {
        let foreign = world.key_with("", |record| {
            record.project = FOREIGN;
            record.state = change;
        });
        let answer = world.verify(json!({"key": foreign, "service": "maps/tiles"})).await;
        assert_eq!(without_id(answer), unknown);
        assert_eq!(
            world.verify_as(GLOBEX_TOKEN, json!({"key": foreign})).await["code"],
            match change {
                KeyState::Active => "valid",
                KeyState::Revoked => "key_revoked",
                _ => "key_disabled",
            }
        );
    }
    for record in world.records().iter().filter(|record| record.entry.tenant == super::world::ACME.0) {
        assert_eq!(
            (record.entry.key, record.entry.consumer, record.entry.project == FOREIGN.0),
            (0, 0, false)
        );
    }
}

#[tokio::test]
async fn a_key_of_another_tenant_counts_like_an_unknown_one_too() {
    let world = World::start();
    let foreign = world.key_with("", |record| record.project = FOREIGN);
    let mut last = Value::Null;
    for _ in 0..31 {
        last = world.verify(json!({"key": foreign, "ip": "192.0.2.9"})).await["code"].clone();
    }
    assert_eq!(last, "too_many_bad_keys");
}

#[tokio::test]
async fn a_service_of_another_tenant_is_answered_like_one_that_does_not_exist() {
    let world = World::start();
    let key = world.key("");
    let detail = |answer: Value, name: &str| answer["detail"].as_str().unwrap().replace(name, "X");
    let foreign = world.verify(json!({"key": key, "service": "vault"})).await;
    let nowhere = world.verify(json!({"key": key, "service": "nowhere"})).await;
    assert_eq!((&foreign["code"], &nowhere["code"]), (&json!("no_service"), &json!("no_service")));
    assert_eq!(detail(foreign, "vault"), detail(nowhere, "nowhere"));
}

#[tokio::test]
async fn a_limited_token_asks_about_its_services_alone() {
    let world = World::start();
    let key = world.key("");
    let shop_key = world.key_with("", |record| record.project = SHOP);
    let cases = [
        (TILES_TOKEN, json!({"key": key, "service": "maps/tiles"}), "valid"),
        (TILES_TOKEN, json!({"key": key}), "valid"),
        (TILES_TOKEN, json!({"key": shop_key}), "service_not_granted"),
        (TILES_TOKEN, json!({"key": key, "service": "admin"}), "no_service"),
        (TWO_TOKEN, json!({"key": key, "service": "admin"}), "valid"),
        (TWO_TOKEN, json!({"key": key}), "no_service"),
    ];
    for (token, question, code) in cases {
        let answer = world.verify_as(token, question.clone()).await;
        assert_eq!(answer["code"], code, "{token} {question} {answer}");
    }
}

#[tokio::test]
async fn only_a_service_token_opens_the_service_api() {
    let world = World::start();
    let key = world.key("");
    let call = || Call::post("/v1/keys/verify", &json!({"key": key}));
    assert_mistake(&world.send(call()).await, 401, "token_missing");
    let reply = world.send(call()).await;
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    for token in ["tgs_nobody_has_it", &key, "", "tgs_of_all", &format!("{TOKEN}x"), &"tgs_".repeat(1000)] {
        let reply = world.send(call().bearer(token)).await;
        assert_eq!(reply.status, 401, "{token}");
        assert!(["token_unknown", "token_missing"].contains(&reply.code().as_str()));
        assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    }
    assert_mistake(
        &world.send(call().header("authorization", &format!("Basic {TOKEN}"))).await,
        401,
        "token_missing",
    );
    assert_mistake(&world.send(call().header("x-api-key", TOKEN)).await, 401, "token_missing");
    assert_mistake(&world.send(call().bearer(TOKEN).bearer(TOKEN)).await, 400, "malformed_request");
    assert_eq!(world.send(call().header("authorization", &format!("bearer {TOKEN}"))).await.status, 200);
    let batch = Call::post("/v1/keys/verify-batch", &json!([{"key": key}]));
    assert_mistake(&world.send(batch).await, 401, "token_missing");
}
