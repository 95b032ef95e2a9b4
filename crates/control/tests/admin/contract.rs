//! The running listener against its own document, by schemathesis: no answer that the document does not
//! describe, no 5xx, nothing accepted that it forbids.

#![expect(clippy::disallowed_methods, reason = "the tool that runs this test says where the program is")]

use super::world::World;

/// The program's path comes in by this name; `cargo xtask test` installs it and says where.
const PROGRAM: &str = "TOLLGATE_SCHEMATHESIS";

/// Bodies refer to projects, consumers and services that must exist, and cursors to pages that were
/// answered: what fits the document may be refused.
const NOT_ASKED: &str = "positive_data_acceptance";

/// Without `If-Match` a change is answered 428, as RFC 6585 §3 has it; a link that is none 410, however long.
const CONFIGURATION: &str = "[checks]\nmissing_required_header.expected-statuses = [401, 403, 422, 428]\n\
    negative_data_rejection.expected-statuses = \
    [400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 428, 429, \"5xx\"]\n";

/// What ends the very session that the test is signed in with.
const ENDS: [&str; 2] = ["delete_session", "delete_sessions_id"];

pub(crate) async fn schemathesis_finds_nothing(mut world: World) {
    let program = std::env::var(PROGRAM).unwrap_or_else(|_| panic!("{PROGRAM} must name schemathesis' `st`"));
    let owner = world.person("owner").await;
    owner.key("app").await;
    let [cookie, csrf] = owner.headers();
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("openapi.json");
    std::fs::write(&document, tollgate_control::openapi_document().to_string()).unwrap();
    let configuration = folder.path().join("schemathesis.toml");
    std::fs::write(&configuration, CONFIGURATION).unwrap();
    // Sign-in and the own account last, for they change what the others are asked with.
    let everything_else = ["--exclude-tag", "session"].map(str::to_owned).to_vec();
    // No answer of these leads to another of them, so there are no chains of calls to try.
    let session = ["--include-tag", "session", "--phases", "examples,coverage,fuzzing"];
    let mut session = session.map(str::to_owned).to_vec();
    session.extend(ENDS.into_iter().flat_map(|name| ["--exclude-operation-id".to_owned(), name.to_owned()]));
    for part in [everything_else, session] {
        let output = tokio::process::Command::new(&program)
            .current_dir(folder.path())
            .arg("--config-file")
            .arg(&configuration)
            .arg("run")
            .arg(&document)
            .args(["--url", &format!("http://{}", world.address), "--header", &cookie, "--header", &csrf])
            .args(["--checks", "all", "--exclude-checks", NOT_ASKED])
            .args(part)
            .args(["--max-examples", "15", "--seed", "7", "--generation-database", "none", "--no-color"])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
