//! How the rows reach the memory of every node: loaded once, then kept up by following the numbered
//! changes; and how nodes tell each other how far they are.

mod apply;
mod keys;
mod load;
mod nodes;
mod tables;

pub use nodes::{LiveNode, NodeBeat, Waited};

/// How far a snapshot is, and which history that number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The installation; a database made anew has another.
    pub installation: u64,
    /// The last change that is in the snapshot; 0 before the first.
    pub seq: u64,
    /// The hash of that change in the audit chain: two histories that part have different ones.
    pub hash: [u8; 32],
    /// Set when the database turned out to have another history than before (restored from a
    /// backup, failed over with loss) and everything was loaded anew. Keys keep their newest known
    /// state in memory, so nothing revoked comes back (I23); it is for an operator to look.
    pub restored: bool,
}
