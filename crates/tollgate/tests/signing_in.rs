//! The owner of `init` signs in at the control listener of the real binary.

use serde_json::json;
use tollgate_testkit::http::Call;

use crate::world::{builder, resources, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_init_signs_in_and_the_audit_says_so() {
    let started =
        tokio::task::spawn_blocking(|| builder().resources(&resources("http://127.0.0.1:9")).start());
    let node = started.await.expect("start a node");
    let path = "/api/admin/v1/session";
    let refused =
        Call::post(path, &json!({ "email": "owner@example.com", "password": "wrong horse battery" }));
    let refused = refused.send(node.control()).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "sign_in_failed"));
    let good = Call::post(
        path,
        &json!({ "email": "owner@example.com", "password": "correct horse battery staple" }),
    );
    let answer = good.send(node.control()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(text(&answer.json(), "role"), "owner");
    let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
    let shown = Call::get("/api/admin/v1/sessions").header("cookie", cookie).send(node.control()).await;
    assert_eq!(shown.json()["items"][0]["current"], true, "{}", shown.text());
    let audit = node.cli(&["audit", "list"]).success().stdout;
    assert!(audit.contains("session.start") && !audit.contains("argon2"), "{audit}");
    let token = cookie.split_once('=').expect("a cookie").1;
    assert!(!audit.contains(token) && !node.log().contains(token), "I6");
}
