//! How far upstreams reach that a tenant wrote, over the real binary (decision 0025).

use serde_json::json;
use tollgate_testkit::http::{Call, Reply};
use tollgate_testkit::{Tollgate, Upstream, wait_until};

use crate::person::Owner;
use crate::world::{SOON, builder, create_key, resources, text};

async fn own(node: &Tollgate, key: &str) -> Reply {
    Call::get("/own/7").bearer(key).send(node.gateway()).await
}

#[tokio::test]
async fn what_a_tenant_wrote_alone_is_held_when_another_comes_until_the_operator_takes_it_over() {
    let upstream = Upstream::start();
    let all = resources("http://127.0.0.1:9").replace("services = [\"tiles\"]", "services = [\"*\"]");
    let node = builder().resources(&all).start();
    let owner = Owner::sign_in(&node).await;
    let service = |name: &str, upstream: &str| {
        json!({"project": "maps", "name": name, "kind": "proxy", "match": {"path_prefix": format!("/{name}")},
               "upstreams": [upstream]})
    };
    let metadata = owner.post("/services", service("metadata", "http://169.254.169.254")).await;
    assert_eq!((metadata.status.as_u16(), metadata.code().as_str()), (422, "invalid"), "{}", metadata.text());
    let made = owner.post("/services", service("own", &upstream.url())).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { own(&node, key).await.status == 200 }).await;

    let _ = node.apply("[[tenant]]\nname = \"other\"\n");
    wait_until(SOON, || async { own(&node, key).await.status != 200 }).await;
    let before = upstream.count();
    let refused = own(&node, key).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (502, "upstream_unreachable"));
    assert_eq!(upstream.count(), before, "it is not even connected to");

    let exported = node.cli(&["export"]).success().stdout;
    assert_eq!(exported.matches("by_tenant = true").count(), 1, "{exported}");
    let _ = node.apply(&exported.replace("by_tenant = true", "by_tenant = false"));
    wait_until(SOON, || async { own(&node, key).await.status == 200 }).await;
}
