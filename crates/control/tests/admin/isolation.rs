//! Nothing crosses tenants, by name or by document either.

use serde_json::json;

use super::world::World;

pub(crate) async fn short_names_are_those_of_the_own_tenant(mut world: World) {
    let stranger = world.member("other", "owner", &[]).await;
    // Both tenants have a project `maps` with a consumer `app` and a policy `standard`.
    let made =
        stranger.post("/keys", json!({"project": "maps", "consumer": "app", "policy": "standard"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(made.json()["key"].as_str().unwrap().starts_with("tg_live_"), "the prefix of the own project");
    assert_eq!(stranger.get("/consumers?project=maps").await.json()["items"].as_array().unwrap().len(), 1);
    for project in ["acme/maps", "acme/nothing"] {
        let refused = stranger.get(&format!("/keys?project={project}")).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (404, "not_found"), "{project}");
    }
}

pub(crate) async fn a_document_reaches_no_other_tenant(mut world: World) {
    let stranger = world.member("other", "owner", &[]).await;
    let consumer = |project: &str| json!({"consumer": [{"project": project, "name": "spy"}]});
    let unknown = stranger.post("/apply", consumer("acme/nothing")).await;
    let foreign = stranger.post("/apply", consumer("acme/maps")).await;
    assert_eq!((foreign.status, foreign.code()), (unknown.status, unknown.code()));
    assert_eq!(foreign.text().replace("maps", "nothing"), unknown.text(), "nobody learns that it is there");
    for name in ["acme", "new-tenant"] {
        let tenant = stranger.post("/apply", json!({"tenant": [{"name": name}]})).await;
        assert_eq!((tenant.status.as_u16(), tenant.code().as_str()), (404, "not_found"), "{}", tenant.text());
        let project = stranger.post("/apply", json!({"project": [{"tenant": name, "name": "x"}]})).await;
        assert_eq!(project.status, 422, "{}", project.text());
    }
    let create = stranger.post("/consumers", json!({"project": "acme/maps", "name": "spy"})).await;
    assert_eq!(create.status, 422, "{}", create.text());
    // A request goes to one service of all, so a tie is told, and nothing else.
    let tie = json!({"project": "maps", "name": "mine", "kind": "proxy", "match": {"path_prefix": "/tiles"},
                     "upstreams": ["http://127.0.0.1:1"]});
    let tie = stranger.post("/services", tie).await;
    assert_eq!(tie.status, 422);
    assert!(tie.text().contains("a service of another tenant"), "{}", tie.text());
    assert!(!tie.text().contains("acme") && !tie.text().contains("tiles`"), "{}", tie.text());
}

pub(crate) async fn tokens_and_exports_stay_inside(mut world: World) {
    let stranger = world.member("other", "owner", &[]).await;
    let token = stranger.post("/service-tokens", json!({"name": "t", "services": ["tiles"]})).await;
    assert_eq!(token.status, 422, "{}", token.text());
    let export = stranger.get("/export").await;
    assert_eq!(export.status, 200, "{}", export.text());
    assert!(!export.text().contains("acme") && !export.text().contains("tiles"), "{}", export.text());
    assert!(export.text().contains("secret-plans"));
    let auditor = world.person("auditor").await;
    for path in ["/audit", "/audit/export"] {
        assert!(!auditor.get(path).await.text().contains("secret-plans"), "{path}");
    }
}
