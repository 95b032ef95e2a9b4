//! Which segments exist, in memory: what must be flushed, what may be removed, how much there is.
//!
//! Never touched by an append; a writer comes here only when it goes on to its next segment.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{folder::LaneKey, mapping::Mapping, name::SegmentName};

/// A segment that is in use or waits to be shipped.
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    /// What it takes on the disk.
    pub(crate) bytes: u64,
    /// The position of its first record.
    pub(crate) first: u64,
    /// Its memory, until all of it is on the disk.
    pub(crate) mapping: Option<Arc<Mapping>>,
    /// Bytes from its start that are on the disk.
    pub(crate) flushed: usize,
}

/// The segments of one lane, oldest first.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) segments: VecDeque<Segment>,
    /// The position behind its last record, once nothing will follow.
    pub(crate) end: Option<u64>,
}

/// All segments of the folder, without the spares.
#[derive(Default)]
pub(crate) struct Catalog {
    lanes: BTreeMap<LaneKey, Lane>,
    /// What all segments take, spares included.
    bytes: u64,
}

impl Catalog {
    /// Counts `bytes` for a new segment unless that would pass `bytes_max`.
    pub(crate) fn claim(&mut self, bytes: u64, bytes_max: u64) -> bool {
        let fits = self.bytes.saturating_add(bytes) <= bytes_max;
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Takes back a claim whose segment is not there.
    pub(crate) fn unclaim(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Takes in a lane of an earlier boot.
    pub(crate) fn adopt(&mut self, key: LaneKey, lane: Lane) {
        self.bytes += lane.segments.iter().map(|segment| segment.bytes).sum::<u64>();
        self.lanes.insert(key, lane);
    }

    /// A writer has begun a segment that was claimed before.
    pub(crate) fn started(&mut self, segment: Segment) {
        let key = (segment.name.boot, segment.name.lane);
        self.lanes.entry(key).or_default().segments.push_back(segment);
    }

    /// A writer is gone; `end` is the position behind its last record.
    pub(crate) fn finished(&mut self, key: LaneKey, end: u64) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.end = Some(end);
        }
    }

    /// Whether the lane has segments.
    pub(crate) fn contains(&self, key: LaneKey) -> bool {
        self.lanes.contains_key(&key)
    }

    /// The segments of a lane that hold only positions below `up_to`. The one that is being
    /// written is never among them.
    pub(crate) fn releasable(&self, key: LaneKey, up_to: u64) -> Vec<SegmentName> {
        let Some(lane) = self.lanes.get(&key) else { return Vec::new() };
        let all = lane.end.is_some_and(|end| end <= up_to);
        let following = lane.segments.iter().skip(1).map(|next| next.first);
        let closed = following.take_while(|first| *first <= up_to).count();
        let count = if all { lane.segments.len() } else { closed };
        lane.segments.iter().take(count).map(|segment| segment.name).collect()
    }

    /// Forgets a segment whose file is gone.
    pub(crate) fn removed(&mut self, name: SegmentName) {
        let key = (name.boot, name.lane);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let before: u64 = lane.segments.iter().map(|segment| segment.bytes).sum();
        lane.segments.retain(|segment| segment.name != name);
        let after: u64 = lane.segments.iter().map(|segment| segment.bytes).sum();
        self.bytes = self.bytes.saturating_sub(before - after);
        if lane.segments.is_empty() {
            self.lanes.remove(&key);
        }
    }

    /// The mapped segments, and how much of each is on the disk.
    pub(crate) fn mapped(&self) -> Vec<(SegmentName, Arc<Mapping>, usize)> {
        let segments = self.lanes.values().flat_map(|lane| &lane.segments);
        segments
            .filter_map(|segment| {
                Some((segment.name, Arc::clone(segment.mapping.as_ref()?), segment.flushed))
            })
            .collect()
    }

    /// Notes that the first `bytes` bytes of a segment are on the disk, and lets go of its memory
    /// when it will not grow.
    pub(crate) fn flushed(&mut self, name: SegmentName, bytes: usize) {
        let Some(lane) = self.lanes.get_mut(&(name.boot, name.lane)) else { return };
        let is_finished = lane.end.is_some();
        let last = lane.segments.back().map(|segment| segment.name);
        if let Some(segment) = lane.segments.iter_mut().find(|segment| segment.name == name) {
            segment.flushed = bytes;
            let grows = last == Some(name) && !is_finished;
            if !grows && segment.mapping.as_ref().is_some_and(|mapping| mapping.written() == bytes) {
                segment.mapping = None;
            }
        }
    }

    /// How many segments are in use or wait, and what all take on the disk.
    pub(crate) fn totals(&self) -> (usize, u64) {
        (self.lanes.values().map(|lane| lane.segments.len()).sum(), self.bytes)
    }
}
