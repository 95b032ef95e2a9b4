//! The audit of a real node is sealed, exported, and proven without its database (I20).

use std::os::unix::fs::PermissionsExt as _;

use tollgate_testkit::{Tollgate, wait_until};

use crate::world::{SOON, builder, create_key, resources};

fn start() -> Tollgate {
    builder().resources(&resources("http://127.0.0.1:9")).start()
}

#[test]
fn an_export_is_proven_without_the_database_by_a_checkpoint_and_a_public_key() {
    let mut node = start();
    let file = node.data_dir().join("audit-checkpoints.jsonl");
    create_key(&node, &[]);
    assert!(node.term_and_wait().success());
    let key_file = node.data_dir().join("audit-key.pk8");
    assert_eq!(std::fs::metadata(&key_file).unwrap().permissions().mode() & 0o777, 0o600);
    let sealed = std::fs::read_to_string(&file).unwrap();
    assert!(!sealed.is_empty() && sealed.ends_with('\n'), "{sealed}");

    let online = node.json(&["audit", "verify"]);
    assert_eq!((&online["intact"], &online["proven_to"]), (&true.into(), &online["changes"]), "{online}");
    let key = node.json(&["audit", "public-key"])["public_key"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let [export, points, keys] =
        ["audit.jsonl", "points.jsonl", "key.txt"].map(|name| folder.path().join(name));
    let _written = node.cli(&["audit", "export", "--to", export.to_str().unwrap()]).success();
    std::fs::copy(&file, &points).unwrap();
    std::fs::write(&keys, format!("{key}\n")).unwrap();
    // Whoever cuts the end off may take the checkpoints with it.
    let aside = folder.path().join("aside.jsonl");
    std::fs::rename(&file, &aside).unwrap();
    let gone = node.cli(&["audit", "verify"]);
    assert_eq!((gone.code(), &gone.json()["intact"]), (Some(1), &false.into()), "nothing is proven");
    assert_eq!(node.json(&["audit", "verify", "--without-checkpoints"])["intact"], true);
    std::fs::rename(&aside, &file).unwrap();
    // From here on there is no database.
    std::fs::remove_file(node.data_dir().join("tollgate.db")).unwrap();
    let verify = |key: &str| {
        let (export, points) = (export.to_str().unwrap(), points.to_str().unwrap());
        node.cli(&["audit", "verify", "--export", export, "--checkpoints", points, "--public-key", key])
    };
    assert_eq!(verify(&key).success().json(), online, "the same is said of the export");
    let _proven = verify(keys.to_str().unwrap()).success();
    assert_eq!(verify(&"00".repeat(32)).code(), Some(1), "somebody else's key proves nothing");
    assert_eq!(verify("nonsense").code(), Some(1));

    let text = std::fs::read_to_string(&export).unwrap();
    let altered = text.replacen("\"actor\":\"os:", "\"actor\":\"OS:", 1);
    assert_ne!(altered, text);
    std::fs::write(&export, altered).unwrap();
    let broken = verify(&key);
    assert_eq!((broken.code(), &broken.json()["intact"]), (Some(1), &false.into()));
    let cut: Vec<&str> = text.lines().collect();
    std::fs::write(&export, format!("{}\n", cut[..cut.len() - 1].join("\n"))).unwrap();
    assert_eq!(verify(&key).code(), Some(1), "the end is cut off");
    std::fs::write(&export, &text).unwrap();
    let _proven = verify(&key).success();
    std::fs::write(&points, sealed.replacen(":1,", ":2,", 1)).unwrap();
    assert_eq!(verify(&key).code(), Some(1), "an altered checkpoint proves nothing");
    let without = node.cli(&["audit", "verify", "--export", export.to_str().unwrap()]);
    assert_eq!(without.code(), Some(2), "an export alone proves nothing about its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_node_seals_what_changes() {
    let node = tokio::task::spawn_blocking(start).await.expect("start a node");
    let file = node.data_dir().join("audit-checkpoints.jsonl");
    let is_sealed = || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
    wait_until(SOON, || async { is_sealed() }).await;
    let shown = node.json(&["audit", "verify"]);
    assert_eq!((&shown["intact"], &shown["checkpoints"]), (&true.into(), &1.into()), "{shown}");
}
