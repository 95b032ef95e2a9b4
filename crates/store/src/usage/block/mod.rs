//! Some thousand decisions of one lane in one row, packed by column: half a hundred bytes a decision
//! instead of two hundred and three indexes.
//!
//! # What lies in a block
//!
//! Version byte 1, the number of decisions in four bytes, then the sections of [`Section`] in their
//! order, each behind its length in four bytes. All numbers are little-endian; `n` is a number in
//! few bytes (`bytes`); how a column of a dictionary's numbers lies says `dictionary`.
//!
//! | section | holds |
//! | --- | --- |
//! | times, numbers | steps from one decision to the next, the first from 0 |
//! | ids | 8 bytes each: consumers, projects, tenants, policies, services |
//! | whos | a row for each holder: key (8 bytes), consumer (`n`, a place in ids), 1 and `n` each of project, tenant, policy (places in ids) and generation, or 0 when those are as in the row before |
//! | whats | a row for each kind of outcome: code, method, `n` each of service (place in ids), status, marks, units, checks passed, checks configured |
//! | who, what | for each decision, the number of its row in whos and whats |
//! | sizes | `n` each of latency, upstream latency, bytes in, bytes out |
//! | addresses, agents, paths, details | texts: `n` bytes shared with the text before, `n` bytes more, those; an IPv4 address is 4 bytes |
//! | address, agent, path, detail | for each decision, the number of its text |
//!
//! Asking whether a decision fits reads whos, whats, their columns and the times; the rest is only
//! read of decisions that are shown.

mod build;
mod bytes;
mod dictionary;
mod filter;
mod open;

pub(super) use build::{Builder, Packed};
pub(super) use filter::{Kind, mark, may_hold};
pub(super) use open::{Block, Found, Unpacked, Wanted};

/// The most decisions of a block: few enough that the one that is wanted is soon found in it.
pub(super) const RECORDS_MAX: usize = 4096;
/// The most bytes of texts in a block; what comes over it still fits, so it may pass by one record.
const TEXT_BYTES_MAX: usize = 192 * 1024;

const VERSION: u8 = 1;

/// The sections of a block, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Times,
    Numbers,
    Ids,
    Whos,
    Whats,
    Who,
    What,
    Sizes,
    Addresses,
    Address,
    Agents,
    Agent,
    Paths,
    Path,
    Details,
    Detail,
}

const SECTIONS: usize = Section::Detail as usize + 1;

/// The bit of an outcome in a block's `codes`.
pub(super) fn code_bit(code: u8) -> i64 {
    1i64 << code.min(63)
}

#[cfg(test)]
mod tests;
