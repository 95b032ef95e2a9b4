//! Keys, tokens, resources and the audit from the command line, without a server.

use crate::world::{create_key, prepared, resources, text};

#[test]
fn applying_twice_changes_nothing_and_an_export_applies_to_nothing() {
    let node = prepared();
    let same = node.apply(&resources("http://127.0.0.1:9")).json();
    assert_eq!(same["changes"].as_array().map(Vec::len), Some(0));
    assert_eq!(same["seq"], 0);
    let exported = node.cli(&["export"]).success().stdout;
    assert_eq!(node.apply(&exported).json()["changes"].as_array().map(Vec::len), Some(0));

    let changed = resources("http://127.0.0.1:10");
    let path = node.folder().join("changed.toml");
    std::fs::write(&path, &changed).expect("write the resources");
    let path = path.to_str().expect("a path");
    let planned = node.json(&["apply", "-f", path, "--dry-run"]);
    assert_eq!(planned["applied"], false);
    assert_eq!(planned["changes"][0]["op"], "update");
    assert_eq!(planned["changes"][0]["fields"][0], "upstreams");
    assert_eq!(node.cli(&["export"]).success().stdout, exported, "a dry run changes nothing");
    let applied = node.json(&["apply", "-f", path]);
    assert_eq!(applied["changes"], planned["changes"]);

    let pruned = "[[project]]\ntenant = \"default\"\nname = \"maps\"\nkey_prefix = \"mbk\"\n";
    std::fs::write(path, pruned).expect("write the resources");
    let deleted = node.json(&["apply", "-f", path, "--prune"]);
    let ops: Vec<_> =
        deleted["changes"].as_array().expect("changes").iter().map(|c| c["op"].clone()).collect();
    assert_eq!(ops, ["delete", "delete", "delete"]);
}

#[test]
fn a_key_is_listed_shown_switched_expired_and_revoked() {
    let node = prepared();
    let created = create_key(&node, &["--environment", "test", "--expires", "90d", "--name", "ci"]);
    let id = text(&created, "id");
    assert!(text(&created, "key").starts_with("mbk_test_"));

    let listed = node.json(&["keys", "list", "--project", "default/maps", "--state", "active"]);
    assert_eq!(listed["keys"][0]["id"], id);
    assert_eq!(listed["keys"][0]["environment"], "test");
    assert_eq!(listed["more"], false);
    let shown = node.json(&["keys", "show", id.get(..8).expect("an id")]);
    assert_eq!(shown["name"], "ci");
    assert_eq!(shown["secrets"][0]["current"], true);
    assert!(shown["expires_at"].as_str().is_some());

    assert_eq!(node.json(&["keys", "disable", id])["state"], "disabled");
    assert_eq!(node.json(&["keys", "enable", id])["state"], "active");
    assert_eq!(node.json(&["keys", "expire", id, "never"])["expires_at"], serde_json::Value::Null);
    assert_eq!(node.json(&["keys", "expire", id, "2020-01-01"])["expired"], true);
    assert_eq!(node.json(&["keys", "revoke", id])["state"], "revoked");
    let again = node.cli(&["keys", "enable", id]);
    assert_eq!(again.code(), Some(1), "revoked is final");
    assert!(node.cli(&["keys", "rotate", id]).code() == Some(1));
    // No node runs, so nobody is waited for.
    let other = create_key(&node, &[]);
    assert_eq!(node.json(&["keys", "revoke", text(&other, "id"), "--wait"])["waited"], "all_applied");

    let audit = node.json(&["audit", "list", "--subject", id]);
    let actions: Vec<_> =
        audit["changes"].as_array().expect("changes").iter().map(|change| change["action"].clone()).collect();
    assert_eq!(
        actions,
        ["key.revoke", "key.expire", "key.expire", "key.enable", "key.disable", "key.create"]
    );
    assert!(text(&audit["changes"][0], "actor").starts_with("os:"));
    assert_eq!(node.json(&["audit", "verify"])["intact"], true);
}

#[test]
fn a_tampered_audit_makes_verify_exit_with_1() {
    let node = prepared();
    let path = node.data_dir().join("tollgate.db");
    // One byte of the text of a change, as somebody with an editor would alter it.
    let _ = node.cli(&["audit", "verify"]).success();
    let mut bytes = std::fs::read(&path).expect("read the database");
    let at =
        bytes.windows(14).rposition(|window| window == b"project.create").expect("the change is in the file");
    bytes[at..at + 14].copy_from_slice(b"project.delete");
    std::fs::write(&path, bytes).expect("write the database");
    let verified = node.cli(&["audit", "verify"]);
    assert_eq!(verified.code(), Some(1), "{}", verified.stdout);
    assert_eq!(verified.json()["intact"], false);
}

#[test]
fn a_rotated_key_keeps_its_id_and_shows_both_secrets() {
    let node = prepared();
    let created = create_key(&node, &[]);
    let id = text(&created, "id");
    let rotated = node.json(&["keys", "rotate", id, "--overlap", "1h"]);
    assert_eq!(rotated["id"], created["id"]);
    assert_ne!(rotated["key"], created["key"]);
    assert!(rotated["previous_valid_until"].as_str().is_some());
    let shown = node.json(&["keys", "show", id]);
    assert_eq!(shown["secrets"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["secrets"][0]["current"], true);
    assert_eq!(shown["secrets"][1]["current"], false);
    assert_eq!(shown["secrets"][1]["last_used_at"], serde_json::Value::Null);
}

#[test]
fn service_tokens_are_made_listed_and_revoked() {
    let node = prepared();
    let created = node.json(&["service-tokens", "create", "--name", "backend", "--service", "maps/tiles"]);
    assert!(text(&created, "token").starts_with("tgs_"));
    let listed = node.cli(&["service-tokens", "list"]).success();
    assert!(!listed.stdout.contains(text(&created, "token")));
    assert_eq!(listed.json()["service_tokens"][0]["services"][0], "tiles");
    assert_eq!(node.json(&["service-tokens", "revoke", text(&created, "id")])["revoked"], true);
    let listed = node.json(&["service-tokens", "list"]);
    assert!(listed["service_tokens"][0]["revoked_at"].as_str().is_some());
}

#[test]
fn a_second_factor_that_is_not_there_is_no_change_and_nobody_is_a_failure() {
    let node = prepared();
    let audit = node.json(&["audit", "list"]);
    let owner = node.json(&["members", "remove-second-factor", "OWNER@example.com"]);
    assert_eq!(owner["removed"], false);
    let again = node.json(&["members", "remove-second-factor", text(&owner, "id")]);
    assert_eq!(again, owner, "by its id too");
    assert_eq!(node.json(&["audit", "list"]), audit);
    let nobody = node.cli(&["members", "remove-second-factor", "nobody@example.com"]);
    assert_eq!(nobody.code(), Some(1));
}

#[test]
fn doctor_finds_a_prepared_folder_healthy() {
    let node = prepared();
    let examined = node.json(&["doctor"]);
    assert_eq!(examined["healthy"], true, "{examined}");
    let find = |name: &str| {
        let checks = examined["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["check"] == name).cloned().expect("the check")
    };
    assert_eq!(find("database")["outcome"], "ok");
    assert_eq!(find("redis")["outcome"], "not_configured");
    assert_eq!(find("clock")["outcome"], "ok");
}

#[test]
fn doctor_finds_files_that_are_not_there() {
    let node = prepared();
    let examined = node.cli(&["doctor", "--set", "assertion.key_file=/nowhere/key.pem"]);
    assert_eq!(examined.code(), Some(1));
    let examined = examined.json();
    let checks = examined["checks"].as_array().expect("checks");
    let finding = checks.iter().find(|check| check["check"] == "assertion.key_file").expect("the check");
    assert_eq!(finding["found"], "/nowhere/key.pem: there is no such file");
}

#[test]
fn doctor_finds_a_clock_that_was_set_back() {
    let node = prepared();
    std::fs::write(node.data_dir().join("clock"), "4102444800000000\n").expect("write the mark");
    let examined = node.json(&["doctor"]);
    let checks = examined["checks"].as_array().expect("checks");
    assert!(
        checks.iter().any(|check| check["check"] == "clock" && check["outcome"] == "warning"),
        "{examined}"
    );
    // And keys expire by the later time (I4).
    let created = create_key(&node, &["--expires", "2100-01-01T00:00:01Z"]);
    let denied = node.json(&["explain", "--key", text(&created, "key")]);
    assert!(matches!(denied["code"].as_str(), Some("key_expired" | "valid")), "{denied}");
}
