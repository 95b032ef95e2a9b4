//! What was read of the journals and is not in the database yet: sums, blocks, last uses.
//!
//! An intake knows where each lane stood in the database when it began. It can be written only while
//! the lanes still stand there (I13): if somebody else shipped meanwhile, or a commit had an unknown
//! outcome, it is thrown away and begun anew from where the database is; the journal still has all.
//!
//! Bounds: [`Intake::is_heavy`] says when its sums must be written and [`Intake::has_blocks`] when
//! blocks should be; whoever fills it asks after each read, and reads few records at a time.

use std::{collections::BTreeMap, sync::Arc};

use tollgate_core::meter::set::Tally;
use tollgate_journal::{Batch, Extent, Flags, LentRecord, Mark};

use super::{
    block::{Builder, Packed, Unpacked},
    calls::Calls,
    draws::Draws,
    holds::Holds,
    latency::HISTOGRAMS_MAX,
    model_sums::Models,
    rollup::Sums,
    uses::LastUses,
};
use crate::{
    ledger::Lessee,
    meters::{self, Meters},
};

/// Sums beyond this must be written: they take some 25 MB then, and writing them some 400 ms of SQLite's
/// only write lock, reckoned from 150 ms for 48,000. What is written because it is too many is not written seldom
/// (`pace` of the workers), so there is room for what tens of thousands of keys make in its longest rest: three rows
/// each where they ask models.
const SUMS_MAX: usize = 120_000;
/// Finished blocks beyond this many bytes should be written.
const BLOCK_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What was read and is not written yet.
#[derive(Default)]
pub struct Intake {
    keep: bool,
    /// Where the database stands with all lanes of all runs.
    known: BTreeMap<(u64, u16), Stands>,
    /// Those of which something was read since the last time but one that this was written.
    pub(super) lanes: Vec<Lane>,
    /// The lane of the last record.
    last: usize,
    pub(super) sums: Sums,
    pub(super) draws: Draws,
    pub(super) holds: Holds,
    pub(super) models: Models,
    pub(super) calls: Calls,
    pub(super) uses: LastUses,
    /// The meters of the beginning, and what they counted.
    pub(super) meters: Arc<Meters>,
    pub(super) tally: Tally,
    records: u64,
    block_bytes: usize,
    /// Whose quotas are leased; `None` where the process counts them alone.
    pub(super) lessee: Option<Lessee>,
    /// Whose journals are read.
    pub(super) node: u64,
}

/// One lane of an intake.
pub(super) struct Lane {
    pub(super) boot: u64,
    pub(super) lane: u16,
    /// Where the database stands.
    pub(super) stands: Stands,
    /// Up to where it was read.
    pub(super) read: u64,
    /// How many positions were found to be gone.
    pub(super) lost: u64,
    pub(super) full: Vec<Packed>,
    pub(super) builder: Builder,
}

/// Up to where a lane's records are in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stands {
    /// Summed up.
    pub(super) upto: u64,
    /// In blocks; never behind `upto`.
    pub(super) kept: u64,
}

impl Intake {
    /// Nothing yet; raw decisions are kept when `keep` is set.
    pub(super) fn new(keep: bool) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Says that what the records charge to quotas was leased by this process. It stands for all journals of
    /// its node.
    #[must_use]
    pub fn leased_by(self, lessee: Option<Lessee>) -> Self {
        Self { lessee, ..self }
    }

    /// Says whose journals are read: what calls in flight hold of quotas counts as used when this node starts
    /// anew ([`crate::Store::count_quota_holds`]).
    #[must_use]
    pub fn read_by(self, node: u64) -> Self {
        Self { node, ..self }
    }

    /// Where to read on from: what to hand to the journal's reader at first, and what may be released.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.known
            .iter()
            .map(|((boot, lane), stands)| Mark { boot: *boot, lane: *lane, position: stands.upto })
            .collect()
    }

    /// Adds a record. Those that the database has already are passed over. One that only opens a
    /// reservation is no request and no event.
    pub fn add(&mut self, boot: u64, number: u16, record: &LentRecord<'_>) {
        let is_request = !record.entry.flags.contains(Flags::RESERVATION);
        let keep = self.keep && is_request;
        let index = self.index(boot, number);
        let Some(lane) = self.lanes.get_mut(index) else { return };
        if keep && record.position >= lane.stands.kept {
            if lane.builder.is_full()
                && let Some(block) = lane.builder.finish()
            {
                self.block_bytes += block.size_bytes();
                lane.full.push(block);
            }
            let (entry, path, detail, user_agent) =
                (record.entry, record.path, record.detail, record.user_agent);
            let decision = Unpacked { number: record.decision, entry, path, detail, user_agent };
            lane.builder.add(record.position, &decision);
        }
        if record.position >= lane.stands.upto {
            self.draws.add(boot, number, record);
            self.holds.add(boot, number, record);
            if is_request {
                self.sums.add(record);
                self.models.add(record);
                if !self.meters.is_empty() {
                    meters::shipped(&self.meters, (boot, number), record, &mut self.tally);
                }
                if keep {
                    self.calls.add(boot, number, record);
                }
            }
            self.records += 1;
        }
    }

    /// Notes what was read of a lane; to be called for each extent that the reader gives.
    pub fn reached(&mut self, extent: &Extent) {
        let index = self.index(extent.boot, extent.lane);
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.lost += extent.lost.min(extent.from.saturating_sub(lane.read));
            lane.read = lane.read.max(extent.to);
        }
    }

    /// Records that are summed up and not written.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Whether nothing waits to be written, but perhaps last uses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.lanes.iter().any(Lane::has_more)
    }

    /// Whether the sums, or the last uses, have reached their bound and must be written.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        let sums = self.sums.len() + self.models.len() + self.calls.len() + self.tally.len();
        sums + self.draws.len() + self.holds.len() >= SUMS_MAX
            || self.sums.histograms() >= HISTOGRAMS_MAX
            || self.uses.is_heavy()
    }

    /// Whether finished blocks have reached their bound and should be written.
    #[must_use]
    pub const fn has_blocks(&self) -> bool {
        self.block_bytes >= BLOCK_BYTES_MAX
    }

    /// Whether what calls of models used waits to be written.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.calls.len() > 0
    }

    /// Finishes the block of each lane as it is, for whoever waits for the decisions in it; whether any block
    /// waits to be written then.
    pub fn finish_blocks(&mut self) -> bool {
        for lane in &mut self.lanes {
            if let Some(block) = lane.builder.finish() {
                self.block_bytes += block.size_bytes();
                lane.full.push(block);
            }
        }
        self.lanes.iter().any(|lane| !lane.full.is_empty())
    }

    /// How many secrets have a last use that waits to be written, at most.
    #[must_use]
    pub fn secrets_used(&self) -> usize {
        self.uses.len() + self.sums.secrets()
    }

    /// Throws the rest away and gives the last uses: they may be written whatever becomes of the sums.
    #[must_use]
    pub fn into_last_uses(mut self) -> LastUses {
        self.sums.give_uses(&mut self.uses);
        self.uses
    }

    pub(super) fn with_meters(self, meters: Meters) -> Self {
        Self { meters: Arc::new(meters), ..self }
    }

    pub(super) fn with_uses(self, uses: LastUses) -> Self {
        Self { uses, ..self }
    }

    /// Takes in a lane at the place where the database has it.
    pub(super) fn lane(&mut self, boot: u64, lane: u16, stands: Stands) {
        self.known.insert((boot, lane), stands);
    }

    /// Adds a batch of decoded records.
    pub(super) fn batch(&mut self, batch: &Batch) {
        let Batch { boot, lane, from, to, lost, .. } = *batch;
        for record in &batch.records {
            self.add(boot, lane, &record.lend());
        }
        self.reached(&Extent { boot, lane, from, to, lost });
    }

    /// The blocks are in the database.
    pub(super) fn kept(&mut self) {
        for lane in &mut self.lanes {
            if let Some(last) = lane.full.last() {
                lane.stands.kept = last.ends;
            }
            lane.full.clear();
        }
        self.block_bytes = 0;
    }

    /// All is in the database, the last uses too if `with_uses` says so. Lanes of which nothing came
    /// are let go, with their builders.
    pub(super) fn written(&mut self, with_uses: bool) {
        self.lanes.retain(Lane::has_more);
        for lane in &mut self.lanes {
            lane.stands = lane.reached();
            lane.lost = 0;
            lane.full.clear();
            self.known.insert((lane.boot, lane.lane), lane.stands);
        }
        if with_uses {
            self.uses.clear();
        } else {
            self.sums.give_uses(&mut self.uses);
        }
        self.sums.clear();
        self.draws.clear();
        self.holds.clear();
        self.models.clear();
        self.calls.clear();
        self.tally.clear();
        (self.records, self.block_bytes) = (0, 0);
    }

    #[inline]
    fn index(&mut self, boot: u64, lane: u16) -> usize {
        let is_it = |known: &Lane| known.boot == boot && known.lane == lane;
        if !self.lanes.get(self.last).is_some_and(is_it) {
            self.last = self.lanes.iter().position(is_it).unwrap_or(self.lanes.len());
            if self.last == self.lanes.len() {
                let stands = self.known.get(&(boot, lane)).copied().unwrap_or_default();
                self.lanes.push(Lane::new(boot, lane, stands));
            }
        }
        self.last
    }
}

impl Lane {
    fn new(boot: u64, lane: u16, stands: Stands) -> Self {
        let (full, builder) = (Vec::new(), Builder::default());
        Self { boot, lane, stands, read: stands.upto, lost: 0, full, builder }
    }

    /// Whether the database shall stand elsewhere than it does.
    pub(super) fn has_more(&self) -> bool {
        self.read > self.stands.upto || self.lost > 0
    }

    /// Where the database stands when all of it is written.
    pub(super) fn reached(&self) -> Stands {
        let upto = self.read.max(self.stands.upto);
        Stands { upto, kept: upto.max(self.stands.kept) }
    }
}
