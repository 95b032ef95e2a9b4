//! The same change to many keys.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::{authz::Action, keyring::KeyState};
use tollgate_store::{BulkEdit, JobStep, KeyFilter, NewJobRow};
use tollgate_testkit::{http::Call, wait_until};

use super::world::{BASE, NOW, Person, SECOND, World, os};

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

/// A job as a process leaves it that died after its first step, and what it was to do.
async fn abandoned(world: &World, person: &Person) -> tollgate_core::id::JobId {
    let request = json!({"operation": "disable", "keys": {"project": "maps"}}).to_string();
    let actor = person.user.to_string();
    let new = NewJobRow { tenant: world.acme, actor, request, total: 450, run: 7 };
    let job = world.store.begin_job(&os(Action::ChangeKeys), new, NOW).await.unwrap();
    let filter = KeyFilter {
        tenant: Some(world.acme),
        project: Some("acme/maps".into()),
        created_until_us: Some(NOW),
        ..KeyFilter::default()
    };
    let what = (&filter, &BulkEdit::State(KeyState::Disabled));
    let step = world.store.step_job(&os(Action::ChangeKeys), (job, 7), what, NOW).await.unwrap();
    assert_eq!(step, JobStep::More);
    job
}

pub(crate) async fn a_job_of_a_dead_process_goes_on_and_does_each_key_once(mut world: World) {
    let admin = world.person("admin").await;
    fill(&admin, 450).await;
    let job = abandoned(&world, &admin).await;
    let path = format!("/jobs/{job}");
    let left = admin.get(&path).await.json();
    assert_eq!((left["state"].as_str(), left["done"].as_u64()), (Some("running"), Some(200)));
    world.pass(61 * SECOND);
    wait_until(Duration::from_secs(60), async || admin.get(&path).await.json()["state"] == "done").await;
    let done = admin.get(&path).await.json();
    assert_eq!((done["done"].as_u64(), done["changed"].as_u64()), (Some(450), Some(450)));
    let entries = format!("FROM changes WHERE action = 'key.disable' AND after LIKE '%{job}%'");
    assert_eq!(world.numbers(&format!("SELECT COUNT(*) {entries}")).await, [450], "each with the job");
    assert_eq!(world.numbers(&format!("SELECT COUNT(DISTINCT entity_id) {entries}")).await, [450]);
    assert_eq!(world.numbers("SELECT COUNT(*) FROM job_keys").await, [450]);
    let first = admin.get(&format!("/keys?job={job}&limit=400")).await.json();
    let next = first["next"].as_str().unwrap();
    let rest = admin.get(&format!("/keys?job={job}&limit=400&cursor={next}")).await.json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 50, "what it changed, page by page");
    world.store.audit_verify().await.unwrap().unwrap();
}

pub(crate) async fn a_job_goes_on_only_with_the_rights_its_person_has_then(mut world: World) {
    let admin = world.person("admin").await;
    fill(&admin, 450).await;
    let job = abandoned(&world, &admin).await;
    let user = admin.user.to_sql();
    world.raw(&format!("UPDATE members SET role = 'auditor' WHERE account = {user}")).await;
    world.pass(61 * SECOND);
    let owner = world.person("owner").await;
    let path = format!("/jobs/{job}");
    wait_until(Duration::from_secs(60), async || owner.get(&path).await.json()["state"] == "failed").await;
    assert_eq!(owner.get(&path).await.json()["changed"], 200);
}

pub(crate) async fn a_running_job_ends_when_its_person_loses_the_right(mut world: World) {
    let admin = world.person("admin").await;
    let owner = world.person("owner").await;
    fill(&admin, 450).await;
    let user = admin.user.to_sql();
    world
        .raw(&format!(
            "CREATE TRIGGER gone AFTER UPDATE OF done ON jobs \
             BEGIN DELETE FROM members WHERE account = {user}; END"
        ))
        .await;
    let asked = json!({"operation": "revoke", "keys": {"project": "maps"}});
    let started = admin.post("/jobs", asked).await.json();
    let job = ended(&owner, &started).await;
    assert_eq!((job["state"].as_str(), job["changed"].as_u64()), (Some("failed"), Some(200)), "{job}");
    assert!(job["error"].as_str().unwrap().contains("may not do this"), "{job}");
}

pub(crate) async fn a_job_that_was_left_for_an_hour_does_not_go_on(mut world: World) {
    let admin = world.person("admin").await;
    fill(&admin, 450).await;
    let job = abandoned(&world, &admin).await;
    world.pass(3700 * SECOND);
    let admin = world.person("admin").await;
    let path = format!("/jobs/{job}");
    wait_until(Duration::from_secs(60), async || admin.get(&path).await.json()["state"] == "failed").await;
    let failed = admin.get(&path).await.json();
    assert_eq!(failed["changed"], 200);
    assert!(failed["error"].as_str().unwrap().contains("start it again"), "{failed}");
}

pub(crate) async fn a_cancelled_job_changes_nothing_more(mut world: World) {
    let admin = world.person("admin").await;
    fill(&admin, 450).await;
    let job = abandoned(&world, &admin).await;
    let call = Call::new("DELETE", &format!("{BASE}/jobs/{job}"));
    assert_eq!(admin.send(call).await.json()["state"], "cancelled");
    let edit = BulkEdit::State(KeyState::Disabled);
    let all = KeyFilter { tenant: Some(world.acme), ..KeyFilter::default() };
    let step = world.store.step_job(&os(Action::ChangeKeys), (job, 7), (&all, &edit), NOW).await.unwrap();
    assert_eq!(step, JobStep::NotOurs);
    let again = admin.send(Call::new("DELETE", &format!("{BASE}/jobs/{job}"))).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "conflict"));
    let rows = admin.get(&format!("/audit?subject={job}")).await.json();
    let entry = |at: usize| (rows["items"][at]["action"].as_str(), rows["items"][at]["after"].clone());
    assert_eq!(entry(0), (Some("job.cancel"), json!({"done": 200, "changed": 200})), "I20");
    let request = json!({"operation": "disable", "keys": {"project": "maps"}});
    assert_eq!(entry(1), (Some("job.create"), json!({"request": request, "keys": 450})));
    assert_eq!(rows["items"].as_array().unwrap().len(), 2, "what changed nothing is not in it");
    assert_eq!(rows["items"][0]["actor"], admin.user.to_string());
}

pub(crate) async fn what_a_job_would_break_is_told_before(mut world: World) {
    let admin = world.person("admin").await;
    fill(&admin, 5).await;
    let web = admin.key("web").await;
    admin.act(&format!("/keys/{web}/revoke")).await;
    world
        .raw(&format!(
            "INSERT INTO key_uses (key, generation, used_us, address) \
             SELECT id, 0, {NOW} - (id % 2) * 172800000000, CAST('a' AS BLOB) FROM keys"
        ))
        .await;
    let used = world.numbers("SELECT COUNT(*) FROM keys WHERE id % 2 = 0").await[0];
    let seen = admin.post("/jobs/preview", json!({"project": "maps"})).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let seen = seen.json();
    assert_eq!((&seen["keys"], &seen["live"]), (&json!(6), &json!(5)));
    assert_eq!((&seen["used"], &seen["addresses"]), (&json!(used), &json!(i64::from(used > 0))));
    let narrow = admin.post("/jobs/preview", json!({"project": "maps", "state": "revoked"})).await.json();
    assert_eq!((&narrow["keys"], &narrow["live"]), (&json!(1), &json!(0)));
    assert_eq!(admin.post("/jobs/preview", json!({})).await.status, 422, "nothing is not everything");
    assert_eq!(admin.post("/jobs/preview", json!({"metadata": "x"})).await.status, 422);
    let auditor = world.person("auditor").await;
    assert_eq!(auditor.post("/jobs/preview", json!({"project": "maps"})).await.status, 403);
}
