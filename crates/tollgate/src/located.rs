//! One thing wrong with what somebody wrote, and the place where it stands.
//!
//! Configuration and resource files collect these and report all of them at once; nothing here
//! reads files.

use std::fmt;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file. Line and column are counted from 1, columns in characters.
    File {
        /// The file's name as it was given.
        name: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable.
    Environment(String),
    /// In a flag of the command line.
    Flag(String),
    /// Nowhere: a default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing wrong, with its place, field, problem and remedy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    /// Where it stands.
    pub place: Place,
    /// The path of the field (`gateway.listen`, `policy[2].services[0]`); empty for a syntax error.
    pub field: String,
    /// The value's problem, and what to write instead.
    pub problem: String,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.place, self.problem)
        } else {
            write!(f, "{}: {}: {}", self.place, self.field, self.problem)
        }
    }
}

/// Finds line and column of a byte in a text.
#[derive(Clone, Debug)]
pub struct Lines {
    name: String,
    /// The byte at which each line begins.
    starts: Vec<usize>,
    text: String,
}

impl Lines {
    /// Indexes a text. `name` is what places are called by.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self {
            name: name.to_owned(),
            starts: std::iter::once(0).chain(breaks).collect(),
            text: text.to_owned(),
        }
    }

    /// The place of a byte; one behind the end counts as the end.
    #[must_use]
    pub fn place(&self, byte: usize) -> Place {
        let byte = byte.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..byte).unwrap_or_default();
        let column = String::from_utf8_lossy(before).chars().count() + 1;
        Place::File { name: self.name.clone(), line, column }
    }
}

/// The candidate that `word` most likely was meant to be; `None` when none is near.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let bound = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, over at most 64 characters of each.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, sign) in a.chars().take(64).enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(&b) {
            left = (diagonal + usize::from(sign != *other)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Lines, Place, nearest};

    #[test]
    fn places_count_from_one_and_in_characters() {
        let lines = Lines::new("f", "ä = 1\nb = 2\n");
        let at = |line, column| Place::File { name: "f".into(), line, column };
        assert_eq!(lines.place(0), at(1, 1));
        assert_eq!(lines.place(3), at(1, 3));
        assert_eq!(lines.place(7), at(2, 1));
        assert_eq!(lines.place(9_999), at(3, 1));
    }

    #[test]
    fn a_mistyped_word_finds_the_one_that_was_meant() {
        let words = ["listen", "threads", "trusted_proxies"];
        assert_eq!(nearest("lisen", words), Some("listen"));
        assert_eq!(nearest("trusted_proxys", words), Some("trusted_proxies"));
        assert_eq!(nearest("zebra", words), None);
    }
}
