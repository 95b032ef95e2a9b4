//! Nodes: how far each is, and waiting for all of them.

use std::time::Duration;

use tollgate_core::time::Clock;

use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, run, sql},
};

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeBeat {
    /// The node, a random number of its process or data folder.
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

/// How often waiting looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Store {
    /// Writes down how far a node is. To be called before it serves, after each [`Store::catch_up`]
    /// that changed something, and every second.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn heartbeat(&self, beat: &NodeBeat) -> Result<(), StoreError> {
        let text = "INSERT INTO nodes (node, boot, applied_seq, seen_us, lease_ms, shipped_until_us) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (node) DO UPDATE SET boot = excluded.boot, \
                    applied_seq = excluded.applied_seq, seen_us = excluded.seen_us, \
                    lease_ms = excluded.lease_ms, shipped_until_us = excluded.shipped_until_us";
        let statement = sql(text)
            .bind(beat.node as i64)
            .bind(beat.boot as i64)
            .bind(beat.applied_seq as i64)
            .bind(beat.seen_us)
            .bind(beat.lease_ms as i64)
            .bind(beat.shipped_until_us);
        let mut tx = self.begin_write().await?;
        run(statement, &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Takes a node off the list, at its orderly end.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn retire_node(&self, node: u64) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        run(sql("DELETE FROM nodes WHERE node = $1").bind(node as i64), &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// The nodes that have not retired, dead ones too.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn live_nodes(&self) -> Result<Vec<LiveNode>, StoreError> {
        let mut conn = self.reader().await?;
        let text =
            "SELECT node, boot, applied_seq, seen_us, lease_ms, shipped_until_us FROM nodes ORDER BY node";
        let rows = all(sql(text), &mut conn).await?;
        rows.iter()
            .map(|row| {
                Ok(NodeBeat {
                    node: row.int(0)? as u64,
                    boot: row.int(1)? as u64,
                    applied_seq: row.count(2)?,
                    seen_us: row.int(3)?,
                    lease_ms: row.count(4)?,
                    shipped_until_us: row.int(5)?,
                })
            })
            .collect()
    }

    /// Waits until every node has applied a change, or the longest lease has passed since
    /// `committed_mono_ns`, a moment of `clock` after the commit. No wall clock is asked (I2).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn wait_applied(
        &self,
        seq: u64,
        committed_mono_ns: u64,
        clock: &dyn Clock,
    ) -> Result<Waited, StoreError> {
        loop {
            let behind = self.live_nodes().await?.into_iter().filter(|node| node.applied_seq < seq);
            let Some(lease_ms) = behind.map(|node| node.lease_ms).max() else {
                return Ok(Waited::AllApplied);
            };
            let passed_ns = clock.now().mono_ns.saturating_sub(committed_mono_ns);
            if passed_ns >= lease_ms.saturating_mul(1_000_000) {
                return Ok(Waited::LeaseElapsed);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks every node to ship, and waits until each has shipped what it answered before a moment;
    /// `false` when `timeout_ms` passed before.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn wait_shipped(&self, until_us: i64, timeout_ms: u64) -> Result<bool, StoreError> {
        let all_shipped = async {
            self.ask_to_ship().await?;
            while self.live_nodes().await?.iter().any(|node| node.shipped_until_us < until_us) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok::<_, StoreError>(())
        };
        match tokio::time::timeout(Duration::from_millis(timeout_ms), all_shipped).await {
            Ok(outcome) => outcome.map(|()| true),
            Err(_) => Ok(false),
        }
    }
}
