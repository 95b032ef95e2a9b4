//! The pages of a consumer's own people, and what developers do not see of others.

use serde_json::json;

use super::Pages;
use crate::admin::world::World;

async fn furnished() -> (World, [String; 2]) {
    let mut world = World::new().await;
    let owner = world.person("owner").await;
    let keys = [owner.key("app").await, owner.key("web").await];
    (world, keys)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_of_a_partner_sees_their_keys_and_nothing_else() {
    let (mut world, [own, other]) = furnished().await;
    let person = world.member("acme", "member", &["app"]).await;
    let mut pages = Pages::with(world.address, person.headers());
    pages.get("/").await.leads("/own");
    let page = pages.get("/own").await;
    page.is(200).has(&own).lacks(&other).has("Error codes").has("rate_limited").has("Call tiles");
    page.has("curl -i http://127.0.0.1:8080/tiles")
        .lacks("127.0.0.1:9000")
        .lacks("/events")
        .lacks("href=\"/keys");
    page.lacks("Search keys").lacks("href=\"/settings\"").has("Account");
    pages.get(&format!("/own/keys/{own}")).await.is(200).has("Rotate…");
    for path in [
        "/keys",
        "/events",
        "/usage",
        "/consumers",
        "/policies",
        "/services",
        "/audit",
        "/settings",
        "/search",
        "/settings/members",
        "/settings/tokens",
        "/keys/new",
    ] {
        pages.get(path).await.is(404).has("not_found");
    }
    for path in [format!("/keys/{own}"), format!("/own/keys/{other}"), format!("/own/keys/{other}/rotate")] {
        pages.get(&path).await.is(404);
    }
    for path in ["rotate", "finish"] {
        pages.post(&format!("/own/keys/{other}/{path}"), &[]).await.is(404);
    }
    for path in ["disable", "revoke"] {
        pages.post(&format!("/keys/{own}/{path}"), &[]).await.is(404);
        pages.post(&format!("/own/keys/{own}/{path}"), &[]).await.is(404);
    }
    pages.get("/account").await.is(200).lacks("href=\"/settings\"");
    let nobody = world.member("acme", "member", &[]).await;
    let mut nobody = Pages::with(world.address, nobody.headers());
    nobody.get("/own").await.is(200).has("No consumer is assigned to you").lacks(&own);
    nobody.get(&format!("/own/keys/{own}")).await.is(404);
    let both = world.member("acme", "member", &["app", "web"]).await;
    let mut both = Pages::with(world.address, both.headers());
    both.get("/own").await.is(200).has("Your consumers").has(">web<");
    both.get("/own?consumer=con_00000000001").await.is(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_rotate_a_key_and_finish_it() {
    let (mut world, [own, _]) = furnished().await;
    let person = world.member("acme", "member", &["app"]).await;
    let mut pages = Pages::with(world.address, person.headers());
    let path = format!("/own/keys/{own}");
    let once = pages.get(&format!("{path}/rotate")).await.is(200).field("once");
    let fields = [("once", once.as_str()), ("overlap", "24h")];
    let shown = pages.post(&format!("{path}/rotate"), &fields).await;
    shown.is(200).has("Copy the key now").has("mbk_live_").has(&format!("action=\"{path}\""));
    let key = shown.text.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    pages.post(&format!("{path}/rotate"), &fields).await.leads(&path);
    pages.get(&path).await.has("Rotation in progress").has("Finish rotation…").lacks(&key);
    pages.get(&format!("{path}/finish")).await.is(200).has("End the old secret");
    pages.post(&format!("{path}/finish"), &[]).await.leads(&format!("{path}?done=finished"));
    pages.get(&path).await.lacks("Rotation in progress");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_api_they_may_no_more() {
    let (mut world, [own, other]) = furnished().await;
    let person = world.member("acme", "member", &["app"]).await;
    let keys = person.get("/keys").await.json();
    assert_eq!(keys["items"].as_array().unwrap().len(), 1, "{keys}");
    assert_eq!(keys["items"][0]["id"], own.as_str());
    assert_eq!(person.get(&format!("/keys/{other}")).await.status, 404);
    assert_eq!(person.post(&format!("/keys/{other}/rotate"), json!({})).await.status, 404);
    let new = json!({"project": "maps", "consumer": "app", "policy": "standard"});
    assert_eq!(person.post("/keys", new).await.code(), "role_insufficient");
    assert_eq!(person.act(&format!("/keys/{own}/revoke")).await.code(), "role_insufficient");
    let rotated = person.post(&format!("/keys/{own}/rotate"), json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn developers_see_no_header_values_and_nothing_of_the_node() {
    let (mut world, _) = furnished().await;
    let owner = world.person("owner").await;
    let found = owner.get("/services?name=tiles").await.json()["items"][0].clone();
    let path = format!("/services/{}", found["id"].as_str().unwrap());
    let spec = json!({"project": "maps", "name": "tiles", "kind": "proxy", "match": {"path_prefix": "/tiles"},
        "upstreams": ["http://127.0.0.1:9000"], "request_headers": {"add": {"X-Upstream-Key": "s3cret"}}});
    let changed = owner.change("PUT", &path, ("*", Some(spec))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let audit = owner.get("/audit").await.text();
    assert!(audit.contains("X-Upstream-Key") && !audit.contains("s3cret"), "the audit is for ever: {audit}");
    for (role, sees) in [("owner", true), ("admin", true), ("developer", false), ("auditor", false)] {
        let consumers: &[&str] = if role == "developer" { &["app"] } else { &[] };
        let person = world.member("acme", role, consumers).await;
        for path in [path.as_str(), "/services"] {
            let text = person.get(path).await.text();
            assert!(
                text.contains("X-Upstream-Key") && text.contains("s3cret") == sees,
                "{role} {path} {text}"
            );
        }
        let mut pages = Pages::with(world.address, person.headers());
        let page = pages.get(&path).await;
        page.is(200).has("X-Upstream-Key");
        assert_eq!(page.text.contains("s3cret"), sees, "{role}");
        let overview = pages.get("/").await;
        assert_eq!(overview.text.contains("14 secrets, fresh"), role != "developer", "{role}");
        assert_eq!(overview.text.contains("This node"), role != "developer", "{role}");
    }
}
