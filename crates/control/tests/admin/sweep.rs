//! Every endpoint of the document, asked by whoever may not: refused, each with its code.

use serde_json::Value;
use tollgate_core::authz::{ACTIONS, Right, Role};
use tollgate_testkit::http::Call;

use super::world::{Person, SECOND, World};

/// An endpoint as the document has it.
pub(crate) struct Endpoint {
    pub(crate) method: String,
    /// With an id of the right kind where one is variable.
    pub(crate) path: String,
    /// What it asks for; empty for sign-in and the own account, which ask for nothing.
    pub(crate) action: String,
    /// Whether anybody may call it.
    pub(crate) is_public: bool,
}

/// The endpoints that ask for a permission.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    all().into_iter().filter(|endpoint| !endpoint.action.is_empty()).collect()
}

/// All that the document describes.
fn all() -> Vec<Endpoint> {
    let document = tollgate_control::openapi_document();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let kind = match path.split('/').nth(4).unwrap() {
                "tenants" => "ten_00000000001",
                "projects" => "prj_00000000001",
                "services" => "svc_00000000001",
                "policies" => "pol_00000000001",
                "consumers" => "con_00000000001",
                "keys" => "key_00000000001",
                "webhooks" => "whk_00000000001",
                "rules" => "rul_00000000001",
                "meters" => "mtr_00000000001",
                "models" => "mdl_00000000001",
                "dashboards" => "dsh_00000000001",
                "blocks" => "blk_00000000001",
                "jobs" => "job_00000000001",
                "service-tokens" => "stk_00000000001",
                "members" => "usr_00000000001",
                "invitations" => "inv_00000000001",
                "sessions" => "ses_00000000001",
                _ => "dec_0000000000000000000001",
            };
            all.push(Endpoint {
                method: method.to_uppercase(),
                path: path.replace("{id}", kind),
                action: operation["x-tollgate-action"].as_str().unwrap_or_default().to_owned(),
                is_public: operation["security"] == serde_json::json!([]),
            });
        }
    }
    assert!(all.len() > 70, "the document has lost its paths");
    all
}

impl Endpoint {
    fn call(&self) -> Call {
        let call = Call::new(&self.method, &self.path).header("if-match", "*");
        let has_body = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        if has_body { call.header("content-type", "application/json").body("{}") } else { call }
    }

    async fn refused(&self, world: &World, call: Call, expected: (u16, &str)) {
        let reply = call.send(world.address).await;
        let what = format!("{} {}: {}", self.method, self.path, reply.text());
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), expected, "{what}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{what}");
    }
}

pub(crate) async fn keys_never_manage_keys(mut world: World) {
    let owner = world.person("owner").await;
    let made = owner
        .post("/keys", serde_json::json!({"project": "maps", "consumer": "app", "policy": "standard"}))
        .await
        .json();
    let key = made["key"].as_str().unwrap();
    let token = owner.post("/service-tokens", serde_json::json!({"name": "edge"})).await.json();
    let token = token["token"].as_str().unwrap();
    for endpoint in all() {
        for secret in [key, token] {
            let refusal = (403, "keys_cannot_manage_keys");
            endpoint.refused(&world, endpoint.call().bearer(secret), refusal).await;
            // Whatever else the request carries.
            endpoint.refused(&world, owner.dress(endpoint.call()).bearer(secret), refusal).await;
        }
        endpoint
            .refused(
                &world,
                owner.dress(endpoint.call()).header("x-api-key", key),
                (403, "keys_cannot_manage_keys"),
            )
            .await;
    }
}

pub(crate) async fn who_is_not_signed_in_gets_nowhere(mut world: World) {
    let owner = world.person("owner").await;
    for endpoint in all().into_iter().filter(|endpoint| !endpoint.is_public) {
        endpoint.refused(&world, endpoint.call(), (401, "sign_in_missing")).await;
        let nonsense = endpoint.call().header("cookie", "__Host-tollgate=AAAA");
        endpoint.refused(&world, nonsense, (401, "sign_in_missing")).await;
        let cross = owner.dress(endpoint.call()).header("sec-fetch-site", "cross-site");
        if endpoint.method != "GET" {
            endpoint.refused(&world, cross, (403, "cross_site_refused")).await;
        }
    }
    world.pass(1801 * SECOND);
    for endpoint in all().into_iter().filter(|endpoint| !endpoint.is_public) {
        endpoint.refused(&world, owner.dress(endpoint.call()), (401, "sign_in_expired")).await;
    }
}

pub(crate) async fn every_role_may_what_the_matrix_says(mut world: World) {
    for role in Role::ALL {
        let person = world.person(role.name()).await;
        for endpoint in endpoints() {
            let row = ACTIONS.iter().find(|row| row.name == endpoint.action).unwrap();
            let call = person.dress(endpoint.call());
            if row.right(role) == Right::No {
                endpoint.refused(&world, call, (403, "role_insufficient")).await;
                continue;
            }
            let reply = call.send(world.address).await;
            let passes = !matches!(reply.status.as_u16(), 401 | 403 | 405 | 500..);
            assert!(
                passes,
                "{role} {} {}: {} {}",
                endpoint.method,
                endpoint.path,
                reply.status,
                reply.text()
            );
        }
    }
}

pub(crate) async fn what_needs_a_fresh_sign_in_says_so(mut world: World) {
    let owner = world.person("owner").await;
    world.pass(601 * SECOND);
    let mut fresh = 0;
    for endpoint in endpoints() {
        let row = ACTIONS.iter().find(|row| row.name == endpoint.action).unwrap();
        if row.fresh_sign_in {
            fresh += 1;
            endpoint.refused(&world, owner.dress(endpoint.call()), (403, "sign_in_not_fresh")).await;
        }
    }
    assert!(fresh > 0);
}

/// Ids of one thing of each kind, as its owner sees them.
async fn ids(owner: &Person) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for kind in [
        "tenants",
        "projects",
        "services",
        "policies",
        "consumers",
        "rules",
        "meters",
        "keys",
        "service-tokens",
        "jobs",
        "members",
    ] {
        let list = owner.get(&format!("/{kind}")).await.json();
        let id = list["items"][0]["id"].as_str().unwrap_or_else(|| panic!("no {kind}"));
        all.push((kind, id.to_owned()));
    }
    all
}

pub(crate) async fn other_tenants_look_absent(mut world: World) {
    let owner = world.person("owner").await;
    owner.key("app").await;
    owner.create("/service-tokens", serde_json::json!({"name": "edge", "services": ["tiles"]})).await;
    let when = serde_json::json!({"metric": "requests", "above": 100, "window": "1m"});
    let then = serde_json::json!({"action": "block", "until": "next_hour"});
    let rule = serde_json::json!({"project": "maps", "name": "flood", "when": when, "then": then});
    owner.create("/rules", rule.clone()).await;
    let meter = serde_json::json!({
        "project": "maps", "name": "requests", "event_type": "tollgate.request", "aggregate": "count",
    });
    owner.create("/meters", meter.clone()).await;
    let job = owner
        .post(
            "/jobs",
            serde_json::json!({"operation": "tag", "keys": {"project": "maps"}, "set": {"a": "b"}}),
        )
        .await;
    assert_eq!(job.status, 202, "{}", job.text());
    let stranger = world.member("other", "owner", &[]).await;
    let found = ids(&owner).await;
    for endpoint in endpoints() {
        let kind = endpoint.path.split('/').nth(4).unwrap().to_owned();
        let Some((_, id)) = found.iter().find(|(own, _)| *own == kind) else { continue };
        let Some(dummy) = endpoint.path.split('/').nth(5).filter(|part| part.contains('_')) else { continue };
        let path = endpoint.path.replace(dummy, id);
        let body = match kind.as_str() {
            "projects" => serde_json::json!({"name": "maps", "key_prefix": "zz"}),
            "services" => serde_json::json!({"project": "maps", "name": "tiles", "kind": "proxy"}),
            "policies" => serde_json::json!({"project": "maps", "name": "standard"}),
            "rules" => rule.clone(),
            "meters" => meter.clone(),
            "consumers" => serde_json::json!({"project": "maps", "name": "app"}),
            "members" if endpoint.method == "PUT" => serde_json::json!({"consumers": []}),
            "members" => serde_json::json!({"role": "auditor"}),
            _ => serde_json::json!({}),
        };
        let mut call = Call::new(&endpoint.method, &path).header("if-match", "*");
        let takes_body = matches!(endpoint.method.as_str(), "PUT" | "PATCH") || path.ends_with("/rotate");
        if takes_body {
            call = call.header("content-type", "application/json").body(body.to_string());
        }
        let reply = stranger.send(call).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (404, "not_found"),
            "{} {path}",
            endpoint.method
        );
    }
    let mut lists: Vec<Value> = Vec::new();
    for kind in [
        "projects",
        "services",
        "policies",
        "consumers",
        "rules",
        "meters",
        "blocks",
        "rule-firings",
        "keys",
        "service-tokens",
        "jobs",
        "audit",
        "tenants",
    ] {
        lists.push(stranger.get(&format!("/{kind}")).await.json());
    }
    let seen = serde_json::to_string(&lists).unwrap();
    for (kind, id) in &found {
        assert!(!seen.contains(id.as_str()), "{kind} {id}");
    }
}
