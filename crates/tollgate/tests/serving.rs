//! `serve`: changes made by another process, draining, one process a folder, nothing lost.

use std::time::{Duration, Instant};

use tollgate_testkit::http::{Call, get};
use tollgate_testkit::{Tollgate, Upstream, wait_until};

use crate::world::{SOON, builder, create_key, node, resources, text, tiles};

/// What reliability promises of a change made by another process.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

async fn accepted(node: &Tollgate, key: &str) {
    wait_until(SOON, || async { tiles(node, key).await.status == 200 }).await;
}

#[tokio::test]
async fn a_key_revoked_by_another_process_is_refused_within_a_second() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    let created = create_key(&node, &[]);
    accepted(&node, text(&created, "key")).await;
    let _ = node.cli(&["keys", "revoke", text(&created, "id")]).success();
    let committed = Instant::now();
    wait_until(SOON, || async { tiles(&node, text(&created, "key")).await.code() == "key_revoked" }).await;
    assert!(committed.elapsed() < SEEN_WITHIN, "it took {:?}", committed.elapsed());
}

#[tokio::test]
async fn after_revoke_wait_the_key_is_never_accepted() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    for _ in 0..3 {
        let created = create_key(&node, &[]);
        accepted(&node, text(&created, "key")).await;
        let revoked = node.json(&["keys", "revoke", text(&created, "id"), "--wait"]);
        assert_eq!(revoked["waited"], "all_applied");
        assert_eq!(tiles(&node, text(&created, "key")).await.code(), "key_revoked");
    }
}

#[tokio::test]
async fn the_old_secret_works_during_the_overlap_and_its_last_use_is_shown() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    let created = create_key(&node, &[]);
    let id = text(&created, "id");
    accepted(&node, text(&created, "key")).await;
    let rotated = node.json(&["keys", "rotate", id, "--overlap", "1h"]);
    accepted(&node, text(&rotated, "key")).await;
    assert_eq!(tiles(&node, text(&created, "key")).await.status, 200);
    let shown = node.json(&["keys", "show", id]);
    let secrets = shown["secrets"].as_array().expect("secrets");
    assert_eq!(secrets.len(), 2);
    assert!(secrets.iter().all(|secret| secret["last_used_address"] == "127.0.0.1"), "{shown}");
    // Usage does not split: both secrets are one key.
    let usage = node.json(&["usage", "--by", "key", "--key", id]);
    assert_eq!(usage["rows"].as_array().map(Vec::len), Some(1));

    let now = node.json(&["keys", "rotate", id, "--overlap", "0s"]);
    accepted(&node, text(&now, "key")).await;
    assert_eq!(tiles(&node, text(&rotated, "key")).await.code(), "key_expired");
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_ships_and_exits_with_0() {
    let upstream = Upstream::start();
    let mut node = node(&upstream);
    let created = create_key(&node, &[]);
    let key = text(&created, "key").to_owned();
    accepted(&node, &key).await;
    let before = upstream.count();
    let gateway = node.gateway();
    let slow =
        tokio::spawn(async move { Call::get("/tiles/slow/1500").bearer(&key).try_send(gateway).await });
    wait_until(SOON, || async { upstream.count() > before }).await;
    let draining = tokio::task::spawn_blocking(move || {
        let status = node.term_and_wait();
        (status, node)
    });
    wait_until(SOON, || async { tokio::net::TcpStream::connect(gateway).await.is_err() }).await;
    let answer = slow.await.expect("the task").expect("an answer");
    assert_eq!(answer.status, 200);
    let (status, node) = draining.await.expect("the drain");
    assert_eq!(status.code(), Some(0), "{}", node.log());
    let counted = node.json(&["events", "query", "--code", "valid", "--count"]);
    assert_eq!(counted["count"].as_u64(), Some(upstream.count()));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let upstream = Upstream::start();
    let mut node = node(&upstream);
    let created = create_key(&node, &[]);
    accepted(&node, text(&created, "key")).await;
    let (key, gateway, before) = (text(&created, "key").to_owned(), node.gateway(), upstream.count());
    let slow =
        tokio::spawn(async move { Call::get("/tiles/slow/20000").bearer(&key).try_send(gateway).await });
    wait_until(SOON, || async { upstream.count() > before }).await;
    node.begin_drain();
    wait_until(SOON, || async { tokio::net::TcpStream::connect(gateway).await.is_err() }).await;
    let began = Instant::now();
    let status = tokio::task::spawn_blocking(move || node.term_and_wait()).await.expect("the end");
    assert_eq!(status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert!(slow.await.expect("the task").is_err());
}

#[tokio::test]
async fn what_was_answered_before_kill_9_is_in_the_usage_without_a_start() {
    let upstream = Upstream::start();
    let mut node = node(&upstream);
    let created = create_key(&node, &[]);
    accepted(&node, text(&created, "key")).await;
    let mut answered = upstream.count();
    for _ in 0..50 {
        assert_eq!(tiles(&node, text(&created, "key")).await.status, 200);
        answered += 1;
    }
    node.kill9();
    let requests = |node: &Tollgate| node.json(&["usage", "--by", "code"])["rows"][0].clone();
    let row = requests(&node);
    assert_eq!(row["code"], "valid", "{row}");
    assert_eq!(row["requests"].as_u64(), Some(answered));
    // Once, however often it is shipped (I13).
    node.start();
    assert_eq!(requests(&node)["requests"].as_u64(), Some(answered));
}

#[tokio::test]
async fn a_folder_serves_one_process_and_a_port_one_program() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    // The folder is held.
    let second =
        node.cli(&["serve", "--set", "gateway.listen=127.0.0.1:0", "--set", "control.listen=127.0.0.1:0"]);
    assert_eq!(second.code(), Some(1));
    assert!(second.stderr.contains("another process serves from"), "{}", second.stderr);
    // The port is held, even though lanes share ports among themselves.
    let other = builder().resources(&resources(&upstream.url())).prepare();
    let listen = format!("gateway.listen={}", node.gateway());
    let taken = other.cli(&["serve", "--set", &listen]);
    assert_eq!(taken.code(), Some(1));
    assert!(taken.stderr.contains("in use"), "{}", taken.stderr);
}

#[tokio::test]
async fn readiness_and_metrics_are_on_the_control_listener() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    let created = create_key(&node, &[]);
    accepted(&node, text(&created, "key")).await;
    let ready = get(node.control(), "/readyz").await;
    assert_eq!(ready.status, 200);
    let body = ready.json();
    assert_eq!(body["roles"], serde_json::json!(["gateway", "service-api", "control", "workers"]));
    assert!(body["parts"].as_array().is_some_and(|parts| parts.iter().all(|part| part["ok"] == true)));
    let metrics = get(node.control(), "/metrics").await.text();
    for name in [
        "tollgate_gateway_requests_total",
        "tollgate_keyring_secrets 1",
        "tollgate_journal_bytes",
        "tollgate_build_info",
    ] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn roles_decide_what_listens() {
    let upstream = Upstream::start();
    let node = builder()
        .resources(&resources(&upstream.url()))
        .serve_args(&["--roles", "service-api,control"])
        .start();
    assert!(tokio::net::TcpStream::connect(node.gateway()).await.is_err());
    assert!(tokio::net::TcpStream::connect(node.service_api()).await.is_ok());
    let token = node.create_service_token("backend");
    let created = create_key(&node, &[]);
    let question =
        serde_json::json!({ "key": created["key"], "service": "tiles", "method": "GET", "path": "/tiles/1" });
    wait_until(SOON, || async {
        let answer = Call::post("/v1/keys/verify", &question).bearer(&token).send(node.service_api()).await;
        answer.status == 200 && answer.json()["valid"] == true
    })
    .await;
    let usage = node.json(&["usage", "--by", "service"]);
    assert_eq!(usage["rows"][0]["service"], "tiles", "{usage}");
}

/// Field 19 of `/proc/PID/task/TID/stat` (proc(5)).
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_answers_no_request_stands_behind_what_does() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    let created = create_key(&node, &[]);
    accepted(&node, text(&created, "key")).await;
    let own = rustix::process::getpriority_process(None).unwrap();
    let mut lanes = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let (name, fields) = stat.split_once('(').unwrap().1.rsplit_once(") ").unwrap();
        let niceness: i32 = fields.split(' ').nth(16).unwrap().parse().unwrap();
        let answers = ["lane-", "model-", "slow-hash-"].iter().any(|kind| name.starts_with(kind));
        lanes += usize::from(name.starts_with("lane-"));
        assert_eq!(niceness - own, if answers { 0 } else { 5 }, "{name}");
    }
    assert!(lanes > 0);
}

#[tokio::test]
async fn events_tail_shows_decisions_as_they_happen() {
    use std::io::BufRead as _;
    let upstream = Upstream::start();
    let node = node(&upstream);
    let mut tail = std::process::Command::new(crate::world::BINARY)
        .args(["events", "tail", "--code", "key_missing", "--output", "json"])
        .arg("--data-dir")
        .arg(node.data_dir())
        .arg("--config")
        .arg(node.folder().join("tollgate.toml"))
        .current_dir(node.folder())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("start the tail");
    let (lines, mut line) = tokio::sync::mpsc::channel(16);
    let output = tail.stdout.take().expect("standard output is a pipe");
    std::thread::spawn(move || {
        for text in std::io::BufReader::new(output).lines().map_while(Result::ok) {
            if lines.blocking_send(text).is_err() {
                return;
            }
        }
    });
    // Events from before the tail began are not shown, so requests are made until one is.
    let first = loop {
        assert_eq!(get(node.gateway(), "/tiles/7").await.code(), "key_missing");
        if let Ok(Some(text)) = tokio::time::timeout(Duration::from_millis(200), line.recv()).await {
            break text;
        }
    };
    tail.kill().expect("end the tail");
    let _ = tail.wait();
    let event: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!((event["code"].as_str(), event["path"].as_str()), (Some("key_missing"), Some("/tiles/7")));
    assert!(text(&event, "decision_id").starts_with("dec_"));
}
