//! `keys import`: what is in the file works, what is not good is listed, running it again is safe.

use sha2::{Digest as _, Sha256};
use tollgate_testkit::Upstream;

use crate::world::{node, prepared, tiles};

fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn imported_keys_work_with_their_old_text() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    let file = node.folder().join("keys.csv");
    let csv = format!(
        "hash,consumer,policy,name,team\n{},old-partner,standard,one,blue\n{},,,,\nnot-a-hash,,,,\n{},,,,\n",
        sha256_hex("legacy-key-one"),
        sha256_hex("legacy-key-two"),
        sha256_hex("legacy-key-one"),
    );
    std::fs::write(&file, csv).expect("write the file");
    let import = |more: &[&str]| {
        let mut arguments = vec!["keys", "import", file.to_str().expect("a path"), "--scheme", "sha256"];
        arguments.extend_from_slice(&["--consumer", "android-team", "--policy", "standard"]);
        arguments.extend_from_slice(more);
        node.cli(&arguments).success()
    };
    let dry = import(&["--dry-run"]).json();
    assert_eq!((dry["accepted"].as_u64(), dry["applied"].as_bool()), (Some(2), Some(false)));
    assert_eq!(node.json(&["keys", "list"])["keys"].as_array().map(Vec::len), Some(0));

    let report = import(&["--project", "maps"]);
    assert!(report.stderr.contains("1 rows were not imported"), "{}", report.stderr);
    let report = report.json();
    assert_eq!(report["accepted"], 2);
    assert_eq!(report["consumers_created"], 1);
    assert_eq!(report["rejected_lines"][0]["line"], 4);
    assert_eq!(report["collision_lines"][0]["line"], 5);
    assert_eq!(report["collision_lines"][0]["with_line"], 2);
    let again = import(&[]).json();
    assert_eq!((again["accepted"].as_u64(), again["collisions"].as_u64()), (Some(0), Some(3)));

    tollgate_testkit::wait_until(crate::world::SOON, || async {
        tiles(&node, "legacy-key-one").await.status == 200
    })
    .await;
    assert_eq!(tiles(&node, "legacy-key-two").await.status, 200);
    assert_eq!(tiles(&node, "legacy-key-three").await.code(), "key_malformed");
}

#[test]
fn json_lines_and_plain_keys_are_read_and_never_repeated() {
    let node = prepared();
    let file = node.folder().join("keys.jsonl");
    let lines = "{\"key\":\"plain-credential-1\",\"metadata\":{\"team\":\"blue\"}}\n{\"key\":\"x\"}\nnonsense-credential\n";
    std::fs::write(&file, lines).expect("write the file");
    let arguments =
        ["keys", "import", file.to_str().expect("a path"), "--scheme", "plain", "--consumer", "legacy"];
    let output = node.cli(&arguments).success();
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.contains("plain-credential") && !text.contains("nonsense-credential"), "{text}");
    }
    let report = output.json();
    assert_eq!(report["accepted"], 1, "{report}");
    assert_eq!(report["rejected"], 2, "{report}");
    let listed = node.json(&["keys", "list"]);
    assert_eq!(listed["keys"][0]["metadata"]["team"], "blue");
    let explained = node.json(&["explain", "--key", "plain-credential-1", "--path", "/tiles/1"]);
    assert_eq!(explained["code"], "service_not_granted");
}

#[test]
fn slow_hashes_are_recognised_and_hmac_needs_its_secret() {
    let node = prepared();
    // bcrypt of `swordfish-123456`, cost 4.
    let hash = bcrypt::hash("swordfish-123456", 4).expect("hash");
    let file = node.folder().join("keys.csv");
    std::fs::write(&file, format!("hash,prefix\n{hash},swordfish-\n")).expect("write the file");
    let path = file.to_str().expect("a path");
    let common = ["--consumer", "legacy", "--policy", "standard"];
    let import = |more: &[&str]| node.cli(&[&["keys", "import", path][..], more, &common[..]].concat());
    assert_eq!(import(&["--scheme", "bcrypt"]).success().json()["accepted"], 1);
    let explain = |key: &str| node.json(&["explain", "--key", key, "--path", "/tiles/1"])["code"].clone();
    assert_eq!(explain("swordfish-123456"), "valid");
    assert_eq!(explain("swordfish-123457"), "key_unknown");
    assert_eq!(import(&["--scheme", "hmac-sha256"]).code(), Some(2), "no --secret-file");
}
