//! The help of every command, word for word: it is part of what people rely on.

use crate::world::run;

fn help(command: &[&str]) {
    let mut arguments = command.to_vec();
    arguments.push("--help");
    let folder = tempfile::tempdir().expect("a folder");
    let printed = run(folder.path(), &arguments);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let name = if command.is_empty() { "tollgate".to_owned() } else { command.join("-") };
    insta::assert_snapshot!(format!("help-{name}"), printed.stdout);
    let examples = printed.stdout.split("Examples:").nth(1).unwrap_or_default();
    assert!(
        examples.lines().all(|line| line.chars().count() < 100),
        "an example of {name} is too long to copy"
    );
}

#[test]
fn every_command_has_help_with_examples() {
    let commands: [&[&str]; 35] = [
        &[],
        &["demo"],
        &["serve"],
        &["init"],
        &["apply"],
        &["export"],
        &["keys"],
        &["keys", "create"],
        &["keys", "list"],
        &["keys", "show"],
        &["keys", "disable"],
        &["keys", "enable"],
        &["keys", "expire"],
        &["keys", "revoke"],
        &["keys", "rotate"],
        &["keys", "import"],
        &["explain"],
        &["events"],
        &["events", "tail"],
        &["events", "query"],
        &["audit"],
        &["audit", "list"],
        &["audit", "verify"],
        &["usage"],
        &["usage", "invoice"],
        &["ledger"],
        &["ledger", "show"],
        &["budgets"],
        &["budgets", "top-up"],
        &["service-tokens"],
        &["service-tokens", "create"],
        &["service-tokens", "list"],
        &["members"],
        &["members", "remove-second-factor"],
        &["doctor"],
    ];
    for command in commands {
        help(command);
    }
}
