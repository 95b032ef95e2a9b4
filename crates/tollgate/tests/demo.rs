//! The demo: everything works on a machine that has nothing, twice.

use crate::world::run;

#[test]
fn the_demo_sends_its_requests_and_leaves_something_to_look_at() {
    let folder = tempfile::tempdir().expect("a folder");
    // What is there must not matter: neither a configuration nor another database.
    std::fs::write(folder.path().join("tollgate.toml"), "[database]\nurl = \"postgres://nowhere/x\"\n")
        .expect("write");
    for _ in 0..2 {
        let printed = run(folder.path(), &["demo", "--once", "--output", "json"]);
        assert_eq!(printed.code, Some(0), "{}{}", printed.stdout, printed.stderr);
        let shown: serde_json::Value = serde_json::from_str(&printed.stdout).expect("JSON");
        let requests = shown["requests"].as_array().expect("requests");
        let codes: Vec<_> = requests.iter().filter_map(|request| request["code"].as_str()).collect();
        for code in [
            "valid",
            "key_missing",
            "key_expired",
            "ip_not_allowed",
            "scope_missing",
            "rate_limited",
            "budget_exhausted",
            "key_blocked",
        ] {
            assert!(codes.contains(&code), "{code} is missing in {codes:?}");
        }
        let call = requests.iter().find(|request| request["tries"] == "asking a model").expect("a call");
        assert!(call["why"].as_str().is_some_and(|why| why.starts_with("it cost ")), "{call}");
        assert_eq!(printed.stderr, "");
    }
    let ask = |arguments: &[&str]| {
        let all = [arguments, &["--data-dir", "tollgate-data/demo", "--config", "/dev/null"]].concat();
        let printed = run(folder.path(), &all);
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        serde_json::from_str::<serde_json::Value>(&printed.stdout).expect("JSON")
    };
    assert!(ask(&["usage"])["total"]["requests"].as_u64().is_some_and(|requests| requests > 40));
    assert_eq!(ask(&["keys", "list"])["keys"].as_array().map(Vec::len), Some(9), "keys are not piled up");
    let log = ask(&["rules", "log"]);
    assert!(log.to_string().contains("too-curious"), "what the rule did is shown: {log}");
    let by_model = ask(&["usage", "--by", "model,service"]);
    let rows = by_model["rows"].as_array().expect("rows");
    let fraud = rows.iter().find(|row| row["model"] == "fraud").expect("the prediction");
    assert_eq!((&fraud["service"], &fraud["tokens_in"]), (&"predict".into(), &0.into()));
    assert!(
        fraud["bytes_in"].is_null() && fraud["latency_ms_mean"].is_null(),
        "nobody counts these: {fraud}"
    );
    assert!(fraud["requests"].as_u64().is_some_and(|requests| requests >= 2), "{fraud}");
    assert_eq!(ask(&["audit", "verify"])["intact"], true);
}
