//! What the consumer needs of where reports come from: so little that a test can be one, with any fault it likes.

use std::time::Duration;

/// A message with a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Where it lies, in words that stay the same however often it comes: `topic/partition/offset`.
    pub place: String,
    /// The report.
    pub payload: Vec<u8>,
}

/// Where reports come from, in some order, each at least once.
pub trait Reports: Send {
    /// The next messages, at most so many; waits that long for the first. Blocks.
    ///
    /// # Errors
    /// Why there are none, in words for the log. It is opened anew then, and begins behind what was committed.
    fn next(&mut self, most: usize, within: Duration) -> Result<Vec<Incoming>, String>;

    /// Notes that all messages that were given so far need not come again. Blocks.
    ///
    /// # Errors
    /// Why it could not be noted, in words for the log: they come again.
    fn commit(&mut self) -> Result<(), String>;
}

/// Opens them: anew after each fault.
pub trait OpenReports: Send + Sync {
    /// Opens them, behind what was committed last.
    ///
    /// # Errors
    /// Why they cannot be, in words for the log.
    fn open(&self) -> Result<Box<dyn Reports>, String>;
}
