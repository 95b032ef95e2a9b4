//! Upstreams that are dead, slow, broken; choice, retries, health.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tollgate_core::{id::TenantId, tables::Tenant};
use tollgate_journal::Flags;
use tollgate_testkit::{
    Upstream,
    http::{Call, Connection},
    wait_until,
};

use super::world::{DEADLINE, Plan, World, assert_refused};

fn service(upstreams: &str, more: &str) -> Plan {
    Plan::new(&format!(
        r#"
        [[service]]
        project = "maps"
        name = "tiles"
        kind = "proxy"
        match = {{ path_prefix = "/tiles" }}
        upstreams = [{upstreams}]
        {more}

        [[policy]]
        project = "maps"
        name = "standard"
        services = ["tiles"]
        "#
    ))
}

const OWN: &str = r#""{upstream}""#;

/// The origin of a port where nothing listens.
fn nobody() -> String {
    format!("http://{}", tollgate_testkit::free_address())
}

#[tokio::test]
async fn a_dead_upstream_is_unreachable_and_its_address_is_not_told() {
    let dead = nobody();
    let world = service(&format!("\"{dead}\""), "").start();
    let reply = world.get("/tiles/1", &world.key("standard")).await;
    assert_refused(&reply, 502, "upstream_unreachable");
    let address = dead.strip_prefix("http://").unwrap();
    assert!(!reply.text().contains(address) && !reply.text().contains("refused"), "{}", reply.text());
    assert_eq!(world.records_of(1).await[0].entry.code, 31);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let world = service(r#""http://nowhere.invalid:80""#, "retries = 0").start();
    let reply = world.get("/tiles/1", &world.key("standard")).await;
    assert_refused(&reply, 502, "upstream_unreachable");
}

#[tokio::test]
async fn a_silent_upstream_times_out_and_its_connection_is_not_used_again() {
    let world = service(OWN, r#"timeouts = { response = "200ms" }"#).start();
    let key = world.key("standard");
    assert_refused(&world.get("/tiles/hang", &key).await, 504, "upstream_timeout");
    let slow = world.get("/tiles/slow/600", &key).await;
    assert_refused(&slow, 504, "upstream_timeout");
    let next = world.get("/tiles/1", &key).await;
    assert_eq!(next.status, 200);
    assert!(next.text().contains("/tiles/1"), "{}", next.text());
    let connections: Vec<u64> = world.upstream.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections.len(), 3, "a request that may still be running is not repeated");
    assert!(connections[0] != connections[2] && connections[1] != connections[2]);
}

#[tokio::test]
async fn an_upstream_that_talks_nonsense_is_a_bad_gateway_and_nothing_of_it_leaks() {
    let world = service(OWN, "retries = 0").start();
    let key = world.key("standard");
    for target in ["/tiles/garbage", "/tiles/both-framings", "/tiles/two-lengths", "/tiles/huge-head"] {
        let reply = world.get(target, &key).await;
        assert_refused(&reply, 502, "upstream_unreachable");
        assert!(!reply.text().contains("garbage"), "{}", reply.text());
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_never_reaches_another_request() {
    let world = service(OWN, "").start();
    let key = world.key("standard");
    let mut connection = Connection::open(world.address).await.unwrap();
    for number in 0..10 {
        let extra = connection.send(Call::get("/tiles/extra").bearer(&key)).await.unwrap();
        assert_eq!(extra.status, 200);
        let target = format!("/tiles/after/{number}");
        let reply = connection.send(Call::get(&target).bearer(&key)).await.unwrap();
        assert!(reply.text().contains(&target), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_reset_is_repeated_for_methods_that_may_happen_twice_and_for_no_others() {
    let world = service(OWN, "retries = 2").start();
    let key = world.key("standard");
    for (method, attempts) in [("GET", 3), ("PUT", 3), ("DELETE", 3), ("POST", 1), ("PATCH", 1)] {
        let reply = world.send(Call::new(method, "/tiles/close").bearer(&key)).await;
        assert_refused(&reply, 502, "upstream_unreachable");
        assert_eq!(world.upstream.take_seen().len(), attempts, "{method}");
    }
    let records = world.records_of(5).await;
    let retried: Vec<bool> =
        records.iter().map(|record| record.entry.flags.contains(Flags::RETRIED)).collect();
    assert_eq!(retried, [true, true, true, false, false]);
}

/// An upstream whose first connection closes when its second request has come. Gives what it was asked, each
/// with the number of its connection.
async fn closing_on_the_second_request() -> (String, Arc<Mutex<Vec<(usize, String)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                for count in 1.. {
                    head.clear();
                    while !head.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let line = String::from_utf8_lossy(&head).lines().next().unwrap().to_owned();
                    noted.lock().unwrap().push((number, line));
                    if (number, count) == (0, 2) {
                        return;
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                }
            });
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_a_request_is_replaced_where_that_is_safe() {
    for (method, status, attempts) in [("GET", 200, [0, 0, 1].as_slice()), ("POST", 502, &[0, 0])] {
        let (url, asked) = closing_on_the_second_request().await;
        let world = service(&format!("\"{url}\""), "retries = 1").start();
        let key = world.key("standard");
        assert_eq!(world.get("/tiles/1", &key).await.status, 200);
        let reply = world.send(Call::new(method, "/tiles/2").bearer(&key)).await;
        assert_eq!(reply.status, status, "{method}");
        let connections: Vec<usize> = asked.lock().unwrap().iter().map(|(number, _)| *number).collect();
        assert_eq!(connections, attempts, "{method}: {:?}", asked.lock().unwrap());
    }
}

#[tokio::test]
async fn a_request_whose_body_was_sent_is_not_repeated() {
    let world = service(OWN, "retries = 3").start();
    let key = world.key("standard");
    let reply = world.send(Call::new("PUT", "/tiles/close").bearer(&key).body("something")).await;
    assert_refused(&reply, 502, "upstream_unreachable");
    assert_eq!(world.upstream.take_seen().len(), 1);
}

#[tokio::test]
async fn a_request_of_which_nothing_was_sent_goes_to_another_upstream_whatever_its_method() {
    let dead = nobody();
    let world = service(&format!("\"{dead}\", {OWN}"), "").start();
    let key = world.key("standard");
    for _ in 0..6 {
        let reply = world.send(Call::new("POST", "/tiles/echo").bearer(&key).body("once")).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "once"));
    }
    assert_eq!(world.upstream.count(), 6);
    let records = world.records_of(6).await;
    let retried = records.iter().filter(|record| record.entry.flags.contains(Flags::RETRIED)).count();
    assert!((1..=3).contains(&retried), "after three failures in a row it is left out: {retried}");
}

#[tokio::test]
async fn the_least_loaded_upstream_gets_the_next_request() {
    let other = Upstream::start();
    let world = service(&format!("{OWN}, \"{}\"", other.url()), "").start();
    let key = world.key("standard");
    let hanging: Vec<_> = (0..6)
        .map(|_| {
            let call = Call::get("/tiles/hang").bearer(&key);
            let address = world.address;
            tokio::spawn(async move { call.try_send(address).await.is_ok() })
        })
        .collect();
    wait_until(DEADLINE, || async { world.upstream.count() + other.count() == 6 }).await;
    assert_eq!((world.upstream.count(), other.count()), (3, 3));
    for task in hanging {
        task.abort();
    }
}

#[tokio::test]
async fn an_upstream_that_fails_its_checks_is_left_out_until_it_passes_them_again() {
    let other = Upstream::start();
    let health = r#"health = { path = "/health", interval = "100ms", timeout = "1s", unhealthy_after = 2, healthy_after = 1 }
        retries = 0"#;
    let world = service(&format!("{OWN}, \"{}\"", other.url()), health).start();
    let key = world.key("standard");
    wait_until(DEADLINE, || async { other.count() > 0 && world.upstream.count() > 0 }).await;
    let address = other.stop();
    // Until the checks have noticed, requests may meet the dead one; then none does.
    let all_well = || async {
        for _ in 0..6 {
            if world.get("/tiles/1", &key).await.status != 200 {
                return false;
            }
        }
        true
    };
    wait_until(DEADLINE, all_well).await;
    for _ in 0..20 {
        assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    }
    let back = Upstream::start_on(address);
    let served = || async {
        world.get("/tiles/1", &key).await;
        back.seen().iter().any(|seen| seen.target == "/tiles/1")
    };
    wait_until(DEADLINE, served).await;
}

#[tokio::test]
async fn when_every_upstream_is_out_requests_are_still_tried() {
    let upstream = Upstream::start();
    let world = service(OWN, "retries = 0").start_with(upstream);
    let key = world.key("standard");
    for _ in 0..10 {
        assert_refused(&world.get("/tiles/close", &key).await, 502, "upstream_unreachable");
    }
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
}

fn tls_world(more: &str) -> (World, String) {
    let upstream = Upstream::start_tls();
    let directory = tempfile::TempDir::new().unwrap().keep();
    let ca = directory.join("ca.pem");
    std::fs::write(&ca, upstream.certificate().unwrap()).unwrap();
    let more = more.replace("{ca}", ca.to_str().unwrap());
    let world = service(OWN, &more).start_with(upstream);
    let key = world.key("standard");
    (world, key)
}

#[tokio::test]
async fn a_tls_upstream_is_verified() {
    let (world, key) = tls_world(r#"tls = { ca_file = "{ca}" }"#);
    let reply = world.get("/tiles/1", &key).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(world.upstream.seen()[0].version, "HTTP/2.0");
    for tls in ["retries = 0", r#"tls = { ca_file = "{ca}", server_name = "other.example" }"#] {
        let (world, key) = tls_world(tls);
        assert_refused(&world.get("/tiles/1", &key).await, 502, "upstream_unreachable");
        assert_eq!(world.upstream.count(), 0);
    }
}

#[tokio::test]
async fn an_upstream_that_answers_early_gets_its_answer_through() {
    let world = service(OWN, "").start();
    let key = world.key("standard");
    let reply = world.send(Call::new("POST", "/tiles/early").bearer(&key).body(vec![1; 10])).await;
    assert_eq!(reply.status, 413);
    assert!(reply.header("x-request-id").is_some());
}

#[tokio::test]
async fn hop_by_hop_fields_of_an_answer_stay_behind() {
    let world = service(OWN, "").start();
    let reply = world.get("/tiles/hop-by-hop", &world.key("standard")).await;
    assert_eq!(reply.status, 200);
    for name in ["keep-alive", "proxy-authenticate", "te", "trailer", "upgrade", "transfer-encoding"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
}

/// Two services with one upstream, of which one is held to the public internet.
const HELD: &str = r#"
    [[service]]
    project = "maps"
    name = "free"
    kind = "proxy"
    match = { path_prefix = "/free" }
    upstreams = ["{upstream}"]

    [[service]]
    project = "maps"
    name = "held"
    kind = "proxy"
    match = { path_prefix = "/held" }
    upstreams = ["{upstream}"]
    internet_only = true

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["*"]
"#;

#[tokio::test]
async fn no_held_service_reaches_inside_whatever_its_upstream_is_called() {
    let upstream = tollgate_testkit::Upstream::start();
    let named = upstream.url().replace("127.0.0.1", "localhost");
    for url in [upstream.url(), named] {
        let world = Plan::new(&HELD.replace("{upstream}", &url)).start();
        let key = world.key("standard");
        // A connection of others to the same place is not for it.
        assert_eq!(world.send(Call::get("/free/a").bearer(&key)).await.status, 200, "{url}");
        let before = upstream.count();
        let reply = world.send(Call::get("/held/a").bearer(&key)).await;
        assert_refused(&reply, 502, "upstream_unreachable");
        assert_eq!(upstream.count(), before, "{url}");
    }
}

#[tokio::test]
async fn a_held_service_reaches_what_the_operator_allows() {
    let mut plan = Plan::new(HELD);
    plan.options.upstream_egress.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    let world = plan.start();
    let key = world.key("standard");
    assert_eq!(world.send(Call::get("/held/a").bearer(&key)).await.status, 200);
}

/// A service that a tenant wrote.
const OF_TENANT: &str = r#"
    [[service]]
    project = "maps"
    name = "own"
    kind = "proxy"
    match = { path_prefix = "/own" }
    upstreams = ["{upstream}"]
    by_tenant = true

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["*"]
"#;

#[tokio::test]
async fn what_the_only_tenant_wrote_reaches_inside_until_there_is_another() {
    let world = Plan::new(OF_TENANT).start();
    let key = world.key("standard");
    assert_eq!(world.send(Call::get("/own/a").bearer(&key)).await.status, 200);
    let other = Tenant { name: "other".into() };
    world.change_tables(|tables| drop(tables.tenants.insert(TenantId(12), other)));
    let before = world.upstream.count();
    assert_refused(&world.send(Call::get("/own/a").bearer(&key)).await, 502, "upstream_unreachable");
    assert_eq!(world.upstream.count(), before);
}

#[tokio::test]
async fn not_even_the_only_tenant_reaches_what_the_operator_refuses() {
    let mut plan = Plan::new(OF_TENANT);
    plan.options.upstream_egress.deny = vec!["127.0.0.0/8".parse().unwrap()];
    let world = plan.start();
    let reply = world.send(Call::get("/own/a").bearer(&world.key("standard"))).await;
    assert_refused(&reply, 502, "upstream_unreachable");
    assert_eq!(world.upstream.count(), 0);
}
