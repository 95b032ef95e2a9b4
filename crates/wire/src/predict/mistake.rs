//! What is wrong with inputs: where, what, and what to do.

use std::fmt;

/// The longest piece of what was sent that is shown, in characters.
const SHOWN_MAX: usize = 40;

/// The first thing wrong with inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputMistake {
    /// Where: `inputs.features[3][1]`.
    pub field: String,
    /// The problem and the remedy.
    pub problem: String,
}

impl InputMistake {
    /// Names a place and its problem.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// What `serde_json` says, at a place.
    pub(super) fn of_json(field: impl Into<String>, error: &serde_json::Error) -> Self {
        Self::new(field, error.to_string())
    }
}

impl fmt::Display for InputMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// The beginning of what was sent.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
