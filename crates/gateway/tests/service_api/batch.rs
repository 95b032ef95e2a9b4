//! `POST /v1/keys/verify-batch`: answers in order, each with its own decision.

use std::collections::HashSet;

use serde_json::{Value, json};
use tollgate_testkit::http::Call;

use super::world::{TOKEN, World, assert_mistake};

async fn ask(world: &World, batch: &Value) -> Value {
    let reply = world.send(Call::post("/v1/keys/verify-batch", batch).bearer(TOKEN)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_questions() {
    let world = World::start();
    let keys: Vec<String> = (0..40).map(|_| world.key("")).collect();
    let questions: Vec<Value> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| if index % 3 == 0 { json!({"key": "nonsense"}) } else { json!({"key": key}) })
        .collect();
    let answers = ask(&world, &json!({"requests": questions})).await;
    let answers = answers["results"].as_array().unwrap().clone();
    assert_eq!(answers.len(), 40);
    for (index, answer) in answers.iter().enumerate() {
        if index % 3 == 0 {
            assert_eq!(answer["code"], "key_malformed");
        } else {
            let id: tollgate_core::id::KeyId = answer["key_id"].as_str().unwrap().parse().unwrap();
            assert_eq!((&answer["valid"], id.0), (&json!(true), index as u64 + 1), "{answer}");
        }
    }
    let ids: HashSet<&str> = answers.iter().map(|answer| answer["decision_id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), world.records().len()), (40, 40), "one decision and one record each");
}

#[tokio::test]
async fn a_list_is_answered_by_a_list() {
    let world = World::start();
    let answers = ask(&world, &json!([{"key": world.key("")}, {"key": "x"}])).await;
    assert_eq!((&answers[0]["valid"], &answers[1]["valid"]), (&json!(true), &json!(false)));
    assert_eq!(ask(&world, &json!([])).await, json!([]));
    assert_eq!(ask(&world, &json!({"requests": []})).await, json!({"results": []}));
}

#[tokio::test]
async fn the_questions_of_a_batch_share_limits_and_not_places_in_flight() {
    let world = World::start();
    let key = world.key("max_concurrency = 1\n[[limit]]\nname = \"burst\"\namount = 2\nwindow = \"1m\"");
    let one = json!({"key": key});
    let answers = ask(&world, &json!([one, one, one])).await;
    let codes: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer["code"]).collect();
    assert_eq!(codes, ["valid", "valid", "rate_limited"]);
}

#[tokio::test]
async fn a_thousand_questions_are_answered_and_one_more_is_too_many() {
    let world = World::start();
    let question = json!({"key": world.key("")});
    let answers = ask(&world, &Value::from(vec![question.clone(); 1000])).await;
    assert_eq!(answers.as_array().unwrap().iter().filter(|answer| answer["valid"] == true).count(), 1000);
    assert_eq!(world.records().len(), 1000);
    let call = Call::post("/v1/keys/verify-batch", &Value::from(vec![question; 1001])).bearer(TOKEN);
    let reply = world.send(call).await;
    assert_mistake(&reply, 400, "malformed_request");
    assert!(reply.text().contains("more than 1000 requests"), "{}", reply.text());
    assert_eq!(world.records().len(), 1000, "a batch that cannot be read decides nothing");
}

#[tokio::test]
async fn a_mistake_names_the_question() {
    let world = World::start();
    let call = Call::post("/v1/keys/verify-batch", &json!([{"key": "a"}, {"key": "b", "cost": "much"}]));
    let reply = world.send(call.bearer(TOKEN)).await;
    assert_mistake(&reply, 400, "malformed_request");
    assert!(
        reply.json()["detail"].as_str().unwrap().contains("requests[1].cost: must be"),
        "{}",
        reply.text()
    );
}
