//! A request that is sent twice is done once.

use serde_json::{Value, json};
use tollgate_testkit::http::{Call, Reply};

use super::world::{BASE, Person, SECOND, World};

async fn named(person: &Person, path: &str, (name, body): (&str, Value)) -> Reply {
    person.send(Call::post(&format!("{BASE}{path}"), &body).header("idempotency-key", name)).await
}

pub(crate) async fn a_repetition_is_answered_and_not_done(mut world: World) {
    let admin = world.person("admin").await;
    let body = json!({"project": "maps", "consumer": "app", "policy": "standard"});
    let first = named(&admin, "/keys", ("one", body.clone())).await;
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (201, None), "{}", first.text());
    let again = named(&admin, "/keys", ("one", body.clone())).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert!(first.json()["key"].is_string() && again.json().get("key").is_none(), "the key is shown once");
    assert!(again.json()["notice"].as_str().unwrap().contains("stored nowhere"));
    assert_eq!(admin.get("/keys").await.json()["items"].as_array().unwrap().len(), 1);

    let other = json!({"project": "maps", "consumer": "web", "policy": "standard"});
    let conflict = named(&admin, "/keys", ("one", other.clone())).await;
    assert_eq!((conflict.status.as_u16(), conflict.code().as_str()), (422, "idempotency_conflict"));
    let elsewhere = named(&admin, "/consumers", ("one", json!({"project": "maps", "name": "n"}))).await;
    assert_eq!(elsewhere.code(), "idempotency_conflict", "the path belongs to the request");
    let colleague = world.person("admin").await;
    assert_eq!(named(&colleague, "/keys", ("one", other)).await.status, 201, "names are a person's own");
    world.pass(1790 * SECOND);
}

pub(crate) async fn one_person_uses_up_only_their_own(mut world: World) {
    let busy = world.person("admin").await;
    let other = world.person("admin").await;
    let body = json!({"project": "maps", "name": "n"});
    assert_eq!(named(&busy, "/consumers", ("first", body.clone())).await.status, 201);
    // As many as one person may have in a day, but for one.
    world
        .raw(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4999) \
             INSERT INTO idempotency (tenant, actor, name, request, state, status, body, created_us) \
             SELECT tenant, actor, CAST('n' || i AS BLOB), request, 1, 200, '', created_us FROM idempotency, n",
        )
        .await;
    let full = named(&busy, "/consumers", ("more", json!({"project": "maps", "name": "m"}))).await;
    assert_eq!((full.status.as_u16(), full.code().as_str()), (429, "too_many_attempts"));
    let free = named(&other, "/consumers", ("more", json!({"project": "maps", "name": "m"}))).await;
    assert_eq!(free.status, 201, "the others have theirs");
}

pub(crate) async fn what_was_refused_may_be_corrected(mut world: World) {
    let admin = world.person("admin").await;
    let wrong = named(&admin, "/consumers", ("two", json!({"project": "maps", "name": "a b"}))).await;
    assert_eq!(wrong.status, 422);
    let right = named(&admin, "/consumers", ("two", json!({"project": "maps", "name": "ab"}))).await;
    assert_eq!(right.status, 201, "{}", right.text());
    for name in ["", "\u{e9}", &"x".repeat(256)] {
        let reply = named(&admin, "/consumers", (name, json!({"project": "maps", "name": "c"}))).await;
        assert_eq!(reply.status, 422, "{name}");
    }
}

pub(crate) async fn a_claim_without_an_answer_is_refused(mut world: World) {
    let admin = world.person("admin").await;
    let body = json!({"project": "maps", "name": "n"});
    assert_eq!(named(&admin, "/consumers", ("three", body.clone())).await.status, 201);
    // As a process that died before its answer was kept would leave it.
    world.raw("UPDATE idempotency SET state = 0").await;
    let unknown = named(&admin, "/consumers", ("three", body)).await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (409, "idempotency_under_way"));
}

pub(crate) async fn twenty_at_once_are_done_once(mut world: World) {
    let admin = world.person("admin").await;
    let body = json!({"project": "maps", "consumer": "app", "policy": "standard"});
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (admin, body) = (admin.clone(), body.clone());
        tasks.spawn(async move { named(&admin, "/keys", ("burst", body)).await });
    }
    let replies = tasks.join_all().await;
    let made =
        replies.iter().filter(|reply| reply.status == 201 && reply.header("idempotent-replayed").is_none());
    assert_eq!(made.count(), 1);
    assert!(replies.iter().all(|reply| matches!(reply.status.as_u16(), 201 | 409)));
    assert_eq!(admin.get("/keys").await.json()["items"].as_array().unwrap().len(), 1);
}
