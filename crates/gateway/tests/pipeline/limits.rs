//! Limits, quotas and concurrency at the gate: rate headers, refusals, release.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::io::AsyncWriteExt as _;
use tollgate_core::id::KeyId;
use tollgate_testkit::{
    http::{Call, Reply},
    wait_until,
};

use super::world::{DEADLINE, Plan, World, assert_refused};

fn limited(headers: &str) -> World {
    let resources = format!(
        r#"
        [[service]]
        project = "maps"
        name = "tiles"
        kind = "proxy"
        match = {{ path_prefix = "/tiles" }}
        upstreams = ["{{upstream}}"]
        retries = 0
        {headers}

        [[policy]]
        project = "maps"
        name = "standard"
        services = ["*"]
          [[policy.limit]]
          name = "burst"
          amount = 2
          window = "1m"
          [[policy.quota]]
          name = "daily"
          amount = 3
          period = "day"

        [[policy]]
        project = "maps"
        name = "quota"
        services = ["*"]
          [[policy.quota]]
          name = "daily"
          amount = 1
          period = "day"

        [[policy]]
        project = "maps"
        name = "narrow"
        services = ["*"]
        max_concurrency = 1
        "#
    );
    Plan::new(&resources).start()
}

fn rate(reply: &Reply) -> Vec<&str> {
    ["ratelimit-policy", "ratelimit", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
        .into_iter()
        .filter_map(|name| reply.header(name))
        .collect()
}

#[tokio::test]
async fn allowed_answers_and_refusals_carry_the_rate_headers_of_the_draft() {
    let world = limited("");
    let key = world.key("standard");
    let first = world.get("/tiles/1", &key).await;
    assert_eq!(first.status, 200);
    // The clock of the tests starts at noon and a second: 43,199 seconds to midnight.
    assert_eq!(
        rate(&first),
        [r#""burst";q=2;w=60, "daily";q=3;w=86400"#, r#""burst";r=1;t=30, "daily";r=2;t=43199"#]
    );
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    let refused = world.get("/tiles/1", &key).await;
    assert_refused(&refused, 429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(refused.header("ratelimit"), Some(r#""burst";r=0;t=30"#));
    assert_eq!(refused.json()["violated-policies"], serde_json::json!(["burst"]));
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.get("/tiles/1", &key).await.status, 200, "a refused request moved no counter");
}

#[tokio::test]
async fn a_quota_is_refused_until_its_period_ends() {
    let world = limited("");
    let key = world.key("quota");
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    let refused = world.get("/tiles/1", &key).await;
    assert_refused(&refused, 429, "quota_exhausted");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((43_190..=43_199).contains(&wait), "{wait}");
    world.clock.advance(Duration::from_secs(wait));
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    let charges: Vec<u64> = world
        .records_of(3)
        .await
        .iter()
        .flat_map(|record| &record.charges)
        .map(|charge| charge.amount)
        .collect();
    assert_eq!(charges, [1, 1], "only what was let through was charged");
}

#[tokio::test]
async fn the_service_chooses_which_rate_headers_are_sent() {
    for (headers, sent) in [(r#"headers = "legacy""#, vec!["2", "1", "30"]), (r#"headers = "none""#, vec![])]
    {
        let world = limited(headers);
        let reply = world.get("/tiles/1", &world.key("standard")).await;
        assert_eq!(rate(&reply), sent, "{headers}");
    }
    let world = limited(r#"headers = "both""#);
    assert_eq!(rate(&world.get("/tiles/1", &world.key("standard")).await).len(), 5);
}

#[tokio::test]
async fn a_place_in_flight_is_held_until_the_answer_ends_and_given_back_once() {
    let world = limited("");
    let key = world.key_with("narrow", |record| record.id = KeyId(77));
    let slow = {
        let call = Call::get("/tiles/slow-body/50").bearer(&key);
        let address = world.address;
        tokio::spawn(async move { call.send(address).await })
    };
    wait_until(DEADLINE, || async { world.in_flight("narrow", KeyId(77)) == 1 }).await;
    let refused = world.get("/tiles/1", &key).await;
    assert_refused(&refused, 429, "concurrency_exceeded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(slow.await.unwrap().status, 200);
    wait_until(DEADLINE, || async { world.in_flight("narrow", KeyId(77)) == 0 }).await;
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    wait_until(DEADLINE, || async { world.counters.released.load(Ordering::SeqCst) == 2 }).await;
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_place_back_and_is_journalled_as_aborted() {
    let world = limited("");
    let key = world.key_with("narrow", |record| record.id = KeyId(77));
    for (target, before_head) in [("/tiles/hang", true), ("/tiles/sse-endless", false)] {
        let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        wait_until(DEADLINE, || async { world.in_flight("narrow", KeyId(77)) == 1 }).await;
        if before_head {
            wait_until(DEADLINE, || async { world.upstream.count() == 1 }).await;
        } else {
            stream.readable().await.unwrap();
        }
        drop(stream);
        wait_until(DEADLINE, || async { world.in_flight("narrow", KeyId(77)) == 0 }).await;
    }
    let records = world.records_of(2).await;
    assert!(records.iter().all(|record| record.entry.flags.contains(tollgate_journal::Flags::ABORTED)));
    assert_eq!((records[0].entry.status, records[1].entry.status), (0, 200));
    assert_eq!(world.counters.released.load(Ordering::SeqCst), 2);
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
}
