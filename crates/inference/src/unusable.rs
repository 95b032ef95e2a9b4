//! Why a file cannot be used, in words.

/// Why a file is no model that can run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub(crate) String);

impl Unusable {
    pub(crate) fn new(problem: impl std::fmt::Display) -> Self {
        Self(problem.to_string())
    }

    /// What tract says, with its causes.
    pub(crate) fn of(what: &str, error: &impl std::fmt::Debug) -> Self {
        let words: String = format!("{error:?}").chars().filter(|sign| *sign != '\u{1b}').take(600).collect();
        let words = words.split("\n\nStack backtrace").next().unwrap_or_default();
        Self(format!("{what}: {}", words.split_whitespace().collect::<Vec<_>>().join(" ")))
    }
}
