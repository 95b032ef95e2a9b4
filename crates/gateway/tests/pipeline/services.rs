//! Which service takes a request: host, then path, then method.

use tollgate_testkit::http::Call;

use super::world::{Plan, assert_refused};

const HOSTS: &str = r#"
    [[service]]
    project = "maps"
    name = "exact"
    kind = "proxy"
    match = { host = "maps.example.com" }
    upstreams = ["{upstream}"]
    request_headers = { add = { X-Service = "exact" } }

    [[service]]
    project = "maps"
    name = "wild"
    kind = "proxy"
    match = { host = "*.example.com" }
    upstreams = ["{upstream}"]
    request_headers = { add = { X-Service = "wild", Host = "inner.example" } }

    [[service]]
    project = "maps"
    name = "read"
    kind = "proxy"
    match = { path_prefix = "/a", methods = ["GET"] }
    upstreams = ["{upstream}"]
    request_headers = { add = { X-Service = "read" } }

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["*"]
"#;

#[tokio::test]
async fn hosts_go_before_paths_and_methods_are_told_apart() {
    let world = Plan::new(HOSTS).start();
    let key = world.key("standard");
    for (host, service) in [
        ("maps.example.com", "exact"),
        ("MAPS.example.com:8080", "exact"),
        ("maps.example.com.", "exact"),
        ("other.example.com", "wild"),
        ("elsewhere.test", "read"),
    ] {
        let reply = world.send(Call::get("/a/b").bearer(&key).header("host", host)).await;
        assert_eq!(reply.status, 200, "{host}: {}", reply.text());
        let seen = world.upstream.take_seen().pop().unwrap();
        assert_eq!(seen.header("x-service"), Some(service), "{host}");
        if service == "wild" {
            assert_eq!(seen.host, "inner.example");
        }
    }
    let reply = world.send(Call::new("POST", "/a/b").bearer(&key)).await;
    assert_refused(&reply, 404, "no_service");
}

#[tokio::test]
async fn a_change_of_the_tables_is_seen_by_the_next_request() {
    let world = Plan::new(HOSTS).start();
    let key = world.key("standard");
    assert_eq!(world.get("/a/b", &key).await.status, 200);
    world.change_tables(|tables| {
        tables.services.clear();
        tables.router = tollgate_core::route::Router::default();
    });
    assert_refused(&world.get("/a/b", &key).await, 404, "no_service");
}
