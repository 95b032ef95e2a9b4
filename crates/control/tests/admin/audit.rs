//! The audit over the API.

use serde_json::{Value, json};

use super::world::World;

pub(crate) async fn the_audit_shows_before_and_after(mut world: World) {
    let admin = world.person("admin").await;
    let id = admin.key("app").await;
    admin.act(&format!("/keys/{id}/disable")).await;
    let auditor = world.person("auditor").await;
    let rows = auditor.get(&format!("/audit?subject={id}")).await.json();
    assert_eq!(rows["items"][0]["action"], "key.disable");
    assert_eq!(
        (&rows["items"][0]["before"], &rows["items"][0]["after"]),
        (&json!({"state": "active"}), &json!({"state": "disabled"}))
    );
    assert_eq!(rows["items"][0]["actor"], admin.user.to_string());
    let verdict = auditor.get("/audit/verify").await.json();
    assert_eq!(verdict["ok"], true);
    assert_eq!(auditor.get("/audit?subject=nonsense").await.status, 422);
}

pub(crate) async fn an_export_has_every_change(mut world: World) {
    let admin = world.person("admin").await;
    let keys = vec![json!({"project": "maps", "consumer": "app", "policy": "standard"}); 1000];
    for _ in 0..2 {
        assert_eq!(admin.post("/keys/bulk", json!({ "keys": keys })).await.status, 201);
    }
    let export = admin.get("/audit/export").await;
    assert_eq!(export.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = export.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 2000, "{}", lines.len());
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b), "each once, newest first");
}

pub(crate) async fn a_broken_chain_is_told(mut world: World) {
    let auditor = world.person("auditor").await;
    world.raw("UPDATE changes SET actor = 'os:nobody' WHERE seq = 2").await;
    let verdict = auditor.get("/audit/verify").await.json();
    assert_eq!((verdict["ok"].clone(), verdict["head"].clone()), (json!(false), json!(1)));
    assert!(verdict["broken"].as_str().unwrap().starts_with("change 2"));
}
