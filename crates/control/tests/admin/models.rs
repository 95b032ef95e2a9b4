//! Versions of models over the admin API: registered, changed, given aliases, taken away; and which files of the host
//! may be named.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tollgate_control::{ModelTrial, NotTried};
use tollgate_core::{authz::Action, predict_spec::ModelSpec, resource::Resources};
use tollgate_store::ApplyMode;
use tollgate_testkit::wait_until;

use super::world::{NOW, Person, World, os};

const SOON: Duration = Duration::from_secs(30);

/// Fails samples that hold `wrong`; those that hold `slow` take until they are let go.
pub(crate) struct Picky(pub(crate) Arc<Slow>);

#[derive(Default)]
pub(crate) struct Slow {
    begun: AtomicUsize,
    may_end: AtomicBool,
}

impl ModelTrial for Picky {
    fn attempt(&self, spec: &ModelSpec) -> Result<(), NotTried> {
        let inputs = spec.sample.as_ref().map(|sample| sample.inputs.as_str()).unwrap_or_default();
        if inputs.contains("slow") {
            self.0.begun.fetch_add(1, Ordering::SeqCst);
            let waits = |_: &i32| !self.0.may_end.load(Ordering::SeqCst);
            (0..2_000).take_while(waits).for_each(|_| std::thread::park_timeout(Duration::from_millis(10)));
        }
        if inputs.contains("wrong") { Err(NotTried::Unfit("it takes [1, 4]".to_owned())) } else { Ok(()) }
    }
}

fn ranker(version: &str, aliases: Value) -> Value {
    json!({
        "project": "maps", "name": "ranker", "version": version, "aliases": aliases,
        "remote": {"protocol": "kserve-v2", "url": "http://127.0.0.7:8000"},
        "input": [{"name": "features", "datatype": "FP32", "shape": [-1, 12]}],
    })
}

pub(crate) async fn versions_are_registered_and_an_alias_moves_at_once(mut world: World) {
    let admin = world.person("admin").await;
    let one = admin.post("/models", ranker("1", json!(["stable"]))).await;
    assert_eq!((one.status.as_u16(), one.header("etag")), (201, Some("\"1\"")), "{}", one.text());
    assert_eq!((&one.json()["state"], &one.json()["version"]), (&json!("unknown"), &json!("1")));
    let first = format!("/models/{}", one.json()["id"].as_str().unwrap());
    assert_eq!(one.header("location"), Some(format!("/api/admin/v1{first}").as_str()));
    assert_eq!(admin.post("/models", ranker("1", json!([]))).await.status, 409);
    let taken = admin.post("/models", ranker("2", json!(["stable"]))).await;
    assert_eq!((taken.status.as_u16(), &taken.json()["errors"][0]["field"]), (422, &json!("aliases")));
    let two = admin.post("/models", ranker("2", json!([]))).await.json();
    let second = format!("/models/{}", two["id"].as_str().unwrap());

    let moved = admin.post(&format!("{second}/aliases"), json!({"alias": "stable"})).await;
    assert_eq!(
        (moved.status.as_u16(), &moved.json()["aliases"]),
        (200, &json!(["stable"])),
        "{}",
        moved.text()
    );
    assert_eq!(admin.get(&first).await.json()["aliases"], json!([]));
    let same = admin.post(&format!("{second}/aliases"), json!({"alias": "stable"})).await;
    assert_eq!(same.header("etag"), moved.header("etag"), "what is so already is no change");
    for wrong in ["1", "a b", ""] {
        let reply = admin.post(&format!("{second}/aliases"), json!({"alias": wrong})).await;
        assert_eq!(reply.status, 422, "{wrong}: {}", reply.text());
    }

    let mut slower = ranker("2", json!([]));
    slower["timeout"] = json!("5s");
    assert_eq!(admin.change("PUT", &second, ("\"1\"", Some(slower.clone()))).await.status, 412);
    let changed = admin.change("PUT", &second, ("\"2\"", Some(slower))).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["spec"]["timeout"]),
        (200, &json!("5s")),
        "{}",
        changed.text()
    );
    let renamed = admin.change("PUT", &second, ("*", Some(ranker("3", json!([]))))).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json()["errors"][0]["field"]), (422, &json!("version")));

    let page = admin.get("/models?limit=1&search=RANK").await.json();
    assert_eq!(page["items"][0]["version"], "1");
    let rest = admin.get(&format!("/models?cursor={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!((&rest["items"][0]["version"], &rest["next"]), (&json!("2"), &Value::Null));
    assert_eq!(admin.change("DELETE", &first, ("*", None)).await.status, 204);
    assert_eq!(admin.get(&first).await.status, 404);
    let audit = admin.get(&format!("/audit?subject={}", two["id"].as_str().unwrap())).await.json();
    let actions: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["model.update", "model.update", "model.create"]);
}

/// Registers a model of a file on the host; its path here.
async fn applied_file(world: &World, person: &Person) -> String {
    let spec = json!({"model": [{"project": "acme/maps", "name": "fraud", "file": "/m/fraud.onnx"}]});
    let resources: Resources = serde_json::from_value(spec).unwrap();
    let permit = os(Action::ChangeResources);
    world.store.apply(&permit, &resources, ApplyMode::default(), NOW).await.unwrap();
    let shown = person.get("/models?search=fraud").await.json()["items"][0].clone();
    format!("/models/{}", shown["id"].as_str().unwrap())
}

pub(crate) async fn files_of_the_host_are_named_by_its_operator_only(mut world: World) {
    let owner = world.person("owner").await;
    let named = |file: &str, sample: &str| json!({"project": "maps", "name": "fraud", "file": file, "sample": {"inputs": sample}});
    let refused = |reply: tollgate_testkit::http::Reply, field: &str| {
        let errors = reply.json()["errors"].clone();
        assert_eq!((reply.status.as_u16(), &errors[0]["field"]), (422, &json!(field)), "{}", reply.text());
        errors[0]["problem"].as_str().unwrap().to_owned()
    };
    for file in ["/etc/passwd", "/m/fraud.onnx", "../fraud.onnx"] {
        refused(owner.post("/models", named(file, "[[1]]")).await, "file");
        let document = json!({"model": [named(file, "[[1]]")]});
        refused(owner.post("/apply", document).await, "model[0].file");
    }
    let path = applied_file(&world, &owner).await;
    let put = |file: &str, sample: &str| owner.change("PUT", &path, ("*", Some(named(file, sample))));
    assert!(refused(put("/etc/passwd", "[[1]]").await, "file").contains("tollgate apply"));
    let mut remote = ranker("1", json!([]));
    remote["name"] = json!("fraud");
    let elsewhere = owner.change("PUT", &path, ("*", Some(remote))).await;
    assert!(refused(elsewhere, "file").contains("stays"));
    assert!(refused(put("/m/fraud.onnx", "wrong").await, "sample").contains("[1, 4]; correct the sample"));
    assert!(refused(put("/m/fraud.onnx", "[[1").await, "sample.inputs").contains("JSON"));
    let good = put("/m/fraud.onnx", "[[1, 2, 3, 4]]").await;
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(owner.change("DELETE", &path, ("*", None)).await.status, 204);
    refused(owner.post("/models", named("/m/fraud.onnx", "[[1]]")).await, "file");
}

pub(crate) async fn a_trial_keeps_its_place_when_who_asked_for_it_leaves(mut world: World) {
    let owner = world.person("owner").await;
    let path = applied_file(&world, &owner).await;
    let with = |sample: &str| {
        let body = json!({"project": "maps", "name": "fraud", "file": "/m/fraud.onnx", "sample": {"inputs": sample}});
        ("*", Some(body))
    };
    for tried in 1..=2 {
        let (owner, path, change) = (owner.clone(), path.clone(), with("slow"));
        let asking = tokio::spawn(async move { owner.change("PUT", &path, change).await });
        wait_until(SOON, async || world.slow.begun.load(Ordering::SeqCst) == tried).await;
        asking.abort();
        assert!(asking.await.is_err(), "its connection is closed");
    }
    for _ in 0..5 {
        assert_eq!(owner.get(&path).await.status, 200);
        assert_eq!(owner.change("PUT", &path, with("[[1]]")).await.code(), "busy");
    }
    world.slow.may_end.store(true, Ordering::SeqCst);
    wait_until(SOON, async || owner.change("PUT", &path, with("[[1]]")).await.status == 200).await;
}
