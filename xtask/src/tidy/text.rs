//! Rules about what a file is made of: its size, its opening page, debts left in comments, `unsafe`, and names that must not be
//! in a public repository. Forbidden words are put together from pieces, so that this file does not hold them.

use super::source::{Rust, Tree};
use super::{Finding, Weight};

/// The one room that maps files into memory.
const UNSAFE_ROOM: &str = "journal";

/// Words that mark work left undone.
const DEBTS: [[&str; 2]; 3] = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]];

/// Hosts of package registries and folders of somebody's machine.
const FORBIDDEN: [[&str; 2]; 11] = [
    ["static.crates", ".io"],
    ["index.crates", ".io"],
    ["py", "pi.org"],
    ["python", "hosted"],
    ["registry.npm", "js"],
    ["deb.deb", "ian"],
    ["security.deb", "ian"],
    ["/wo", "rk/"],
    ["/ro", "ot/"],
    ["/fa", "rm/"],
    ["/tmp/tar", "get"],
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.rust {
        if !opens_with_a_page(&file.text) {
            let remedy = "open with `//!`: what lives here, what does not, which invariant it keeps";
            findings.push(Finding::fault(&file.path, "no module documentation", remedy));
        }
        findings.extend(lint_switched_off(file));
        findings.extend(words(&file.path, &file.text));
    }
    for (path, text) in tree.other.iter().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        findings.extend(words(path, text));
    }
    findings.extend(tree.large.iter().map(|(path, bytes)| {
        let remedy = "take it out of the history: what is needed is made or installed on demand";
        Finding::fault(path, format!("{} KiB in one file", bytes / 1024), remedy)
    }));
    findings
}

fn opens_with_a_page(text: &str) -> bool {
    text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"))
}

fn words(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = || format!("{path}:{}", index + 1);
        if let Some(word) = FORBIDDEN.iter().map(|pieces| pieces.concat()).find(|word| line.contains(word)) {
            let what = format!("names `{word}`");
            findings.push(Finding::fault(
                place(),
                what,
                "take it out: it means nothing to a reader elsewhere",
            ));
        }
        if let Some(word) = DEBTS.iter().map(|pieces| pieces.concat()).find(|word| has_word(line, word)) {
            findings.push(Finding::fault(place(), format!("`{word}`"), "do it now or file it as an issue"));
        }
    }
    findings
}

/// Whether the word stands alone in the line, not inside another word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let inside =
            |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        !inside(before) && !inside(after)
    })
}

/// The lint refuses `unsafe` already; this refuses switching the lint off.
fn lint_switched_off(file: &Rust) -> Vec<Finding> {
    if file.room() == UNSAFE_ROOM || file.room() == "fuzz" {
        return Vec::new();
    }
    let lint = ["unsafe", "_code"].concat();
    let lines = file.text.lines().enumerate();
    let found = lines.filter(|(_, line)| line.contains(&lint) && !line.trim_start().starts_with("//"));
    found
        .map(|(index, _)| Finding {
            weight: Weight::Fault,
            place: format!("{}:{}", file.path, index + 1),
            what: "allows unsafe code".to_owned(),
            remedy: "only the journal maps memory; use a crate that has proved its unsafe parts",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debts_are_found_as_words_only() {
        let word = DEBTS[0].concat();
        assert_eq!(words("a", &format!("// {word}: later")).len(), 1);
        assert_eq!(words("a", &format!("fn MY{word}S() {{}}")).len(), 0);
    }

    #[test]
    fn hosts_and_machine_paths_are_found() {
        for pieces in FORBIDDEN {
            assert_eq!(words("a", &format!("see {}x", pieces.concat())).len(), 1, "{pieces:?}");
        }
    }

    #[test]
    fn a_file_opens_with_a_page() {
        assert!(opens_with_a_page("\n//! What lives here.\n"));
        assert!(!opens_with_a_page("// A remark.\n//! Too late.\n"));
    }
}
