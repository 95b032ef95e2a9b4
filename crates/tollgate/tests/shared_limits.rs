//! Limits that two processes share through a real Redis, whatever becomes of it.

use tollgate_testkit::{Postgres, Redis, Tollgate, Upstream, http::Call, wait_until};

use crate::world::{SOON, builder, create_key, resources, text};

/// How many pass at once, of the consumer; the next one after an hour.
const BURST: u64 = 40;

/// How many of so many requests pass, in turn at each node.
async fn passed(nodes: &[Tollgate], path: &str, (key, tries): (&str, usize)) -> u64 {
    let mut passed = 0;
    for number in 0..tries {
        let node = &nodes[number % nodes.len()];
        let reply = Call::get(path).bearer(key).send(node.gateway()).await;
        match (reply.status.as_u16(), reply.code().as_str()) {
            (200, _) => passed += 1,
            (429, "rate_limited") => assert!(reply.headers.contains_key("retry-after")),
            other => panic!("{other:?}"),
        }
    }
    passed
}

/// What a policy says of the shared limit, and of one that never opens.
fn furnished(upstream: &Upstream) -> String {
    let limit = |name: &str, more: &str| {
        format!(
            "  [[policy.limit]]\n  name = \"{name}\"\n  amount = {BURST}\n  window = \"31d\"\n  per = \"consumer\"\n  \
             mode = \"shared\"\n{more}\n"
        )
    };
    let text =
        resources(&upstream.url()).replace("[[consumer]]", &format!("{}[[consumer]]", limit("all", "")));
    let secure = format!(
        "\n[[policy]]\nproject = \"maps\"\nname = \"secure\"\nservices = [\"tiles\"]\nscopes = [\"read\"]\n{}",
        limit("attempts", "  security = true\n")
    );
    text + &secure
}

/// Whether Redis decides, as the metrics of a node say.
async fn is_up(node: &Tollgate) -> bool {
    let metrics = Call::get("/metrics").send(node.control()).await;
    String::from_utf8_lossy(&metrics.body).contains("tollgate_redis_up 1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_a_limit_and_hold_it_without_redis() {
    let upstream = Upstream::start();
    let mut redis = Redis::start();
    let url = Postgres::shared().create_database();
    let builder = || builder().database(&url).env("TOLLGATE_REDIS__URL", &redis.url());
    let nodes = [builder().resources(&furnished(&upstream)).start(), builder().without_init().start()];
    let key = text(&create_key(&nodes[0], &[]), "key").to_owned();
    let made = nodes[0].create_key("maps", "android-team", &["--policy", "secure"]);
    let secure = text(&made, "key").to_owned();
    for node in &nodes {
        wait_until(SOON, || is_up(node)).await;
        // A request of no service costs nothing, and says whether the key is known.
        for key in [&key, &secure] {
            wait_until(SOON, || async {
                Call::get("/v1/me").bearer(key).send(node.gateway()).await.status == 200
            })
            .await;
        }
    }
    assert_eq!(passed(&nodes, "/tiles/1", (&key, 60)).await, BURST, "both together, exactly");
    let me = Call::get("/v1/me").bearer(&key).send(nodes[1].gateway()).await.json();
    assert_eq!(me["limits"][0]["remaining"], 0, "{me}");
    redis.flush();
    assert_eq!(passed(&nodes, "/tiles/1", (&key, 60)).await, BURST, "emptied: one burst more");

    redis.kill9();
    for node in &nodes {
        wait_until(SOON, || async { !is_up(node).await }).await;
    }
    assert_eq!(passed(&nodes, "/tiles/1", (&key, 60)).await, BURST, "each node a half");
    let refused = Call::get("/tiles/1").bearer(&secure).send(nodes[0].gateway()).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"));

    redis.run();
    for node in &nodes {
        wait_until(SOON, || is_up(node)).await;
    }
    assert_eq!(passed(&nodes, "/tiles/1", (&key, 60)).await, BURST, "back again by itself");
    assert_eq!(passed(&nodes, "/tiles/1", (&secure, 60)).await, BURST);
    let doctor = nodes[0].cli(&["doctor"]);
    assert!(doctor.stdout.contains("redis"), "{}", doctor.stdout);
}
