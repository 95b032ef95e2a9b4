//! `GET /v1/me`.

use tollgate_testkit::http::{Call, get};

use super::world::{Plan, World, assert_refused};

const LIMITED: &str = r#"
    [[service]]
    project = "maps"
    name = "tiles"
    kind = "proxy"
    match = { path_prefix = "/tiles" }
    upstreams = ["{upstream}"]

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["tiles"]
    scopes = ["read"]
      [[policy.limit]]
      name = "burst"
      amount = 2
      window = "1m"
      [[policy.quota]]
      name = "daily"
      amount = 10
      period = "day"
"#;

#[tokio::test]
async fn a_key_learns_what_it_is_and_what_it_has_left_at_no_cost() {
    let world = Plan::new(LIMITED).start();
    let key = world.key("standard");
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    for _ in 0..5 {
        let me = world.get("/v1/me", &key).await;
        assert_eq!(me.status, 200, "{}", me.text());
        assert!(!me.text().contains(&key));
        let me = me.json();
        assert_eq!((me["tenant"].as_str(), me["project"].as_str()), (Some("acme"), Some("maps")));
        assert_eq!(me["limits"][0]["remaining"], 1);
        assert_eq!(me["quotas"][0]["remaining"], 9);
        assert_eq!(me["policy"]["name"], "standard");
        assert!(me["policy"]["words"][0].as_str().unwrap().contains("tiles"), "{me}");
    }
}

#[tokio::test]
async fn a_key_with_nothing_left_is_told_so_instead_of_being_refused() {
    let world = Plan::new(LIMITED).start();
    let key = world.key("standard");
    for _ in 0..3 {
        world.get("/tiles/1", &key).await;
    }
    let me = world.get("/v1/me", &key).await;
    assert_eq!(me.status, 200, "{}", me.text());
    assert_eq!(me.json()["limits"][0]["remaining"], 0);
}

#[tokio::test]
async fn it_asks_for_a_good_key_like_everything_else() {
    let world = World::tiles();
    assert_refused(&get(world.address, "/v1/me").await, 401, "key_missing");
    assert_refused(&world.get("/v1/me", "nonsense").await, 401, "key_malformed");
    let revoked =
        world.key_with("standard", |record| record.state = tollgate_core::keyring::KeyState::Revoked);
    assert_refused(&world.get("/v1/me", &revoked).await, 401, "key_revoked");
    let reply = world.send(Call::new("POST", "/v1/me").bearer(&world.key("standard"))).await;
    assert_refused(&reply, 404, "no_service");
}
