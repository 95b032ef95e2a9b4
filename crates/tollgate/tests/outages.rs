//! The database goes away: known keys are served while they are known to be fresh, what cannot be
//! counted is refused, and nothing that was answered is lost.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, SqliteConnection};
use tollgate_testkit::http::get;
use tollgate_testkit::{Postgres, Upstream, wait_until};

use crate::world::{SOON, builder, create_key, resources, text, tiles};

/// Room for some thousand records, so that a test can fill it.
///
/// Reading a locked database works, so that the node stays fresh as long as it gets to poll at all. A machine that is
/// so busy that it does not for ten seconds has a node that rightly refuses with `auth_stale` (I3), which is not what
/// is told here: the lease is long, and a full journal is the only reason that is left to refuse.
const SMALL_JOURNAL: &str = "[feed]\nlease = \"10m\"\n[journal]\nbytes_max = \"1MiB\"\n";

#[tokio::test]
async fn a_locked_database_stops_neither_requests_nor_counting() {
    let upstream = Upstream::start();
    let node = builder().config(SMALL_JOURNAL).resources(&resources(&upstream.url())).start();
    let created = create_key(&node, &[]);
    let (id, key) = (text(&created, "id"), text(&created, "key"));
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;

    let url = format!("sqlite://{}", node.data_dir().join("tollgate.db").display());
    let mut other = SqliteConnection::connect(&url).await.expect("open the database");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("hold the database");
    for _ in 0..100 {
        assert_eq!(tiles(&node, key).await.status, 200, "known keys are served");
    }
    assert_eq!(get(node.control(), "/readyz").await.status, 200);

    // What can no longer be written down is refused, not answered uncounted (I12).
    let mut connection = tollgate_testkit::http::Connection::open(node.gateway()).await.expect("connect");
    let began = Instant::now();
    let refused = loop {
        let call = tollgate_testkit::http::Call::get("/tiles/7").bearer(key);
        let reply = connection.send(call).await.expect("an answer");
        if reply.status != 200 {
            break reply;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the journal never fills");
    };
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"), "{}", refused.text());
    let ready = get(node.control(), "/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text());

    sqlx::query("ROLLBACK").execute(&mut other).await.expect("let go of the database");
    other.close().await.expect("close the database");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    let usage = node.json(&["usage", "--by", "code", "--key", id]);
    let rows = usage["rows"].as_array().expect("rows");
    let valid: u64 =
        rows.iter().filter(|row| row["code"] == "valid").filter_map(|row| row["requests"].as_u64()).sum();
    assert_eq!(valid, upstream.count(), "{usage}");
}

#[tokio::test]
async fn without_its_database_a_node_refuses_once_its_lease_has_run_out() {
    let upstream = Upstream::start();
    let mut postgres = tokio::task::spawn_blocking(Postgres::start).await.expect("a server");
    let node = builder()
        .config("[feed]\nlease = \"2s\"\n[journal]\nbytes_max = \"64MiB\"\n")
        .database(&postgres.create_database())
        .resources(&resources(&upstream.url()))
        .start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;

    postgres.stop();
    assert_eq!(tiles(&node, key).await.status, 200, "the lease is still good");
    wait_until(SOON, || async { tiles(&node, key).await.code() == "auth_stale" }).await;
    assert_eq!(get(node.control(), "/readyz").await.status, 503);
    assert_eq!(get(node.control(), "/livez").await.status, 200);
    let failed = node.cli(&["keys", "list"]);
    assert_eq!(failed.code(), Some(1));
    assert!(failed.stderr.contains("the database is not available"), "{}", failed.stderr);

    postgres.resume();
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    let usage = node.json(&["usage", "--by", "code"]);
    let rows = usage["rows"].as_array().expect("rows");
    let valid = rows.iter().find(|row| row["code"] == "valid").and_then(|row| row["requests"].as_u64());
    assert_eq!(valid, Some(upstream.count()), "{usage}");
    assert!(rows.iter().any(|row| row["code"] == "auth_stale"), "refusals are counted too: {usage}");
}
