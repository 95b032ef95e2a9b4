//! Questions to models over the real binary: both wire forms, grants, versions swapped under load, a file that is
//! broken, more than a model takes, and models that live elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::http::{Call, Reply};
use tollgate_testkit::{InferenceServer, Tollgate, wait_until};

use crate::world::{SOON, builder, create_key, text};

/// A row that looks like fraud, and one that does not.
const ROWS: [[f64; 4]; 2] = [[900.0, 3.0, 0.9, 5.0], [20.0, 14.0, 0.1, 900.0]];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../inference/tests/models/{name}.onnx"))
}

fn resources(models: &str) -> String {
    format!(
        r#"
[[project]]
tenant = "default"
name = "maps"
key_prefix = "mbk"

[[service]]
project = "maps"
name = "predict"
kind = "predict"

[[policy]]
project = "maps"
name = "standard"
services = ["predict"]
scopes = ["read", "write"]
models = ["fraud", "twice*"]

[[consumer]]
project = "maps"
name = "android-team"
{models}"#
    )
}

fn model(version: &str, file: &Path, more: &str) -> String {
    format!(
        "\n[[model]]\nproject = \"maps\"\nname = \"fraud\"\nversion = \"{version}\"\nfile = '{}'\n{more}\n",
        file.display()
    )
}

fn node(models: &str) -> Tollgate {
    builder().env("TOLLGATE_INGEST__DISK_FREE_MIN", "0B").resources(&resources(models)).start()
}

fn key_of(node: &Tollgate) -> String {
    text(&create_key(node, &[]), "key").to_owned()
}

async fn ask(node: &Tollgate, key: &str, question: &Value) -> Reply {
    Call::post("/api/v1/predict", question).bearer(key).send(node.gateway()).await
}

/// A key that the node knows.
async fn known_key(node: &Tollgate) -> String {
    let key = key_of(node);
    let live =
        || async { Call::get("/v2/health/live").bearer(&key).send(node.gateway()).await.status == 200 };
    wait_until(SOON, live).await;
    key
}

#[tokio::test]
async fn both_wire_forms_give_the_same_answer_and_tell_of_it() {
    let record = "record_inputs = true\naliases = [\"stable\"]";
    let node = node(&model("3", &file("boosted"), record));
    let key = known_key(&node).await;
    let reply = ask(&node, &key, &json!({"model": "fraud", "inputs": ROWS})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    assert_eq!((text(&answer, "model"), text(&answer, "version")), ("fraud", "3"));
    assert_eq!(answer["outputs"]["output_label"], json!([1, 0]));
    assert!(answer["latency_ms"].as_f64().is_some_and(|latency| latency > 0.0), "{answer}");
    let named = json!({"model": "fraud", "version": "stable", "inputs": {"features": ROWS}});
    assert_eq!(ask(&node, &key, &named).await.json()["outputs"], answer["outputs"]);

    let flat: Vec<f64> = ROWS.concat();
    let input = json!({"name": "features", "shape": [2, 4], "datatype": "FP32", "data": flat});
    let infer = json!({"id": "42", "inputs": [input], "outputs": [{"name": "output_label"}]});
    for path in ["/v2/models/fraud/infer", "/v2/models/fraud/versions/3/infer"] {
        let reply = Call::post(path, &infer).bearer(&key).send(node.gateway()).await;
        let output = json!({"name": "output_label", "shape": [2], "datatype": "INT64", "data": [1, 0]});
        let wanted = json!({"model_name": "fraud", "model_version": "3", "id": "42", "outputs": [output]});
        assert_eq!(reply.json(), wanted);
    }
    for (path, wanted) in [
        ("/v2/health/ready", json!({"ready": true})),
        ("/v2/models/fraud/ready", json!({"name": "fraud", "ready": true})),
        ("/v2/models/fraud/versions/3/ready", json!({"name": "fraud", "ready": true})),
    ] {
        assert_eq!(Call::get(path).bearer(&key).send(node.gateway()).await.json(), wanted, "{path}");
    }
    let metadata = Call::get("/v2/models/fraud").bearer(&key).send(node.gateway()).await.json();
    assert_eq!(metadata["inputs"], json!([{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]));

    let query = ["events", "query", "--type", "tollgate.prediction"];
    wait_until(SOON, || async { node.json(&query)["events"].as_array().is_some_and(|all| all.len() == 4) })
        .await;
    let told = node.json(&query)["events"][0]["data"].clone();
    assert_eq!((text(&told, "model"), text(&told, "version"), &told["rows"]), ("fraud", "3", &json!(2)));
    assert_eq!(told["inputs"]["features"], json!(ROWS));
    assert_eq!(told["outputs"]["output_label"], json!([1, 0]));
}

#[tokio::test]
async fn each_prediction_is_told_of_under_its_own_key_however_many_ask_at_once() {
    let node = Arc::new(node(&model("1", &file("boosted"), "")));
    let created: Vec<Value> = (0..6).map(|_| create_key(&node, &[])).collect();
    let question = json!({"model": "fraud", "inputs": ROWS});
    for one in &created {
        let live = Call::get("/v2/health/live").bearer(text(one, "key"));
        wait_until(SOON, || async { live.clone().send(node.gateway()).await.status == 200 }).await;
    }
    for _ in 0..3 {
        let asks = created.iter().map(|one| {
            let (node, key, question) = (node.clone(), text(one, "key").to_owned(), question.clone());
            tokio::spawn(async move { ask(&node, &key, &question).await })
        });
        for asked in asks.collect::<Vec<_>>() {
            let reply = asked.await.unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    let told = async |more: &[&str]| {
        let query = [&["events", "query", "--type", "tollgate.prediction", "--limit", "100"], more].concat();
        node.json(&query)["events"].as_array().cloned().unwrap_or_default()
    };
    wait_until(SOON, || async { told(&[]).await.len() == 18 }).await;
    for one in &created {
        let own = told(&["--key", text(one, "id")]).await;
        assert_eq!(own.len(), 3, "{own:?}");
    }
    let ids: std::collections::BTreeSet<String> =
        told(&[]).await.iter().map(|event| text(event, "event_id").to_owned()).collect();
    assert_eq!(ids.len(), 18);
}

#[tokio::test]
async fn what_does_not_fit_or_may_not_be_is_refused_in_the_shape_of_its_form() {
    let other = model("1", &file("boosted"), "").replace("\"fraud\"", "\"secret\"");
    let node = node(&(model("1", &file("boosted"), "") + &other));
    let key = known_key(&node).await;
    for (question, status, code, words) in [
        (json!({"model": "fraud", "inputs": [[1, 2, 3]]}), 422, "inputs_invalid", "[1, 3]"),
        (json!({"model": "fraud", "inputs": [[1, 2, 3, "x"]]}), 422, "inputs_invalid", "inputs[0][3]"),
        (json!({"model": "fraud", "inputs": vec![ROWS[0]; 1025]}), 422, "inputs_invalid", "has 1025"),
        (json!({"model": "fraud", "inputs": {"other": 1}}), 422, "inputs_invalid", "inputs.other"),
        (json!({"model": "secret", "inputs": ROWS}), 403, "model_not_allowed", "secret"),
        (json!({"model": "twice", "inputs": ROWS}), 404, "no_model", "twice"),
        (json!({"model": "fraud", "version": "9", "inputs": ROWS}), 404, "no_model", "`9`"),
        (json!({"model": "fraud"}), 400, "malformed_request", "inputs"),
        (json!({"model": "fraud", "inputs": ROWS, "more": 1}), 400, "malformed_request", "more"),
    ] {
        let reply = ask(&node, &key, &question).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{}", reply.text());
        assert!(text(&reply.json(), "detail").contains(words), "{}", reply.text());
    }
    let infer =
        |path: &'static str| Call::post(path, &json!({"inputs": []})).bearer(&key).send(node.gateway());
    for (reply, status, code) in [
        (infer("/v2/models/secret/infer").await, 403, "model_not_allowed"),
        (infer("/v2/models/fraud/infer").await, 422, "inputs_invalid"),
        (infer("/v2/models/twice/infer").await, 404, "no_model"),
        (Call::get("/v2/models/fraud/ready").send(node.gateway()).await, 401, "key_missing"),
    ] {
        assert_eq!(reply.status, status, "{}", reply.text());
        let answer = reply.json();
        assert!(answer["error"].is_string(), "{answer}");
        assert_eq!(text(&answer, "code"), code);
    }
    let explained = node.json(&["events", "query", "--code", "model_not_allowed", "--count"]);
    assert_eq!(explained["count"], 2);
}

#[tokio::test]
async fn versions_are_swapped_under_load_and_no_request_fails() {
    let stable = "aliases = [\"stable\"]";
    let node = Arc::new(node(&model("1", &file("boosted"), stable)));
    let key = known_key(&node).await;
    let (ends, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (node, key, ends, asked) = (node.clone(), key.clone(), ends.clone(), asked.clone());
            tokio::spawn(async move {
                let question = json!({"model": "fraud", "version": "stable", "inputs": ROWS});
                let mut last = String::new();
                while !ends.load(Ordering::SeqCst) {
                    let reply = ask(&node, &key, &question).await;
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    last = text(&reply.json(), "version").to_owned();
                    asked.fetch_add(1, Ordering::SeqCst);
                }
                last
            })
        })
        .collect();
    for version in 2..6 {
        let (old, new) = ((version - 1).to_string(), version.to_string());
        let models = model(&old, &file("boosted"), "") + &model(&new, &file("boosted"), stable);
        let applied = node.apply(&resources(&models));
        drop(applied);
        let before = asked.load(Ordering::SeqCst);
        wait_until(SOON, || async {
            let question = json!({"model": "fraud", "version": "stable", "inputs": ROWS});
            ask(&node, &key, &question).await.json()["version"] == new
        })
        .await;
        wait_until(SOON, || async { asked.load(Ordering::SeqCst) > before + 20 }).await;
    }
    ends.store(true, Ordering::SeqCst);
    for client in clients {
        assert_eq!(client.await.expect("no request failed"), "5");
    }
}

#[tokio::test]
async fn a_broken_file_leaves_the_old_version_serving_and_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("fraud.onnx");
    std::fs::copy(file("boosted"), &own).expect("copy");
    let node = node(&model("1", &own, ""));
    let key = known_key(&node).await;
    let question = json!({"model": "fraud", "inputs": ROWS});
    let before = ask(&node, &key, &question).await.json()["outputs"].clone();
    assert_eq!(before["output_label"], json!([1, 0]));
    std::fs::write(&own, "half a file").expect("write");
    let parts =
        || async { tollgate_testkit::http::get(node.control(), "/readyz").await.json()["parts"].clone() };
    wait_until(SOON, || async { parts().await.to_string().contains("1 cannot be used") }).await;
    assert_eq!(ask(&node, &key, &question).await.json()["outputs"], before);
    let listed = node.json(&["models", "list"])["models"][0].clone();
    assert_eq!(listed["usable"], false);
    assert!(text(&listed, "problem").contains("not an ONNX file"), "{listed}");
    let doctor = node.cli(&["doctor"]);
    assert!(doctor.stdout.contains("fraud@1 cannot be used"), "{}", doctor.stdout);
    std::fs::copy(file("boosted"), &own).expect("copy");
    wait_until(SOON, || async { !parts().await.to_string().contains("cannot be used") }).await;
    assert_eq!(ask(&node, &key, &question).await.json()["outputs"], before);
}

#[tokio::test]
async fn more_than_a_model_takes_is_refused_at_once_with_a_time_to_come_back() {
    let server = InferenceServer::start(Duration::from_secs(2)).await;
    let node = Arc::new(node(&remote("twice", "kserve-v2", &server.url(), "concurrency_max = 2")));
    let key = known_key(&node).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (node, key) = (node.clone(), key.clone());
        calls.spawn(async move { ask(&node, &key, &json!({"model": "twice", "inputs": [[1, 2]]})).await });
    }
    let replies = calls.join_all().await;
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert_eq!((refused.len(), server.calls()), (4, 2));
    for reply in refused {
        assert_eq!((reply.code().as_str(), reply.header("retry-after")), ("overloaded", Some("1")));
    }
    assert!(replies.iter().filter(|reply| reply.status == 200).count() == 2);
}

fn remote(name: &str, protocol: &str, url: &str, more: &str) -> String {
    format!(
        r#"
[[model]]
project = "maps"
name = "{name}"
remote = {{ protocol = "{protocol}", url = "{url}", model = "twice", version = "7" }}
{more}
  [[model.input]]
  name = "x"
  datatype = "FP32"
  shape = [-1, 2]
"#
    )
}

#[tokio::test]
async fn models_elsewhere_are_asked_in_their_servers_words() {
    let server = InferenceServer::start(Duration::ZERO).await;
    let gone = "http://127.0.0.1:9";
    let models = remote("twice", "kserve-v2", &server.url(), "")
        + &remote("twice-tf", "tf-serving", &server.url(), "")
        + &remote("twice-gone", "kserve-v2", gone, "timeout = \"500ms\"");
    let node = node(&models);
    let key = known_key(&node).await;
    for (model, output) in [("twice", "y"), ("twice-tf", "outputs")] {
        let question = json!({"model": model, "inputs": [[1, 2.5], [3, 4]]});
        let reply = ask(&node, &key, &question).await;
        assert_eq!(reply.json()["outputs"], json!({output: [[2.0, 5.0], [6.0, 8.0]]}), "{}", reply.text());
        let input = json!({"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]});
        let path = format!("/v2/models/{model}/infer");
        let reply = Call::post(&path, &json!({"inputs": [input]})).bearer(&key).send(node.gateway()).await;
        assert_eq!(reply.json()["outputs"][0]["data"], json!([2.0, 4.0]), "{}", reply.text());
        // What does not fit never reaches the server.
        let before = server.calls();
        let reply = ask(&node, &key, &json!({"model": model, "inputs": [[1]]})).await;
        assert_eq!((reply.code().as_str(), server.calls()), ("inputs_invalid", before));
    }
    let reply = ask(&node, &key, &json!({"model": "twice-gone", "inputs": [[1, 2]]})).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (502, "upstream_unreachable"));
}

#[test]
fn a_file_is_checked_without_a_node() {
    let printed = |arguments: &[&str]| crate::world::run(Path::new("/tmp"), arguments);
    let good = file("boosted");
    let good = good.to_str().expect("a path");
    let shown = printed(&["models", "check", good, "--sample", "[[1,2,3,4]]", "--output", "json"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(shown["inputs"][0]["shape"], json!([-1, 4]));
    assert_eq!(shown["sample"][0]["shape"], json!([1]));
    let bad = printed(&["models", "check", env!("CARGO_MANIFEST_PATH")]);
    assert_eq!(bad.code, Some(1));
}
