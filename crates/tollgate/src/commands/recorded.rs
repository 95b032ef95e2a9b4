//! Bringing what was answered before a command into the database before it is read.
//!
//! Usage records are in the local journal before the last byte of an answer leaves, and reach the
//! database some 200 ms later. A command that reads usage ships the local journal itself:
//! shipping is idempotent by range (I13), so it does not matter who is first, and a node that was
//! killed is counted without being started again. Nodes elsewhere are waited for.

use std::{collections::HashSet, time::Duration};

use tollgate_journal::{Reader, SegmentName};
use tollgate_store::Store;

use crate::{context::Context, failure::Failure, print::say};

/// Records of one lane that go into one transaction.
const RECORDS_MAX: usize = 5_000;
/// How long nodes elsewhere are waited for.
const WAIT: Duration = Duration::from_secs(5);
/// How often they are asked.
const WAIT_STEP: Duration = Duration::from_millis(50);
/// A node that has said nothing for so long is taken for gone.
const SILENT_US: i64 = 30_000_000;

/// Ships the local journal and waits for nodes elsewhere, until everything answered before the
/// call is in the database. What cannot be included is said on stderr.
pub(super) async fn bring_in(context: &Context, store: &Store) -> Result<(), Failure> {
    let until_us = context.now_us();
    let local = ship_local(context, store).await;
    let mut waited = Duration::ZERO;
    loop {
        let nodes = store.live_nodes().await?;
        let behind = nodes
            .iter()
            .filter(|node| !local.contains(&node.boot))
            .filter(|node| node.seen_us > until_us - SILENT_US && node.shipped_until_us < until_us)
            .count();
        if behind == 0 {
            return Ok(());
        }
        if waited >= WAIT {
            say(&format!(
                "warning: {behind} node(s) have not delivered their latest usage; it is not included"
            ));
            return Ok(());
        }
        tokio::time::sleep(WAIT_STEP).await;
        waited += WAIT_STEP;
    }
}

/// Ships the local journal; gives the runs whose records it holds. Failing is said on stderr.
pub(super) async fn ship_local(context: &Context, store: &Store) -> HashSet<u64> {
    let dir = context.config.journal_dir();
    if !dir.exists() {
        return HashSet::new();
    }
    let boots = boots(&dir);
    if let Err(failure) = ship(&dir, store).await {
        let why = failure.message().unwrap_or_default().replace('\n', " ");
        say(&format!("warning: the latest usage of this node is not included: {why}"));
    }
    boots
}

async fn ship(dir: &std::path::Path, store: &Store) -> Result<(), Failure> {
    let mut reader = Reader::open(dir)?;
    let mut marks = store.shipped_marks().await?;
    loop {
        let batches = reader.batches(&marks, RECORDS_MAX)?;
        if batches.is_empty() {
            return Ok(());
        }
        store.ship(&batches, true).await?;
        // A lane that gave less than it might is at its end; what is appended from now on was
        // answered after the call.
        if batches.iter().all(|batch| batch.records.len() < RECORDS_MAX) {
            return Ok(());
        }
        marks.clear();
    }
}

/// The runs that have segments in a journal folder, and the one that holds it.
fn boots(dir: &std::path::Path) -> HashSet<u64> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let segments =
        entries.filter_map(|entry| SegmentName::parse(entry.file_name().to_str()?)).map(|name| name.boot);
    segments.collect()
}
