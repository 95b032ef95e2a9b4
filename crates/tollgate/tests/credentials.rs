//! Credentials of providers over the command line: taken, never shown, of no use without the file of keys.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::world::{BINARY, run};

const VALUE: &str = "sk-kept-and-never-shown-4711";

/// Runs the binary with something on its standard input; what it prints.
fn with_input(folder: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run the binary");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("write");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_secret_is_set_listed_encrypted_anew_and_missed_when_its_key_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let owner = ["init", "--owner", "me@example.com", "--tenant", "acme", "--password-stdin"];
    let _ = with_input(folder, &owner, "a long enough password\n");
    let file = "[[project]]\ntenant = \"acme\"\nname = \"maps\"\n";
    std::fs::write(folder.join("r.toml"), file).expect("write");
    assert_eq!(run(folder, &["apply", "-f", "r.toml"]).code, Some(0));
    let set = ["secrets", "set", "maps", "openai", "--value-stdin"];
    assert!(!with_input(folder, &set, &format!("{VALUE}\n")).contains(VALUE));
    let listed = run(folder, &["secrets", "list", "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(
        (shown["secrets"][0]["name"].as_str(), shown["secrets"][0]["readable"].as_bool()),
        (Some("openai"), Some(true))
    );
    let data = folder.join("tollgate-data");
    for entry in std::fs::read_dir(&data).expect("the folder") {
        let bytes = std::fs::read(entry.expect("an entry").path()).unwrap_or_default();
        assert!(!bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()), "it is in the clear");
    }
    let keys = data.join("secrets.key");
    let before = std::fs::read_to_string(&keys).expect("the file of keys");
    assert_eq!(run(folder, &["secrets", "rewrap"]).code, Some(0));
    assert_ne!(std::fs::read_to_string(&keys).expect("the file of keys"), before);

    let healthy = run(folder, &["doctor", "--output", "json"]);
    assert!(healthy.stdout.contains("can be decrypted here"), "{}", healthy.stdout);
    std::fs::write(&keys, before).expect("put the old file back");
    let ill = run(folder, &["doctor", "--output", "json"]);
    assert_eq!(ill.code, Some(1));
    assert!(ill.stdout.contains("copy the file"), "{}", ill.stdout);
}
