//! What is wrong is said once, completely, on stderr, with what to do about it; exit codes.

use std::path::Path;

use insta::assert_snapshot;

use crate::world::{Printed, prepared, resources, run};

/// What a run printed, with its exit code, as one text; the folder's name is taken out.
fn shown(printed: &Printed, folder: &Path) -> String {
    let text = format!("exit {:?}\n{}{}", printed.code, printed.stdout, printed.stderr);
    text.replace(&folder.display().to_string(), "FOLDER")
}

fn in_empty_folder(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    shown(&run(folder.path(), arguments), folder.path())
}

#[test]
fn wrong_usage_exits_with_2() {
    assert_snapshot!("unknown-command", in_empty_folder(&["kyes"]));
    assert_snapshot!("missing-flag", in_empty_folder(&["keys", "create", "--project", "maps"]));
    assert_snapshot!(
        "bad-expiry",
        in_empty_folder(
            &["keys", "create", "--project", "maps", "--consumer", "c", "--expires", "tomorrow",]
        )
    );
    assert_snapshot!("bad-code", in_empty_folder(&["events", "query", "--code", "rate_limitted"]));
    assert_snapshot!("bad-set", in_empty_folder(&["doctor", "--set", "threads"]));
    assert_snapshot!("explain-nothing", in_empty_folder(&["explain"]));
    assert_snapshot!("explain-no-decision", in_empty_folder(&["explain", "dec_12"]));
}

#[test]
fn a_missing_database_says_how_to_get_one_and_is_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_snapshot!("no-database", shown(&run(folder.path(), &["keys", "list"]), folder.path()));
    assert!(!folder.path().join("tollgate-data").exists());
}

#[test]
fn a_wrong_configuration_is_reported_whole_by_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[gateway]\nlisten = \"8080\"\nthreads = \"many\"\n[gatway]\nlisten = 1\n";
    std::fs::write(folder.path().join("tollgate.toml"), text).expect("write the configuration");
    assert_snapshot!("bad-configuration", shown(&run(folder.path(), &["serve"]), folder.path()));
    assert_snapshot!(
        "no-configuration-file",
        shown(&run(folder.path(), &["serve", "--config", "other.toml"]), folder.path())
    );
}

#[test]
fn doctor_goes_on_after_a_finding_and_exits_with_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[gateway]\nlisten = \"8080\"\nthreads = \"many\"\n";
    std::fs::write(folder.path().join("tollgate.toml"), text).expect("write the configuration");
    assert_snapshot!("doctor-configuration", shown(&run(folder.path(), &["doctor"]), folder.path()));
}

#[test]
fn apply_reports_what_the_store_refuses_with_lines_and_changes_nothing() {
    let node = prepared();
    let wrong = resources("ftp://127.0.0.1")
        .replace("services = [\"tiles\"]", "services = [\"tiles\", \"gone\"]\nallow_ips = [\"10.0.0.0/99\"]")
        + "\n[[service]]\nproject = \"maps\"\nname = \"tiles2\"\nkind = \"proxy\"\nmatch = { path_prefix = \"/tiles\" }\nupstreams = [\"http://127.0.0.1:9\"]\n";
    let before = node.cli(&["export"]).success().stdout;
    let refused = node.try_apply(&wrong);
    assert_eq!(refused.code(), Some(1));
    let text = refused.stderr.replace(&node.folder().display().to_string(), "FOLDER");
    assert_snapshot!("apply-refused", text);
    assert_eq!(node.cli(&["export"]).success().stdout, before);
}

#[test]
fn init_asks_for_a_good_password_and_runs_once() {
    let node = prepared();
    let arguments = ["init", "--owner", "me@example.com", "--password-stdin"];
    let short = node.cli_with_input(&arguments, "short\n");
    assert_eq!(short.code(), Some(2));
    let again = node.cli_with_input(&arguments, "correct horse battery staple\n");
    assert_eq!(again.code(), Some(1));
    assert_snapshot!("init-refused", format!("{}{}", short.stderr, again.stderr));
    assert!(!again.stderr.contains("staple"));
}

#[test]
fn unknown_names_are_said() {
    let node = prepared();
    let create = |arguments: &[&str]| {
        let mut all = vec!["keys", "create"];
        all.extend_from_slice(arguments);
        let output = node.cli(&all);
        assert_eq!(output.code(), Some(1), "{}", output.stdout);
        output.stderr
    };
    let text = [
        create(&["--project", "mops", "--consumer", "android-team"]),
        create(&["--project", "maps", "--consumer", "nobody"]),
        create(&["--project", "maps", "--consumer", "android-team", "--policy", "none"]),
        create(&["--project", "maps", "--consumer", "android-team", "--allow-ip", "10.0.0.0/99"]),
        node.cli(&["keys", "show", "key_00000000000"]).stderr,
        node.cli(&["keys", "revoke", "nonsense"]).stderr,
    ];
    assert_snapshot!("unknown-names", text.concat());
}
