//! Keys over the API.

use serde_json::json;

use super::world::{SECOND, World};

pub(crate) async fn the_whole_key_is_in_one_answer_only(mut world: World) {
    let admin = world.person("admin").await;
    let body = json!({"project": "maps", "consumer": "app", "policy": "standard", "name": "android", "expires": "90d",
                      "metadata": {"team": "maps"}, "allow_ips": ["10.0.0.0/8"]});
    let made = admin.post("/keys", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("mbk_live_") && key.ends_with(made.json()["last4"].as_str().unwrap()));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for path in ["/keys".to_owned(), format!("/keys/{id}"), "/audit".to_owned(), "/jobs".to_owned()] {
        let text = admin.get(&path).await.text();
        assert!(text.contains("items") || text.contains(&id), "{text}");
        assert!(!text.contains(&key), "{path}");
    }
    let shown = admin.get(&format!("/keys/{id}")).await.json();
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
    assert!(shown["expires_at"].as_str().unwrap().starts_with("2026-04-01T00:00:00"));
    assert_eq!(
        (shown["name"].as_str(), shown["policy"]["name"].as_str()),
        (Some("android"), Some("standard"))
    );
}

pub(crate) async fn a_key_lives_and_dies(mut world: World) {
    let admin = world.person("admin").await;
    let id = admin.key("app").await;
    let state = |reply: tollgate_testkit::http::Reply| {
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(admin.act(&format!("/keys/{id}/disable")).await), "disabled");
    assert_eq!(state(admin.act(&format!("/keys/{id}/enable")).await), "active");
    let expired = admin.act(&format!("/keys/{id}/expire")).await.json();
    assert_eq!(expired["expired"], true);
    let changed = admin
        .change(
            "PATCH",
            &format!("/keys/{id}"),
            ("*", Some(json!({"name": "n", "expires": "never", "metadata": {"a": "b"}}))),
        )
        .await;
    assert_eq!(
        (changed.json()["expired"].clone(), changed.json()["name"].clone()),
        (json!(false), json!("n"))
    );
    let tag = changed.header("etag").unwrap().to_owned();
    let cleared = admin
        .change("PATCH", &format!("/keys/{id}"), (&tag, Some(json!({"name": null, "policy": null}))))
        .await;
    assert_eq!(
        (cleared.json()["name"].clone(), cleared.json()["policy"].clone()),
        (json!(null), json!(null))
    );
    assert_eq!(cleared.json()["metadata"], json!({"a": "b"}), "what is not said stays");
    assert_eq!(admin.change("PATCH", &format!("/keys/{id}"), (&tag, Some(json!({})))).await.status, 412);
    world.pass(SECOND);
    let rotated = admin.post(&format!("/keys/{id}/rotate"), json!({"overlap": "1h"})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    assert_eq!(
        (rotated.json()["id"].as_str(), rotated.json()["generation"].as_u64()),
        (Some(id.as_str()), Some(1))
    );
    assert!(rotated.json()["previous_valid_until"].as_str().unwrap().starts_with("2026-01-01T01:00:01"));
    assert_eq!(admin.act(&format!("/keys/{id}/rotate")).await.json()["generation"], 2, "an overlap of a day");
    let revoked = admin.act(&format!("/keys/{id}/revoke?wait=true")).await.json();
    assert_eq!(
        (revoked["state"].as_str(), revoked["waited"].as_str()),
        (Some("revoked"), Some("all_applied"))
    );
    let late = admin.act(&format!("/keys/{id}/enable")).await;
    assert_eq!((late.status.as_u16(), late.code().as_str()), (409, "conflict"));
}

pub(crate) async fn keys_are_filtered_and_paged(mut world: World) {
    let admin = world.person("admin").await;
    for number in 0..9 {
        world.pass(SECOND);
        let body = json!({"project": "maps", "consumer": if number % 2 == 0 { "app" } else { "web" }, "policy": "standard",
            "environment": if number == 3 { "test" } else { "live" }, "name": format!("Key {number}"),
            "expires": format!("{}d", number + 1), "metadata": {"n": number.to_string()}});
        admin.create("/keys", body).await;
    }
    let count = |query: &'static str| {
        let admin = admin.clone();
        async move {
            let reply = admin.get(&format!("/keys?{query}")).await;
            assert_eq!(reply.status, 200, "{query}: {}", reply.text());
            reply.json()["items"].as_array().unwrap().len()
        }
    };
    assert_eq!(count("limit=4").await, 4);
    assert_eq!(count("project=maps&consumer=app").await, 5);
    assert_eq!(count("environment=test").await, 1);
    assert_eq!(count("search=key+7").await, 1);
    assert_eq!(count("metadata=n=4").await, 1);
    assert_eq!(count("metadata=n%3D44").await, 0);
    assert_eq!(count("expires_before=4d").await, 4);
    assert_eq!(count("project=maps&policy=open").await, 0);
    assert_eq!(count("state=revoked").await, 0);
    let first = admin.get("/keys?limit=5").await.json();
    let next = first["next"].as_str().unwrap().to_owned();
    let second = admin.get(&format!("/keys?limit=5&cursor={next}")).await.json();
    assert_eq!((second["items"].as_array().unwrap().len(), second["next"].clone()), (4, json!(null)));
    assert_eq!(first["items"][0]["name"], "Key 8", "newest first");
}

pub(crate) async fn many_keys_are_created_or_none(mut world: World) {
    let admin = world.person("admin").await;
    let key = |consumer: &str| json!({"project": "maps", "consumer": consumer, "policy": "standard"});
    let bad = admin.post("/keys/bulk", json!({"keys": [key("app"), key("nobody")]})).await;
    assert_eq!(bad.status, 422, "{}", bad.text());
    assert_eq!(bad.json()["errors"][0]["field"], "keys[1].consumer");
    assert_eq!(admin.get("/keys").await.json()["items"].as_array().unwrap().len(), 0);
    let good = admin.post("/keys/bulk", json!({"keys": vec![key("app"); 40]})).await;
    assert_eq!(good.status, 201, "{}", good.text());
    let items = good.json()["items"].as_array().unwrap().clone();
    let keys: std::collections::HashSet<&str> =
        items.iter().map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 40);
    assert_eq!(admin.post("/keys/bulk", json!({"keys": []})).await.status, 422);
    assert_eq!(admin.post("/keys/bulk", json!({"keys": vec![key("app"); 1001]})).await.status, 422);
}

pub(crate) async fn a_developer_tends_own_keys_only(mut world: World) {
    let admin = world.person("admin").await;
    let (own, foreign) = (admin.key("app").await, admin.key("web").await);
    let developer = world.developer(&["app"]).await;
    let listed = developer.get("/keys").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["id"], own.as_str());
    assert_eq!(developer.get(&format!("/keys/{foreign}")).await.status, 404);
    for action in ["disable", "revoke", "rotate"] {
        let refused = developer.act(&format!("/keys/{foreign}/{action}")).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (404, "not_found"), "{action}");
    }
    for path in [format!("/keys/{own}/enable"), format!("/keys/{own}/expire")] {
        let refused = developer.act(&path).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "role_insufficient"), "{path}");
    }
    assert_eq!(developer.act(&format!("/keys/{own}/rotate")).await.status, 200);
    // A key like one that the consumer has, and none that could do more.
    let create = |consumer: &str, policy: Option<&str>| {
        developer.post("/keys", json!({"project": "maps", "consumer": consumer, "policy": policy}))
    };
    assert_eq!(create("app", Some("standard")).await.status, 201);
    for (consumer, policy) in [("app", Some("open")), ("app", None), ("web", Some("standard"))] {
        let refused = create(consumer, policy).await;
        assert_eq!(refused.status, 404, "{consumer} {policy:?}: {}", refused.text());
    }
    assert_eq!(developer.get("/consumers").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(developer.get("/policies").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(developer.get("/projects").await.json()["items"].as_array().unwrap().len(), 1);
    let nobody = world.developer(&[]).await;
    for path in ["/keys", "/consumers", "/policies", "/projects", "/services"] {
        assert_eq!(nobody.get(path).await.json()["items"], json!([]), "{path}");
    }
}
