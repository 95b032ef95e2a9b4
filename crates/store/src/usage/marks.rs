//! Words for what a decision's row holds as numbers.

use tollgate_journal::Flags;

use super::DecisionRow;

/// The marks of a record, with their words.
const MARKS: [(Flags, &str); 6] = [
    (Flags::ABORTED, "aborted"),
    (Flags::REPLAYED, "replayed"),
    (Flags::RETRIED, "retried"),
    (Flags::UPGRADED, "upgraded"),
    (Flags::VERIFIED, "verified"),
    (Flags::ESTIMATED, "estimated"),
];

impl DecisionRow {
    /// The cursor of a page that begins behind it.
    #[must_use]
    pub fn cursor(&self) -> String {
        format!("{}.{}", self.at_us, self.id)
    }

    /// Its marks in words: `aborted`, `replayed`, `retried`, `upgraded`, `verified`, `estimated`.
    #[must_use]
    pub fn marks(&self) -> Vec<&'static str> {
        let own = Flags(self.flags);
        MARKS.into_iter().filter(|(flag, _)| own.contains(*flag)).map(|(_, word)| word).collect()
    }
}
