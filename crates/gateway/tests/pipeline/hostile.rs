//! Hostile heads and good ones against an upstream that writes down what it sees: what it saw is
//! what the gateway let through and journalled, one to one (I17, list A of reliability §7).

use std::fmt::Write as _;

use tollgate_gateway::METHODS;
use tollgate_testkit::{hostile::hostile_heads, raw::exchange_within};

use super::world::{DEADLINE, Plan, TILES, World};

/// Comes after every hostile head: if framing is ever in doubt, this is what would slip through.
fn smuggled(key: &str) -> String {
    format!("GET /tiles/smuggled HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n")
}

/// Requests that every server reads the same way.
fn good(number: usize) -> String {
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"];
    let method = methods[number % methods.len()];
    let authority = ["a", "a.example", "a.example:8080", "[::1]", "127.0.0.1:80"][number % 5];
    let mut request = String::new();
    let target = if number.is_multiple_of(11) {
        format!("http://{authority}/tiles/good/{number}?q={number}")
    } else {
        format!("/tiles/good/{number}?q={number}")
    };
    let version = if number.is_multiple_of(13) { "1.0" } else { "1.1" };
    write!(request, "{method} {target} HTTP/{version}\r\nHost: {authority}\r\n").unwrap();
    write!(request, "aUTHORIZATION: \t Bearer {{key}} \r\nX-Tollgate-Tenant: forged\r\nAccept: */*\r\n")
        .unwrap();
    if number.is_multiple_of(4) {
        request.push_str("Connection: close, x-hop\r\nX-Hop: forged\r\n");
    }
    let with_body = matches!(method, "POST" | "PUT" | "PATCH");
    match number % 3 {
        0 if with_body => request.push_str("Content-Length: 5\r\n\r\nhello"),
        1 if with_body && version == "1.1" => {
            request
                .push_str("Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n003\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n");
        }
        _ if with_body => request.push_str("Content-Length: 0\r\n\r\n"),
        _ => request.push_str("\r\n"),
    }
    request
}

async fn play(world: &World, key: &str, request: &str) -> tollgate_testkit::raw::Answer {
    let bytes: Vec<u8> = request.replace("{key}", key).into_bytes();
    exchange_within(world.address, &bytes, DEADLINE).await
}

/// Method and path of each whole request the upstream saw, and of each that was let through.
fn both_sides(world: &World) -> (Vec<String>, Vec<String>) {
    let seen = world.upstream.seen();
    let mut seen: Vec<_> = seen
        .iter()
        .filter(|seen| seen.complete)
        .map(|seen| format!("{} {}", seen.method, seen.path()))
        .collect();
    let records = world.records();
    let allowed = records.iter().filter(|record| record.entry.code == 0);
    let name = |number: u8| METHODS.get(usize::from(number) - 1).copied().unwrap_or("?");
    let mut allowed: Vec<_> =
        allowed.map(|record| format!("{} {}", name(record.entry.method), record.path)).collect();
    seen.sort();
    allowed.sort();
    (seen, allowed)
}

#[tokio::test]
async fn the_upstream_sees_what_was_decided_and_journalled_and_nothing_else() {
    let world = Plan::new(TILES).start();
    let key = world.key("standard");
    let hostile = hostile_heads();
    assert!(hostile.len() >= 100, "{}", hostile.len());
    for head in &hostile {
        let answer = play(&world, &key, &(head.clone() + &smuggled(&key))).await;
        assert!(matches!(answer.status(), Some(400 | 431)), "{head:?}: {}", answer.text());
        assert!(answer.closed, "{head:?}: the connection stays open");
        assert_eq!(answer.answers(), 1, "{head:?}: {}", answer.text());
    }
    assert_eq!(world.records().len(), hostile.len(), "each refusal is journalled once");
    assert!(world.records().iter().all(|record| record.entry.status == 400 || record.entry.status == 431));

    let pairs = 60;
    for number in 0..pairs {
        // Two on one connection; the second asks for its end.
        let second = format!(
            "GET /tiles/second/{number} HTTP/1.1\r\nHost: a\r\nX-API-Key: {{key}}\r\nConnection: close\r\n\r\n"
        );
        let answer = play(&world, &key, &(good(number) + &second)).await;
        assert_eq!(answer.status(), Some(200), "{}: {}", good(number), answer.text());
    }
    // A request whose body turns out to be broken may have begun upstream; it never ends there.
    let unfinished: Vec<_> = world.upstream.seen().into_iter().filter(|seen| !seen.complete).collect();
    assert!(unfinished.iter().all(|seen| seen.path() == "/tiles/x"), "{unfinished:#?}");
    let (seen, allowed) = both_sides(&world);
    assert_eq!(seen, allowed);
    assert!(seen.len() >= 100, "{}", seen.len());
    let forged = |seen: &tollgate_testkit::Seen| seen.headers.iter().any(|(_, value)| value == "forged");
    assert!(!world.upstream.seen().iter().any(forged));
    assert!(world.upstream.seen().iter().all(|seen| !String::from_utf8_lossy(&seen.head).contains(&key)));
}
