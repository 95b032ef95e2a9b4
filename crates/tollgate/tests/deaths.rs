//! The process dies at random moments under load (I12, I13, T1): what was answered is counted, once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate_testkit::http::{Call, Connection};
use tollgate_testkit::{Depth, Tollgate, Upstream, wait_until};

use crate::world::{SOON, builder, resources, text, tiles};

/// Clients that send without a pause.
const CLIENTS: usize = 8;
/// The quota that is counted along; far above what is sent.
const QUOTA: u64 = 1_000_000;
/// What a start may take on a machine that does nothing else; a loaded one gets more.
const START_MAX: Duration = Duration::from_secs(2);

/// Paths whose whole answer arrived.
type Answered = Arc<std::sync::Mutex<HashSet<String>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_under_load_every_answer_is_counted_once() {
    let upstream = Upstream::start();
    let quota = format!(
        "scopes = [\"read\"]\n  [[policy.quota]]\n  name = \"monthly\"\n  amount = {QUOTA}\n  period = \"month\"\n"
    );
    let resources = resources(&upstream.url()).replace("scopes = [\"read\"]", &quota);
    let mut node = builder().resources(&resources).start();
    let created = node.create_key("maps", "android-team", &["--policy", "standard"]);
    let (id, key) = (text(&created, "id").to_owned(), text(&created, "key").to_owned());
    wait_until(SOON, || async { tiles(&node, &key).await.status == 200 }).await;

    let answered = Answered::default();
    let next = Arc::new(AtomicU64::new(0));
    let mut slowest = Duration::ZERO;
    for round in 0..Depth::pick(3, 50, 500) {
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                tokio::spawn(client(
                    node.gateway(),
                    key.clone(),
                    next.clone(),
                    answered.clone(),
                    stop.clone(),
                ))
            })
            .collect();
        tokio::time::sleep(random_moment(round)).await;
        node = tokio::task::spawn_blocking(move || {
            node.kill9();
            node
        })
        .await
        .expect("the end");
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("a client");
        }
        let took;
        (node, took) = tokio::task::spawn_blocking(move || {
            let took = node.start();
            (node, took)
        })
        .await
        .expect("the start");
        slowest = slowest.max(took);
    }
    assert!(slowest < START_MAX * 4, "a start took {slowest:?}");
    check(&node, &id, &key, &answered).await;
}

/// Sends requests, each with a path of its own, until the process is gone.
async fn client(
    gateway: std::net::SocketAddr,
    key: String,
    next: Arc<AtomicU64>,
    answered: Answered,
    stop: Arc<AtomicBool>,
) {
    let Ok(mut connection) = Connection::open(gateway).await else { return };
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/tiles/n{}", next.fetch_add(1, Ordering::Relaxed));
        match connection.send(Call::get(&path).bearer(&key)).await {
            Ok(reply) => {
                assert_eq!(reply.status, 200, "{}", reply.text());
                answered.lock().expect("the set").insert(path);
            }
            Err(_) => return,
        }
    }
}

/// Different each round and the same in each run: a failure can be repeated.
fn random_moment(round: u64) -> Duration {
    Duration::from_millis(20 + round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 400)
}

async fn check(node: &Tollgate, id: &str, key: &str, answered: &Answered) {
    let began = Instant::now();
    let events = node.json(&["events", "query", "--key", id, "--limit", "10000000"]);
    let events = events["events"].as_array().expect("events");
    let mut counted: HashMap<&str, u64> = HashMap::new();
    for event in events {
        *counted.entry(text(event, "path")).or_default() += 1;
    }
    let answered = answered.lock().expect("the set").clone();
    let missing: Vec<_> = answered.iter().filter(|path| !counted.contains_key(path.as_str())).collect();
    assert!(
        missing.is_empty(),
        "{} of {} answers are not counted: {missing:?}",
        missing.len(),
        answered.len()
    );
    let twice: Vec<_> =
        counted.iter().filter(|(path, count)| path.starts_with("/tiles/n") && **count != 1).collect();
    assert!(twice.is_empty(), "counted more than once: {twice:?}");

    let usage = node.json(&["usage", "--key", id]);
    assert_eq!(usage["total"]["requests"].as_u64(), Some(events.len() as u64));
    let charged = events.iter().filter(|event| event["code"] == "valid").count() as u64;
    let me: Value = Call::get("/v1/me").bearer(key).send(node.gateway()).await.json();
    let remaining = me["quotas"][0]["remaining"].as_u64().unwrap_or_else(|| panic!("no quota in {me}"));
    let own = events.iter().filter(|event| event["path"] == "/v1/me").count() as u64;
    assert_eq!(QUOTA - remaining, charged - own, "the quota is not what was charged");
    assert_eq!(node.json(&["audit", "verify"])["intact"], true);
    assert!(began.elapsed() < Duration::from_secs(120));
}
