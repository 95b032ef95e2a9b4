//! Budgets with what is spent, prices in their versions, secrets that nothing gives back.

use serde_json::json;

use super::world::World;

pub(crate) async fn a_budget_lives_and_is_topped_up(mut world: World) {
    let admin = world.person("admin").await;
    let spec = json!({"project": "maps", "currency": "USD", "amount": "25.00", "period": "month"});
    let made = admin.post("/budgets", spec.clone()).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, Some("\"1\"")), "{}", made.text());
    let body = made.json();
    assert_eq!((body["level"].as_str(), body["holder"].as_str()), (Some("project"), Some("acme/maps")));
    assert!(body["spending"].is_null());
    let path = format!("/budgets/{}", body["id"].as_str().unwrap());
    assert_eq!(admin.post("/budgets", spec).await.status, 409);

    let funded =
        admin.post(&format!("{path}/funding"), json!({"amount": "5", "reason": "invoice 4711"})).await;
    assert_eq!(funded.status, 200, "{}", funded.text());
    let spending = funded.json()["spending"].clone();
    assert_eq!(
        (spending["funded"].as_str(), spending["free"].as_str()),
        (Some("30.00"), Some("30.00")),
        "{spending}"
    );
    let account = spending["account"].as_str().unwrap();
    let entries = admin.get(&format!("/accounts/{account}/entries")).await.json();
    let causes: Vec<&str> =
        entries["items"].as_array().unwrap().iter().map(|entry| entry["cause"].as_str().unwrap()).collect();
    assert_eq!(causes.iter().filter(|cause| **cause == "invoice 4711").count(), 2, "{entries}");
    let none = admin.post(&format!("{path}/funding"), json!({"amount": "1", "reason": " "})).await;
    assert_eq!((none.status.as_u16(), none.json()["errors"][0]["field"].as_str()), (422, Some("reason")));

    let other = json!({"project": "maps", "currency": "USD", "amount": "9", "period": "day"});
    let moved = admin.change("PUT", &path, ("\"1\"", Some(other))).await;
    assert_eq!((moved.status.as_u16(), moved.json()["errors"][0]["field"].as_str()), (422, Some("period")));
    let more =
        json!({"project": "maps", "currency": "USD", "amount": "50", "period": "month", "mode": "observe"});
    let changed = admin.change("PUT", &path, ("\"1\"", Some(more))).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, Some("\"2\"")), "{}", changed.text());
    assert_eq!(admin.get("/budgets?search=usd").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(admin.change("DELETE", &path, ("\"2\"", None)).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
}

pub(crate) async fn a_developer_sees_budgets_of_own_consumers_only(mut world: World) {
    let admin = world.person("admin").await;
    for holder in
        [json!({"tenant": "acme"}), json!({"project": "maps"}), json!({"project": "maps", "consumer": "app"})]
    {
        let mut spec = json!({"currency": "USD", "amount": "5", "period": "once"});
        spec.as_object_mut().unwrap().extend(holder.as_object().unwrap().clone());
        let made = admin.post("/budgets", spec).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let developer = world.developer(&["app"]).await;
    let seen = developer.get("/budgets").await.json();
    let levels: Vec<&str> =
        seen["items"].as_array().unwrap().iter().map(|budget| budget["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["consumer"]);
    assert_eq!(admin.get("/budgets").await.json()["items"].as_array().unwrap().len(), 3);
}

pub(crate) async fn a_price_gets_versions_and_ends(mut world: World) {
    let admin = world.person("admin").await;
    let price =
        |input: &str| json!({"provider": "openai", "model": "own-model", "input": input, "output": "2"});
    let first = admin.post("/prices", price("1")).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.json()["origin"], "own");
    let second = admin.post("/prices", price("3")).await.json();
    assert_ne!(second["id"], first.json()["id"]);
    let listed = admin.get("/prices?search=own-model").await.json();
    let current: Vec<bool> =
        listed["items"].as_array().unwrap().iter().map(|price| price["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [false, true], "{listed}");
    let shipped = admin.get("/prices?origin=shipped&limit=5").await.json();
    assert_eq!(shipped["items"].as_array().unwrap().len(), 5);
    assert_eq!(shipped["next"], "5");
    let path = format!("/prices/{}", second["id"].as_str().unwrap());
    assert_eq!(admin.change("DELETE", &path, ("\"1\"", None)).await.status, 204);
    assert!(admin.get(&path).await.json()["ended_at"].is_string());
    let foreign = json!({"tenant": "other", "provider": "openai", "model": "m", "input": "1"});
    assert_eq!(admin.post("/prices", foreign).await.status, 422);
}

pub(crate) async fn a_secret_is_taken_and_never_given_back(mut world: World) {
    let admin = world.person("admin").await;
    let value = "sk-do-not-show-1234";
    let made = admin.post("/secrets", json!({"project": "maps", "name": "openai", "value": value})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/secrets/{}", made.json()["id"].as_str().unwrap());
    let audit = format!("/audit?subject={}", made.json()["id"].as_str().unwrap());
    for answer in [
        made.text(),
        admin.get("/secrets").await.text(),
        admin.get(&path).await.text(),
        admin.get(&audit).await.text(),
    ] {
        assert!(!answer.contains(value), "{answer}");
    }
    let bad =
        admin.post("/secrets", json!({"project": "maps", "name": "openai", "value": "two\nlines"})).await;
    assert_eq!((bad.status.as_u16(), bad.json()["errors"][0]["field"].as_str()), (422, Some("value")));
    let service = json!({"project": "maps", "name": "models", "kind": "llm", "provider": "openai",
                         "upstreams": ["https://api.openai.com"], "credential": {"secret": "openai"}});
    let made = admin.post("/services", service).await;
    assert_eq!(
        (made.status.as_u16(), made.json()["spec"]["match"]["path_prefix"].as_str()),
        (201, Some("/v1"))
    );
    assert_eq!(admin.change("DELETE", &path, ("*", None)).await.status, 409);
    let to = |upstream: &str| {
        json!({"project": "maps", "name": "models", "kind": "llm", "provider": "openai",
               "upstreams": [upstream], "credential": {"secret": "openai"}})
    };
    let models = format!("/services/{}", made.json()["id"].as_str().unwrap());
    let moved = admin.change("PUT", &models, ("*", Some(to("https://eu.example")))).await;
    assert_eq!(moved.status, 200);
    world.pass(601 * 1_000_000);
    let moved = admin.change("PUT", &models, ("*", Some(to("https://other.example")))).await;
    assert_eq!((moved.status.as_u16(), moved.json()["code"].as_str()), (403, Some("sign_in_not_fresh")));
    assert_eq!(admin.change("PUT", &models, ("*", Some(to("https://eu.example")))).await.status, 200);
    let of_host = json!({"project": "maps", "name": "more", "kind": "llm", "provider": "gemini",
                         "upstreams": ["https://a.example"], "credential": {"env": "DATABASE_PASSWORD"}});
    let refused = admin.post("/services", of_host).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["errors"][0]["field"].as_str()),
        (422, Some("credential"))
    );
}
