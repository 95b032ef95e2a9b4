//! I6, T17: the whole key exists in the one answer that shows it, and nowhere else.

use std::path::Path;

use serde_json::json;
use tollgate_testkit::http::{Call, get};
use tollgate_testkit::{Upstream, wait_until};

use crate::world::{SOON, builder, create_key, resources, text, tiles};

/// A run of a secret's characters this long tells enough to be a leak.
const TELLING: usize = 12;

/// Every file below a folder that holds a telling part of the secret.
pub(crate) fn holders(folder: &Path, secret: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("read the folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            holders(&path, secret, found);
        } else if holds(&std::fs::read(&path).unwrap_or_default(), secret) {
            found.push(path.display().to_string());
        }
    }
}

pub(crate) fn holds(bytes: &[u8], secret: &str) -> bool {
    secret.as_bytes().windows(TELLING).any(|part| bytes.windows(TELLING).any(|own| own == part))
}

#[tokio::test]
async fn no_key_and_no_token_is_in_any_file_log_metric_or_answer() {
    let upstream = Upstream::start();
    let furnished = resources(&upstream.url()).replace(
        "kind = \"proxy\"",
        "kind = \"proxy\"\ncredentials = [\"query:api_key\", \"x-goog-api-key\"]",
    );
    let node = builder()
        .config("[journal]\nbytes_max = \"1MiB\"\n[log]\nlevel = \"debug\"\n")
        .resources(&furnished)
        .start();
    let created = create_key(&node, &["--name", "scanned"]);
    let (id, key) = (text(&created, "id"), text(&created, "key"));
    let token = node.create_service_token("scanner");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;

    let mut answers = vec![
        tiles(&node, key).await.text(),
        get(node.gateway(), &format!("/tiles/1?api_key={key}&x=1")).await.text(),
        Call::get("/tiles/2").header("x-goog-api-key", key).send(node.gateway()).await.text(),
        Call::get("/tiles/3").header("x-api-key", &format!("{key}x")).send(node.gateway()).await.text(),
        Call::get("/nowhere").bearer(key).send(node.gateway()).await.text(),
        Call::get("/v1/me").bearer(key).send(node.gateway()).await.text(),
        // Twice, so that a mistake of the client is what is looked at.
        Call::get("/tiles/4").bearer(key).header("x-api-key", key).send(node.gateway()).await.text(),
    ];
    let verify = Call::post("/v1/keys/verify", &json!({ "key": key, "service": "tiles", "method": "GET" }));
    answers.push(verify.bearer(&token).send(node.service_api()).await.text());
    let rotated = node.json(&["keys", "rotate", id, "--overlap", "1h"]);
    wait_until(SOON, || async { tiles(&node, text(&rotated, "key")).await.status == 200 }).await;
    for arguments in
        [&["keys", "show", id][..], &["keys", "list"], &["events", "query"], &["audit", "list"], &["export"]]
    {
        answers.push(node.cli(arguments).success().stdout);
    }
    answers.push(get(node.control(), "/metrics").await.text());
    answers.push(node.log());
    answers.extend(upstream.seen().iter().map(|seen| format!("{seen:?}")));

    for secret in [key, text(&rotated, "key"), token.as_str()] {
        // The prefix and environment are no secret, and the last four characters may be shown.
        let random = secret.rsplit('_').next().expect("a last part");
        assert!(
            !answers.iter().any(|answer| holds(answer.as_bytes(), random)),
            "an answer or a log holds it"
        );
        let mut found = Vec::new();
        holders(node.folder(), random, &mut found);
        assert_eq!(found, Vec::<String>::new(), "files hold it");
    }
}
