//! The same change to many keys.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::wait_until;

use super::world::{Person, SECOND, World};

async fn fill(person: &Person, count: usize) {
    let keys = vec![json!({"project": "maps", "consumer": "app", "policy": "standard"}); count];
    let made = person.post("/keys/bulk", json!({ "keys": keys })).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

async fn ended(person: &Person, started: &Value) -> Value {
    let path = format!("/jobs/{}", started["id"].as_str().unwrap());
    let is_over = async || person.get(&path).await.json()["state"] != "running";
    wait_until(Duration::from_secs(60), is_over).await;
    person.get(&path).await.json()
}

pub(crate) async fn many_keys_are_tagged_and_revoked(mut world: World) {
    let admin = world.person("admin").await;
    fill(&admin, 450).await;
    let web = admin.key("web").await;
    let tag = admin
        .post(
            "/jobs",
            json!({"operation": "tag", "keys": {"project": "maps", "consumer": "app"}, "set": {"wave": "1"}}),
        )
        .await;
    assert_eq!(tag.status, 202, "{}", tag.text());
    assert_eq!(
        tag.header("location").unwrap(),
        format!("/api/admin/v1/jobs/{}", tag.json()["id"].as_str().unwrap())
    );
    let done = ended(&admin, &tag.json()).await;
    assert_eq!(
        (done["state"].as_str(), done["done"].as_u64(), done["changed"].as_u64()),
        (Some("done"), Some(450), Some(450))
    );
    assert_eq!(
        admin.get("/keys?metadata=wave=1&limit=1000").await.json()["items"].as_array().unwrap().len(),
        450
    );

    let selection = json!({"project": "maps", "consumer": "app"});
    let revoke = admin.post("/jobs", json!({"operation": "revoke", "keys": selection})).await.json();
    assert_eq!(ended(&admin, &revoke).await["changed"], 450);
    assert_eq!(
        admin.get("/keys?state=revoked&limit=1000").await.json()["items"].as_array().unwrap().len(),
        450
    );
    assert_eq!(admin.get(&format!("/keys/{web}")).await.json()["state"], "active", "not selected");
    let again = admin.post("/jobs", json!({"operation": "revoke", "keys": selection})).await.json();
    assert_eq!(ended(&admin, &again).await["changed"], 0, "started again it does the rest");
    assert_eq!(admin.get("/jobs").await.json()["items"].as_array().unwrap().len(), 3);
}

pub(crate) async fn a_job_must_say_which_keys(mut world: World) {
    let admin = world.person("admin").await;
    for (body, field) in [
        (json!({"operation": "revoke", "keys": {}}), "keys"),
        (json!({"operation": "tag", "keys": {"project": "maps"}}), "set"),
        (json!({"operation": "revoke", "keys": {"environment": "prod"}}), "keys.environment"),
    ] {
        let refused = admin.post("/jobs", body).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    let unknown =
        admin.post("/jobs", json!({"operation": "revoke", "keys": {"project": "maps"}, "all": true})).await;
    assert_eq!(unknown.status, 422, "{}", unknown.text());
    let nobody = admin.post("/jobs", json!({"operation": "revoke", "keys": {"project": "nope"}})).await;
    assert_eq!(nobody.status, 404);
}

pub(crate) async fn a_job_of_a_dead_process_is_lost(mut world: World) {
    let admin = world.person("admin").await;
    fill(&admin, 3).await;
    let job = admin.post("/jobs", json!({"operation": "disable", "keys": {"project": "maps"}})).await.json();
    let path = format!("/jobs/{}", ended(&admin, &job).await["id"].as_str().unwrap());
    // As a process that died would leave it.
    world.raw("UPDATE jobs SET state = 0").await;
    assert_eq!(admin.get(&path).await.json()["state"], "running");
    world.pass(61 * SECOND);
    assert_eq!(admin.get(&path).await.json()["state"], "lost");
}
