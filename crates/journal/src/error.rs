//! What can go wrong, one enum per thing a caller does.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Opening, reading, shipping or releasing failed.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another process appends to this folder.
    #[error("the usage journal in {} is open in another process; stop that process or use another data folder", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// A setting is out of its range.
    #[error("journal.{field} is {value}; {remedy}")]
    Option {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        remedy: &'static str,
    },
    /// The boot id is not 48 bits wide, or its segments are in the folder already.
    #[error("boot id {boot:#x} {problem}; draw another random number below 2^48")]
    Boot {
        /// The id.
        boot: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The lane has had a writer since the journal was opened.
    #[error("lane {lane} of the usage journal already has its writer; give each thread a lane of its own")]
    LaneTaken {
        /// The lane.
        lane: u16,
    },
    /// There is no room for another segment.
    #[error(
        "the usage journal is full: {cause}; free disk space, mend the database that it ships to, or raise journal.bytes_max"
    )]
    Full {
        /// Which bound was hit.
        cause: String,
    },
    /// A flush failed before; nothing is accepted until the process starts again.
    #[error("the disk of the usage journal failed; restart the process once the disk is sound")]
    Failed,
    /// A segment was written by a later version.
    #[error("{} has journal format {found}, this program reads format {known}; start the later version to ship it", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as in "cannot {action} {path}".
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause, for the log.
        source: io::Error,
    },
}

impl JournalError {
    /// Wraps a failure of the operating system.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// No ticket was given; the request must be refused (`overloaded`), since it could not be counted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReserveError {
    /// No room is left, on the disk, under the bound, or beside the tickets that are out. Passes
    /// by itself when segments are released or space returns.
    #[error("the usage journal is full")]
    Full,
    /// A flush failed; lasts until the process starts again.
    #[error("the disk of the usage journal failed")]
    Failed,
    /// The journal was closed.
    #[error("the usage journal is closed")]
    Closed,
}

/// Nothing was appended.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// The ticket came from the writer of another lane, so no room is held here.
    #[error("the ticket was reserved on another lane")]
    ForeignTicket,
    /// The room that the ticket held is gone; cannot happen while tickets are counted right.
    #[error("no room was held for the record")]
    NoRoom,
}
