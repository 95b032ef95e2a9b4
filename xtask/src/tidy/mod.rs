//! `cargo xtask tidy`: rules of structure and style that neither the compiler nor clippy knows. It also runs as a
//! test, so `cargo test` alone refuses what breaks them.
//!
//! A rule is a function from the sources to findings. A finding names the file, what is wrong and the remedy.

mod cycles;
mod docs;
mod length;
mod modules;
mod rooms;
mod source;
mod statistics;
mod text;

use std::fmt;
use std::path::Path;

use crate::command::Outcome;
use crate::workspace;

use source::Tree;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Printed; nothing fails.
    Note,
    /// The check fails.
    Fault,
}

/// One broken rule at one place.
#[derive(Debug)]
struct Finding {
    weight: Weight,
    place: String,
    what: String,
    remedy: &'static str,
}

impl Finding {
    fn fault(place: impl Into<String>, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { weight: Weight::Fault, place: place.into(), what: what.into(), remedy }
    }

    fn note(place: impl Into<String>, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { weight: Weight::Note, place: place.into(), what: what.into(), remedy }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.weight == Weight::Fault { "fault" } else { "note " };
        write!(f, "{word} {}: {}; {}", self.place, self.what, self.remedy)
    }
}

/// Checks the whole checkout and prints findings and figures.
pub(crate) fn run() -> Outcome {
    let tree = Tree::read(&workspace::root())?;
    let findings = check(&tree)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    rooms::duplicates(&tree)?.iter().for_each(|line| println!("note  {line}"));
    print!("{}", statistics::of(&tree));
    let faults = findings.iter().filter(|finding| finding.weight == Weight::Fault).count();
    let notes = findings.len() - faults;
    println!("tidy: {faults} faults, {notes} notes");
    if faults == 0 { Ok(()) } else { Err(format!("tidy found {faults} faults").into()) }
}

fn check(tree: &Tree) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    findings.extend(rooms::check(tree)?);
    findings.extend(cycles::check(tree));
    findings.extend(length::check(tree));
    findings.extend(text::check(tree));
    findings.extend(docs::check(tree));
    findings.sort_by(|one, two| (two.weight, &one.place).cmp(&(one.weight, &two.place)));
    Ok(findings)
}

/// A path relative to the root of the checkout, with forward slashes.
fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_tidy() {
        let tree = Tree::read(&workspace::root()).unwrap();
        let findings = check(&tree).unwrap();
        let faults: Vec<String> =
            findings.iter().filter(|one| one.weight == Weight::Fault).map(ToString::to_string).collect();
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    }
}
