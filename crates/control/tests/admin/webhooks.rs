//! Webhooks: their secret is in one answer, and nobody else sees them.

use serde_json::json;
use tollgate_testkit::http::Call;

use super::world::World;

const BASE: &str = "/api/admin/v1";

pub(crate) async fn a_webhook_has_its_secret_in_one_answer(mut world: World) {
    let admin = world.person("admin").await;
    let spec = json!({"project": "maps", "url": "https://example.com/hooks", "events": ["key.*"]});
    let made = admin.post("/webhooks", spec.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let path = format!("/webhooks/{}", made.json()["id"].as_str().unwrap());
    let shown = admin.get(&path).await;
    assert_eq!(
        (shown.json()["state"].as_str(), shown.json()["spec"]["events"][0].as_str()),
        (Some("active"), Some("key.*"))
    );
    assert_eq!(admin.post("/webhooks", spec.clone()).await.status, 409);
    let rotated = admin.post(&format!("{path}/rotate"), json!({"overlap": "1h"})).await;
    assert!(rotated.json()["former_until"].is_string(), "{}", rotated.text());
    let other = rotated.json()["secret"].as_str().unwrap().to_owned();
    let test = admin.send(Call::new("POST", &format!("{BASE}{path}/test"))).await;
    assert_eq!(test.status, 200, "{}", test.text());
    let test = test.json();
    let deliveries = admin.get(&format!("{path}/deliveries?state=pending")).await.json();
    assert_eq!(
        (&deliveries["items"][0]["id"], &deliveries["items"][0]["type"]),
        (&test["delivery"], &json!("webhook.test"))
    );
    let notices = admin.get("/notices?type=webhook.test").await.json();
    assert_eq!(notices["items"][0]["id"], test["delivery"]);
    for page in [path.as_str(), "/webhooks", "/audit", "/export", "/notices"] {
        let text = admin.get(page).await.text();
        assert!(!text.contains(&secret) && !text.contains(&other), "{page}");
    }
    let replay = admin.post(&format!("{path}/replay"), json!({"delivery": test["delivery"]})).await;
    assert_eq!(replay.json()["replayed"], 1, "{}", replay.text());
    let both = json!({"delivery": test["delivery"], "failed_since": "1h"});
    assert_eq!(admin.post(&format!("{path}/replay"), both).await.status, 422);
    let change =
        json!({"project": "maps", "url": "https://example.com/hooks", "events": ["*"], "enabled": false});
    let put = Call::new("PUT", &format!("{BASE}{path}")).header("if-match", "*");
    let put = put.header("content-type", "application/json").body(change.to_string());
    assert_eq!(admin.send(put).await.json()["state"], "disabled");
    let refused = admin.send(Call::new("POST", &format!("{BASE}{path}/test"))).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    let stranger = world.member("other", "owner", &[]).await;
    for page in [path.clone(), format!("{path}/deliveries")] {
        assert_eq!(stranger.get(&page).await.status, 404, "{page}");
    }
    let empty = json!([]);
    for list in ["/webhooks", "/notices"] {
        assert_eq!(stranger.get(list).await.json()["items"], empty, "{list}");
    }
    let delete = Call::new("DELETE", &format!("{BASE}{path}")).header("if-match", "*");
    assert_eq!(admin.send(delete).await.status, 204);
}

pub(crate) async fn what_is_wrong_with_a_webhook_names_its_field(mut world: World) {
    let admin = world.person("admin").await;
    for (spec, field) in [
        (json!({"project": "maps", "url": "ftp://example.com", "events": ["*"]}), "url"),
        (json!({"project": "maps", "url": "https://0x7f.1/", "events": ["*"]}), "url"),
        (json!({"project": "maps", "url": "https://example.com", "events": ["key.nothing"]}), "events[0]"),
        (json!({"project": "nothing", "url": "https://example.com", "events": ["*"]}), "project"),
        (json!({"tenant": "other", "url": "https://example.com", "events": ["*"]}), "tenant"),
    ] {
        let refused = admin.post("/webhooks", spec).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text());
    }
}
