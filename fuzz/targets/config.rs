//! Any text as `tollgate.toml`, as environment variables and as a resource file. It is taken or refused; a refusal
//! says something about a place that exists, and says the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::config::{Sources, parse};
use tollgate::located::{Located, Place};
use tollgate::resource_file;

/// Between the file and the lines `NAME=value` of the environment.
const SEPARATOR: &str = "\n---\n";

fuzz_target!(|text: &str| {
    let (file, environment) = text.split_once(SEPARATOR).unwrap_or((text, ""));
    let pairs = environment.lines().filter_map(|line| line.split_once('='));
    let sources = Sources {
        file: Some(("tollgate.toml".to_owned(), file.to_owned())),
        environment: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..Sources::default()
    };
    if let Err(errors) = parse(&sources) {
        check(file, &errors);
        assert_eq!(parse(&sources).err(), Some(errors), "a second reading says something else");
    }
    if let Err(errors) = resource_file::parse("resources.toml", file) {
        check(file, &errors);
    }
});

fn check(text: &str, errors: &[Located]) {
    assert!(!errors.is_empty(), "refused without a reason");
    for error in errors {
        assert!(!error.problem.is_empty(), "a reason without words: {error:?}");
        if let Place::File { line, column, .. } = &error.place {
            let lines: Vec<&str> = text.split('\n').collect();
            assert!((1..=lines.len()).contains(line), "no line {line}: {error}");
            assert!(
                (1..=lines[line - 1].chars().count() + 1).contains(column),
                "no column {column}: {error}"
            );
        }
    }
}
