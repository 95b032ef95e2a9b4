//! The settings of a journal, and what they may be.

use std::time::Duration;

use crate::{error::JournalError, header::HEADER_BYTES};

/// The settings of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of one segment, a multiple of 4096 from 64 KiB to 1 GiB. Every lane holds two to
    /// three. A lane can promise room to at least `segment_bytes / 2000` requests at once.
    pub segment_bytes: u64,
    /// What all segments together may take on the disk, at least two segments.
    pub bytes_max: u64,
    /// How often what was appended is forced to the disk: what a power cut can cost. 1 ms to 10 s.
    pub flush_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 16 * 1024 * 1024,
            bytes_max: 1024 * 1024 * 1024,
            flush_interval: Duration::from_millis(20),
        }
    }
}

impl Options {
    /// Whether every setting is in its range.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let error = |field, value, remedy| Err(JournalError::Option { field, value, remedy });
        let segment_range = 64 * 1024..=1024 * 1024 * 1024;
        if !segment_range.contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(HEADER_BYTES as u64)
        {
            return error(
                "segment_bytes",
                self.segment_bytes,
                "set a multiple of 4096 from 65536 to 1073741824",
            );
        }
        if self.bytes_max < 2 * self.segment_bytes {
            return error("bytes_max", self.bytes_max, "set at least two times journal.segment_bytes");
        }
        let interval_range = Duration::from_millis(1)..=Duration::from_secs(10);
        if !interval_range.contains(&self.flush_interval) {
            let millis = u64::try_from(self.flush_interval.as_millis()).unwrap_or(u64::MAX);
            return error("flush_interval_ms", millis, "set 1 to 10000");
        }
        Ok(())
    }
}
