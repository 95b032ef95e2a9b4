//! Sign-in over a real socket: who gets in, who does not, and what ends it.

mod directory;
mod links;
mod mail;
mod provider;
pub(crate) mod second_factor;
mod tokens;
pub(crate) mod world;

use serde_json::json;
use world::{MINUTE, OWNER, PASSWORD, world};

#[tokio::test]
async fn the_owner_of_init_signs_in_and_out() {
    let world = world().await;
    let mut browser = world.browser();
    let answer = browser.sign_in(" OWNER@example.com ", PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for part in ["__Host-tollgate=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(answer.head.contains(part), "{part}: {}", answer.head);
    }
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    assert_eq!(answer.body["role"], "owner");
    assert_eq!(answer.body["tenant"]["name"], "acme");
    assert_eq!(answer.body["fresh"], true);
    assert!(
        !answer.body.to_string().contains(browser.cookie.as_deref().unwrap()),
        "the token is in the cookie only"
    );
    let shown = browser.get("session").await;
    assert_eq!((shown.status, &shown.body["user"]["email"]), (200, &json!(OWNER)));
    let mut thief = browser.clone();
    assert_eq!(browser.delete("session").await.status, 204);
    assert_eq!(browser.cookie, None, "the browser was told to forget it");
    let answer = thief.get("session").await;
    assert_eq!((answer.status, answer.code()), (401, "sign_in_missing"), "and the session has ended");
}

#[tokio::test]
async fn what_is_wrong_is_not_said() {
    let world = world().await;
    let mut answers = Vec::new();
    for (email, password) in [
        (OWNER, "wrong horse battery"),
        (OWNER, ""),
        ("nobody@example.com", PASSWORD),
        ("", ""),
        ("' OR 1=1 --", PASSWORD),
        (OWNER, &"long".repeat(2000)),
    ] {
        let mut browser = world.browser();
        let answer = browser.sign_in(email, password).await;
        assert_eq!(
            (answer.status, answer.code(), &browser.cookie),
            (401, "sign_in_failed", &None),
            "{email}"
        );
        answers.push(answer.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for all");
    let bad = world.browser().post("session", json!({ "email": OWNER, "password": 7 })).await;
    assert_eq!((bad.status, bad.code()), (400, "malformed_request"));
    let bad =
        world.browser().post("session", json!({ "email": OWNER, "password": PASSWORD, "admin": true })).await;
    assert_eq!(bad.status, 400, "unknown fields");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test measures with the ordinary clock")]
async fn unknown_accounts_take_as_long_as_known_ones() {
    let world = world().await;
    let mut fastest = [std::time::Duration::MAX; 2];
    for _ in 0..4 {
        for (index, email) in [OWNER, "nobody@example.com"].into_iter().enumerate() {
            let began = std::time::Instant::now();
            world.browser().sign_in(email, "wrong horse battery").await;
            fastest[index] = fastest[index].min(began.elapsed());
        }
    }
    let [known, unknown] = fastest.map(|time| time.as_secs_f64());
    assert!(unknown > known * 0.5 && unknown < known * 2.0, "{fastest:?}");
}

#[tokio::test]
async fn attempts_are_bounded_for_accounts_that_are_there_or_not() {
    let world = world().await;
    for email in [OWNER, "nobody@example.com"] {
        let mut browser = world.browser();
        for _ in 0..10 {
            assert_eq!(browser.sign_in(email, "wrong horse battery").await.status, 401);
        }
        let answer = browser.sign_in(email, PASSWORD).await;
        assert_eq!(
            (answer.status, answer.code()),
            (429, "too_many_attempts"),
            "even with the right password"
        );
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
    world.pass(MINUTE);
    assert_eq!(world.browser().sign_in(OWNER, PASSWORD).await.status, 200, "later it is the person again");
}

#[tokio::test]
async fn sessions_end_when_idle_and_in_the_end() {
    let world = world().await;
    let mut browser = world.owner().await;
    world.pass(29 * MINUTE);
    assert_eq!(browser.get("session").await.status, 200);
    world.pass(30 * MINUTE);
    let answer = browser.get("session").await;
    assert_eq!((answer.status, answer.code()), (401, "sign_in_expired"));
    let mut browser = world.owner().await;
    for _ in 0..71 {
        world.pass(10 * MINUTE);
        assert_eq!(browser.get("session").await.status, 200);
    }
    world.pass(10 * MINUTE);
    assert_eq!(browser.get("session").await.code(), "sign_in_expired", "twelve hours");
    assert_eq!(browser.sign_in(OWNER, PASSWORD).await.status, 200, "an old cookie does not keep anybody out");
}

#[tokio::test]
async fn forged_requests_change_nothing() {
    let world = world().await;
    let mut browser = world.owner().await;
    let csrf = browser.csrf.take();
    assert_eq!(browser.delete("session").await.code(), "csrf_token_wrong");
    browser.csrf = world.owner().await.csrf;
    assert_eq!(browser.delete("session").await.code(), "csrf_token_wrong", "another session's");
    browser.csrf = csrf;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        browser.extra = vec![(name.into(), value.into())];
        assert_eq!(browser.delete("session").await.code(), "cross_site_refused", "{name}: {value}");
        let mut fresh = world.browser();
        fresh.extra = browser.extra.clone();
        assert_eq!(fresh.sign_in(OWNER, PASSWORD).await.code(), "cross_site_refused", "nor signs anybody in");
    }
    browser.extra = vec![("sec-fetch-site".into(), "same-origin".into())];
    assert_eq!(browser.get("session").await.status, 200, "it still lives");
    browser.extra.push(("x-api-key".into(), "anything".into()));
    assert_eq!(browser.get("session").await.code(), "keys_cannot_manage_keys", "whoever else is signed in");
}

#[tokio::test]
async fn own_sessions_are_listed_and_ended() {
    let world = world().await;
    let mut first = world.owner().await;
    let mut second = world.owner().await;
    let mut third = world.owner().await;
    let list = first.get("sessions").await.body;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(items.iter().filter(|item| item["current"] == true).count(), 1);
    assert_eq!(items[0]["address"], "127.0.0.1");
    let shown = second.get("sessions").await.body;
    let own = shown["items"].as_array().unwrap().iter().find(|item| item["current"] == true).unwrap();
    let path = format!("sessions/{}", own["id"].as_str().unwrap());
    assert_eq!(first.delete(&path).await.status, 204);
    assert_eq!(second.get("session").await.code(), "sign_in_missing");
    assert_eq!(first.delete(&path).await.status, 404);
    assert_eq!(first.delete("sessions").await.body["ended"], 1);
    assert_eq!(third.get("session").await.code(), "sign_in_missing");
    assert_eq!(first.get("session").await.status, 200);
}

#[tokio::test]
async fn a_new_password_needs_a_fresh_sign_in_and_the_old_one() {
    let world = world().await;
    let mut browser = world.owner().await;
    let mut other = world.owner().await;
    let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    world.pass(11 * MINUTE);
    let answer = browser.post("session/password", change(PASSWORD, "another horse battery")).await;
    assert_eq!((answer.status, answer.code()), (403, "sign_in_not_fresh"));
    let old = browser.cookie.clone();
    let wrong = browser.post("session/fresh", json!({ "password": "wrong horse battery" })).await;
    assert_eq!(wrong.code(), "sign_in_failed");
    let answer = browser.post("session/fresh", json!({ "password": PASSWORD })).await;
    assert_eq!((answer.status, &answer.body["fresh"]), (200, &json!(true)));
    assert_ne!(browser.cookie, old, "a new token for new privileges");
    let mut thief = browser.clone();
    thief.cookie = old;
    assert_eq!(thief.get("session").await.code(), "sign_in_missing");
    let answer =
        browser.post("session/password", change("wrong horse battery", "another horse battery")).await;
    assert_eq!((answer.status, answer.code()), (422, "invalid"));
    let answer = browser.post("session/password", change(PASSWORD, "short")).await;
    assert_eq!(answer.body["errors"][0]["field"], "new_password");
    let answer = browser.post("session/password", change(PASSWORD, "another horse battery")).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(browser.get("session").await.status, 200);
    assert_eq!(other.get("session").await.code(), "sign_in_missing", "other sessions end");
    assert_eq!(world.browser().sign_in(OWNER, PASSWORD).await.status, 401);
    assert_eq!(world.browser().sign_in(OWNER, "another horse battery").await.status, 200);
}
