//! Nodes that have some of the roles only.

use tollgate_testkit::{Upstream, wait_until};

use crate::world::{SOON, builder, create_key, resources, text, tiles};

#[tokio::test]
async fn a_node_without_the_role_of_workers_keeps_no_decisions_where_none_are_kept() {
    let upstream = Upstream::start();
    let node = builder()
        .config("[journal]\nbytes_max = \"1MiB\"\n[retention]\ndecisions = \"0s\"\n")
        .serve_args(&["--roles", "gateway,service-api,control"])
        .resources(&resources(&upstream.url()))
        .start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    let usage = node.json(&["usage", "--by", "code", "--key", text(&created, "id")]);
    assert_eq!(usage["total"]["requests"].as_u64(), Some(upstream.count()), "it is summed: {usage}");
    let events = node.json(&["events", "query", "--count"]);
    assert_eq!(events["count"], 0, "and no decision is kept: {events}");
}
