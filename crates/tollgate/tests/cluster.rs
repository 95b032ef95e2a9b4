//! Several nodes on one PostgreSQL: changes reach all, usage is complete from anywhere.

use tollgate_testkit::{Postgres, Upstream, wait_until};

use crate::world::{SOON, builder, create_key, resources, text, tiles};

#[tokio::test]
async fn two_nodes_share_keys_revocations_and_usage() {
    let upstream = Upstream::start();
    let url = Postgres::shared().create_database();
    let one = builder().database(&url).resources(&resources(&upstream.url())).start();
    let other = builder().database(&url).without_init().start();

    let created = create_key(&one, &[]);
    let (id, key) = (text(&created, "id"), text(&created, "key"));
    wait_until(SOON, || async { tiles(&one, key).await.status == 200 }).await;
    wait_until(SOON, || async { tiles(&other, key).await.status == 200 }).await;
    for _ in 0..20 {
        assert_eq!(tiles(&one, key).await.status, 200);
        assert_eq!(tiles(&other, key).await.status, 200);
    }
    // Each command ships its own node's journal and waits for the other's.
    for node in [&one, &other] {
        let usage = node.json(&["usage", "--by", "code", "--key", id]);
        assert_eq!(usage["total"]["requests"].as_u64(), Some(upstream.count()), "{usage}");
    }
    let revoked = other.json(&["keys", "revoke", id, "--wait"]);
    assert_eq!(revoked["waited"], "all_applied");
    for node in [&one, &other] {
        assert_eq!(tiles(node, key).await.code(), "key_revoked");
    }
    assert_eq!(one.json(&["audit", "verify"])["intact"], true);
}
