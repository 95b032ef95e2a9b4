//! Bringing what was answered before a command into the database before it is read.
//!
//! Usage records are in the local journal before the last byte of an answer leaves, and reach the
//! database within a second, under load within ten. A command that reads usage asks all nodes to
//! ship now, and waits for them; they answer within a few hundred milliseconds. Where the local node
//! does not, because it was killed or hangs, the command ships the local journal itself: shipping is
//! idempotent by range (I13), so it does not matter who is first.

use std::{collections::HashSet, time::Duration};

use tollgate_journal::{Reader, SegmentName};
use tollgate_store::{LiveNode, Store, StoreError};

use crate::{context::Context, data_dir, failure::Failure, print::say};

/// Records of one lane that go into one transaction.
const RECORDS_MAX: usize = 5_000;
/// How long nodes elsewhere are waited for.
const WAIT: Duration = Duration::from_secs(5);
/// How long the local node is waited for before its journal is shipped for it.
const WAIT_LOCAL: Duration = Duration::from_millis(1_500);
/// How often they are looked at.
const WAIT_STEP: Duration = Duration::from_millis(20);
/// A node elsewhere that has said nothing for so long is taken for gone.
const SILENT_US: i64 = 30_000_000;
/// The local node says something every second; silent for so long it is not worth waiting for.
const SILENT_LOCAL_US: i64 = 3_000_000;

/// Waits until everything answered before the call is in the database, from all nodes. What cannot be
/// included is said on stderr.
pub(super) async fn bring_in(context: &Context, store: &Store) -> Result<(), Failure> {
    let until_us = context.now_us();
    let local = ship_local(context, store).await;
    let is_behind = |node: &LiveNode| {
        !local.contains(&node.boot) && node.seen_us > until_us - SILENT_US && node.shipped_until_us < until_us
    };
    let mut behind = count(store, is_behind).await?;
    if behind > 0 {
        store.ask_to_ship().await?;
        behind = wait(store, WAIT, is_behind).await?;
    }
    if behind > 0 {
        say(&format!("warning: {behind} node(s) have not delivered their latest usage; it is not included"));
    }
    Ok(())
}

/// Brings in what the local journal holds: by asking the node that writes it, or by shipping it. Gives
/// the runs whose records it holds. Failing is said on stderr.
pub(super) async fn ship_local(context: &Context, store: &Store) -> HashSet<u64> {
    let dir = context.config.journal_dir();
    if !dir.exists() {
        return HashSet::new();
    }
    let boots = boots(&dir);
    // A database that refuses to be asked refuses the shipment too, and that says why.
    if !matches!(ask_local(store, &boots, context.now_us()).await, Ok(true))
        && let Err(failure) = ship(context, &dir, store).await
    {
        let why = failure.message().unwrap_or_default().replace('\n', " ");
        say(&format!("warning: the latest usage of this node is not included: {why}"));
    }
    boots
}

/// Asks the node that writes the local journal to ship; whether it has done so in time.
async fn ask_local(store: &Store, boots: &HashSet<u64>, until_us: i64) -> Result<bool, StoreError> {
    let is_alive = |node: &LiveNode| boots.contains(&node.boot) && node.seen_us > until_us - SILENT_LOCAL_US;
    if count(store, is_alive).await? == 0 {
        return Ok(false);
    }
    store.ask_to_ship().await?;
    let is_behind = |node: &LiveNode| is_alive(node) && node.shipped_until_us < until_us;
    Ok(wait(store, WAIT_LOCAL, is_behind).await? == 0)
}

/// Waits until no node is so; how many are, when it took too long.
async fn wait(
    store: &Store,
    patience: Duration,
    is_so: impl Fn(&LiveNode) -> bool,
) -> Result<usize, StoreError> {
    let mut waited = Duration::ZERO;
    loop {
        let nodes = count(store, &is_so).await?;
        if nodes == 0 || waited >= patience {
            return Ok(nodes);
        }
        tokio::time::sleep(WAIT_STEP).await;
        waited += WAIT_STEP;
    }
}

async fn count(store: &Store, is_so: impl Fn(&LiveNode) -> bool) -> Result<usize, StoreError> {
    Ok(store.live_nodes().await?.iter().filter(|node| is_so(node)).count())
}

async fn ship(context: &Context, dir: &std::path::Path, store: &Store) -> Result<(), Failure> {
    // What calls held of quotas when it was killed is used once it starts anew, and it asks for its own.
    let node = data_dir::node_id(&context.config.data_dir)?;
    let mut reader = Reader::open(dir)?;
    let mut marks = store.shipped_marks().await?;
    loop {
        let batches = reader.batches(&marks, RECORDS_MAX)?;
        if batches.is_empty() {
            return Ok(());
        }
        store.ship(node, &batches, true).await?;
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
