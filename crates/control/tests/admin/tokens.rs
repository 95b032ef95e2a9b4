//! Tokens of the service API.

use serde_json::json;

use super::world::World;

pub(crate) async fn a_token_is_shown_once_and_revoked(mut world: World) {
    let admin = world.person("admin").await;
    let made = admin.post("/service-tokens", json!({"name": "edge", "services": ["maps/tiles"]})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("tgs_"));
    let path = format!("/service-tokens/{}", made.json()["id"].as_str().unwrap());
    let shown = admin.get(&path).await.json();
    assert_eq!(shown["services"][0]["name"], "tiles");
    assert!(token.ends_with(shown["last4"].as_str().unwrap()));
    for page in [path.as_str(), "/service-tokens", "/audit"] {
        assert!(!admin.get(page).await.text().contains(&token), "{page}");
    }
    let taken = admin.post("/service-tokens", json!({"name": "edge"})).await;
    assert_eq!(taken.status, 409);
    let revoke = tollgate_testkit::http::Call::new("DELETE", &format!("/api/admin/v1{path}"));
    assert_eq!(admin.send(revoke).await.status, 204);
    assert!(admin.get(&path).await.json()["revoked_at"].is_string());
    let unknown = admin.post("/service-tokens", json!({"name": "t", "services": ["nope"]})).await;
    assert_eq!(unknown.json()["errors"][0]["field"], "services[0]", "{}", unknown.text());
}
