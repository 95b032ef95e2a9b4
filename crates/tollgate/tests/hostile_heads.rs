//! Heads that two servers could read differently, over the real binary: refused, counted, and nothing of them or of what
//! follows them goes upstream (I17, list A of reliability §7).

use tollgate_testkit::hostile::hostile_heads;
use tollgate_testkit::http::Call;
use tollgate_testkit::raw::exchange_within;
use tollgate_testkit::{Upstream, wait_until};

use crate::world::{SOON, builder, create_key, resources, text, tiles};

#[tokio::test]
async fn no_hostile_head_is_read_in_two_ways() {
    let upstream = Upstream::start();
    let all = resources(&upstream.url()).replace("scopes = [\"read\"]", "scopes = [\"read\", \"write\"]");
    let node = builder().resources(&all).start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    upstream.take_seen();

    let smuggled = format!("GET /tiles/smuggled HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n");
    let heads = hostile_heads();
    for head in &heads {
        let bytes = head.replace("{key}", key) + &smuggled;
        let answer = exchange_within(node.gateway(), bytes.as_bytes(), SOON).await;
        let shown: String = head.chars().take(200).collect();
        assert!(matches!(answer.status(), Some(400 | 431)), "{shown:?}: {}", answer.text());
        assert!(answer.closed && answer.answers() == 1, "{shown:?}: {}", answer.text());
    }
    // A body that turns out to be broken may have begun upstream; it never ends there.
    let whole = |seen: &tollgate_testkit::Seen| seen.complete || seen.path() != "/tiles/x";
    assert!(!upstream.seen().iter().any(whole), "{:#?}", upstream.seen());

    // A second key is refused, and trailers are dropped, whatever they say.
    let twice = Call::get("/tiles/7").bearer(key).bearer(key).send(node.gateway()).await;
    assert_eq!((twice.status.as_u16(), twice.code().as_str()), (400, "credential_ambiguous"));
    let trailers = format!(
        "POST /tiles/7 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    );
    upstream.take_seen();
    let answer = exchange_within(node.gateway(), trailers.as_bytes(), SOON).await;
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    assert!(upstream.seen().iter().all(|seen| seen.trailers.is_empty()), "{:#?}", upstream.seen());

    // What was refused is counted, once each.
    let usage = node.json(&["usage", "--by", "code"]);
    let of = |code: &str| {
        let rows = usage["rows"].as_array().into_iter().flatten();
        rows.filter(|row| row["code"] == code).filter_map(|row| row["requests"].as_u64()).sum::<u64>()
    };
    let refused = of("malformed_request") + of("head_too_large");
    assert_eq!(refused, heads.len() as u64, "{usage}");
}
