//! CORS: preflights without a key, answers and refusals that a page may read.

use tollgate_testkit::http::Call;

use super::world::{Plan, World, assert_refused};

fn cors(settings: &str) -> World {
    let resources = format!(
        r#"
        [[service]]
        project = "maps"
        name = "tiles"
        kind = "proxy"
        match = {{ path_prefix = "/tiles", methods = ["GET"] }}
        upstreams = ["{{upstream}}"]
        response_headers = {{ add = {{ Access-Control-Allow-Origin = "https://wrong.example" }} }}
        {settings}

        [[policy]]
        project = "maps"
        name = "standard"
        services = ["*"]
        "#
    );
    Plan::new(&resources).start()
}

const NAMED: &str = r#"cors = { origins = ["https://*.example.com"], headers = ["X-Zoom"], expose = ["ETag"], credentials = true, max_age = "1m" }"#;

fn preflight(origin: &str) -> Call {
    Call::new("OPTIONS", "/tiles/1").header("origin", origin).header("access-control-request-method", "GET")
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_key_and_without_the_upstream() {
    let world = cors(NAMED);
    let reply = world.send(preflight("https://app.example.com")).await;
    assert_eq!(reply.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-methods", "GET"),
        ("access-control-allow-headers", "Authorization, X-API-Key, X-Zoom"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert!(reply.header("x-request-id").is_some());
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn an_origin_that_is_not_named_gets_no_permission() {
    let world = cors(NAMED);
    let reply = world.send(preflight("https://evil.example")).await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (204, None));
    let call = Call::get("/tiles/1").bearer(&world.key("standard")).header("origin", "https://evil.example");
    let reply = world.send(call).await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, None));
    assert!(reply.header("vary").unwrap().contains("Origin"));
}

#[tokio::test]
async fn answers_and_refusals_alike_may_be_read_by_the_page() {
    let world = cors(NAMED);
    let call = || Call::get("/tiles/1").header("origin", "https://app.example.com");
    let allowed = world.send(call().bearer(&world.key("standard"))).await;
    let refused = world.send(call()).await;
    assert_refused(&refused, 401, "key_missing");
    for reply in [allowed, refused] {
        let origins: Vec<_> = reply.headers.get_all("access-control-allow-origin").iter().collect();
        assert_eq!(origins, ["https://app.example.com"], "the upstream's own word is replaced");
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
        assert!(reply.header("access-control-expose-headers").unwrap().contains("ETag"));
    }
}

#[tokio::test]
async fn any_origin_is_a_star() {
    let world = cors(r#"cors = { origins = ["*"] }"#);
    let reply = world.send(preflight("https://anywhere.example")).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn without_settings_options_is_a_request_like_any_other() {
    let world = cors("");
    assert_refused(&world.send(preflight("https://app.example.com")).await, 404, "no_service");
}
