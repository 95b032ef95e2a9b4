//! Nodes: how far each is.

use tollgate_core::time::Clock;

use crate::{error::StoreError, open::Store};

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeBeat {
    /// The node, a random number of the process or its data folder.
    pub node: u64,
    /// The run of its process, as in its decision ids.
    pub boot: u64,
    /// The last change in its snapshot.
    pub applied_seq: u64,
    /// Now on its clock, wall microseconds; shown to people, decides nothing.
    pub seen_us: i64,
    /// Its freshness lease, milliseconds.
    pub lease_ms: u64,
    /// Everything it answered before this moment has been shipped.
    pub shipped_until_us: i64,
}

/// A node that has not said good-bye.
pub type LiveNode = NodeBeat;

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Every node has it.
    AllApplied,
    /// The lease of those who do not have it has run out; they refuse everything until they do.
    LeaseElapsed,
}

impl Store {
    /// Writes down how far a node is. To be called before it serves, after each [`Store::catch_up`] that
    /// changed something, and every second.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn heartbeat(&self, beat: &NodeBeat) -> Result<(), StoreError> {
        let _ = (beat,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// Takes a node off the list, at its orderly end.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn retire_node(&self, node: u64) -> Result<(), StoreError> {
        let _ = (node,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// The nodes that have not retired, dead ones too.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn live_nodes(&self) -> Result<Vec<LiveNode>, StoreError> {
        Err(StoreError::corrupt("not built yet"))
    }

    /// Waits until every node has applied a change, or the longest lease has passed since
    /// `committed_mono_ns`, a moment of `clock` after the commit. No wall clock is asked.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn wait_applied(
        &self,
        seq: u64,
        committed_mono_ns: u64,
        clock: &dyn Clock,
    ) -> Result<Waited, StoreError> {
        let _ = (seq, committed_mono_ns, clock.now(),);
        Err(StoreError::corrupt("not built yet"))
    }

    /// Waits until every node has shipped what it answered before a moment; `false` when `timeout_ms`
    /// passed before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn wait_shipped(&self, until_us: i64, timeout_ms: u64) -> Result<bool, StoreError> {
        let _ = (until_us, timeout_ms,);
        Err(StoreError::corrupt("not built yet"))
    }
}
