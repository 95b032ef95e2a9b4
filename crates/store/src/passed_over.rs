//! What of the past of meters cannot be counted, or not whole, in words that name it.

use std::fmt;

/// Something of the past that cannot be counted: it is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOver {
    /// A damaged block of records.
    Records {
        /// The position of the first that was to be counted.
        position: u64,
        /// How many of them.
        records: u64,
    },
    /// A damaged block of raw decisions.
    Decisions {
        /// The run that made them.
        boot: u64,
        /// Its lane.
        lane: u16,
        /// Where the block begins in the journal of the lane.
        position: u64,
        /// How many are in it.
        decisions: u64,
    },
    /// Records of a journal that were never summed up: their requests count, without what they used of models.
    Sums {
        /// The run that made them.
        boot: u64,
        /// Its lane.
        lane: u16,
        /// The position of the first in the journal of the lane.
        from: u64,
        /// The position after the last.
        to: u64,
    },
}

impl PassedOver {
    /// How many events are not counted.
    #[must_use]
    pub const fn damaged(&self) -> u64 {
        match self {
            Self::Records { records, .. } => *records,
            Self::Decisions { decisions, .. } => *decisions,
            Self::Sums { .. } => 0,
        }
    }

    /// How many of these are records.
    pub(crate) const fn records(&self) -> u64 {
        match self {
            Self::Records { records, .. } => *records,
            Self::Decisions { .. } | Self::Sums { .. } => 0,
        }
    }

    /// How many records of a journal were never summed up.
    #[must_use]
    pub const fn unsummed(&self) -> u64 {
        match self {
            Self::Sums { from, to, .. } => to.saturating_sub(*from),
            Self::Records { .. } | Self::Decisions { .. } => 0,
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { position, records } => {
                write!(out, "the block of {records} record(s) at position {position} is damaged")
            }
            Self::Decisions { boot, lane, position, decisions } => write!(
                out,
                "the block of {decisions} decision(s) at position {position} of lane {lane} of run {boot:016x} is \
                 damaged"
            ),
            Self::Sums { boot, lane, from, to } => write!(
                out,
                "positions {from} to {to} of lane {lane} of run {boot:016x} never came out of its journal, and its \
                 requests up to there count without tokens, model and cost"
            ),
        }
    }
}
