//! The help of every command, word for word: it is part of what people rely on. Commands are found by what help
//! itself lists, so that none is forgotten.

use crate::world::run;

/// The help of a command; the commands below it.
fn help(command: &[String]) -> Vec<String> {
    let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    arguments.push("--help");
    let folder = tempfile::tempdir().expect("a folder");
    let printed = run(folder.path(), &arguments);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let name = if command.is_empty() { "tollgate".to_owned() } else { command.join("-") };
    insta::assert_snapshot!(format!("help-{name}"), printed.stdout);
    let listed = printed.stdout.split("\nCommands:\n").nth(1).unwrap_or_default();
    let listed = listed.split("\n\n").next().unwrap_or_default();
    let below = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let below: Vec<String> =
        below.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    let examples = printed.stdout.split("Examples:").nth(1);
    assert!(examples.is_some() || !below.is_empty(), "{name} has no examples");
    assert!(
        examples.unwrap_or_default().lines().all(|line| line.chars().count() < 100),
        "an example of {name} is too long to copy"
    );
    below
}

#[test]
fn every_command_has_help_with_examples() {
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(command) = open.pop() {
        seen += 1;
        for name in help(&command).into_iter().filter(|name| name != "help") {
            open.push([command.as_slice(), &[name]].concat());
        }
    }
    assert!(seen > 70, "help lists {seen} commands; some have lost their place");
}
