//! What an earlier boot left: counted at start, never guessed.
//!
//! Nothing is copied or rewritten: a [`crate::Reader`] goes on reading the old segments until they
//! are shipped and released. Start only removes what holds nothing, and gives back the unused ends.

use std::{fs::File, os::unix::fs::MetadataExt, path::Path};

use rustix::fs::FallocateFlags;

use crate::{
    catalog::{Catalog, Lane, Segment},
    error::JournalError,
    folder::{self, LaneKey},
    frame::SEAL_BYTES,
    header::{self, HEADER_BYTES},
    lane_reader::{self, LaneFiles, LaneReader},
    name::SegmentName,
    record::StoredRecord,
    segment_reader::{SegmentReader, Step},
    watermarks::Watermarks,
};

/// What earlier boots left in the folder that has not been released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments with something in them.
    pub segments: u64,
    /// Whole records that wait to be shipped.
    pub records: u64,
    /// Ends of segments with a record that was never whole. The process died while writing it, so
    /// it was never acknowledged.
    pub torn_records: u64,
    /// Records that were appended and are gone (power cut, damage), counted from gaps in the
    /// positions. The same losses appear as [`crate::Batch::lost`]; this one is for the log.
    pub lost_records: u64,
}

/// How the readable part of a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the mark of a segment that was completed.
    Sealed,
    /// With zeros: nothing more was written.
    Open,
    /// With bytes that are no record.
    Torn,
}

/// What one segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The name in its header; `None` when that is broken, and then nothing else is read.
    pub name: Option<SegmentName>,
    /// The records up to the first thing that is not one.
    pub records: Vec<StoredRecord>,
    /// What came then.
    pub end: End,
}

/// Reads the bytes of a segment. Pure: any bytes may be given, and give an answer.
#[must_use]
pub fn recover(bytes: &[u8]) -> Recovered {
    let nothing = |name| Recovered { name, records: Vec::new(), end: End::Torn };
    let Some(name) = header::decode(bytes).name else {
        return nothing(None);
    };
    let Ok(mut segment) = SegmentReader::open(bytes, name) else {
        return nothing(Some(name));
    };
    if segment.header().foreign_format.is_some() {
        return nothing(Some(name));
    }
    let mut records = Vec::new();
    let end = loop {
        match segment.step(&mut |record| records.push(record.to_stored())) {
            Ok(Step::Record { .. }) => {}
            Ok(Step::Seal) => break End::Sealed,
            Ok(Step::Zero) if segment.is_clean_behind().unwrap_or(false) => break End::Open,
            Ok(Step::Zero | Step::Bad) | Err(_) => break End::Torn,
        }
    };
    Recovered { name: Some(name), records, end }
}

/// Takes the segments of earlier boots into the catalog.
pub(crate) fn recover_folder(
    dir: &Path,
    watermarks: &Watermarks,
    catalog: &mut Catalog,
) -> Result<Recovery, JournalError> {
    let mut recovery = Recovery::default();
    for (key, indexes) in folder::segments(dir)? {
        let indexes = remove_unused(dir, key, indexes)?;
        let lane = recover_lane(dir, key, &indexes, (watermarks, &mut recovery))?;
        if lane.end.is_some_and(|end| end <= watermarks.of(key)) {
            for segment in lane.segments {
                folder::remove_segment(dir, segment.name)?;
            }
        } else {
            recovery.segments += lane.segments.len() as u64;
            catalog.adopt(key, lane);
        }
    }
    Ok(recovery)
}

/// Removes segments that were made ready and never used.
fn remove_unused(dir: &Path, key: LaneKey, mut indexes: Vec<u32>) -> Result<Vec<u32>, JournalError> {
    while let Some(index) = indexes.last() {
        let name = lane_reader::name(key, *index);
        let Some(mut segment) = lane_reader::open(dir, name)? else { break };
        let path = || dir.join(name.to_string());
        let first = segment.first().map_err(JournalError::io("read", path()))?;
        if first.is_some() || !segment.is_clean_behind().map_err(JournalError::io("read", path()))? {
            break;
        }
        folder::remove_segment(dir, name)?;
        indexes.pop();
    }
    Ok(indexes)
}

fn recover_lane(
    dir: &Path,
    key: LaneKey,
    indexes: &[u32],
    (watermarks, recovery): (&Watermarks, &mut Recovery),
) -> Result<Lane, JournalError> {
    let files = LaneFiles { dir, indexes, live: false };
    let mut walk = LaneReader::new(key, watermarks.of(key));
    loop {
        let stretch = walk.advance(files, usize::MAX, &mut |_| {})?;
        recovery.records += stretch.to - stretch.from;
        recovery.torn_records += stretch.torn;
        recovery.lost_records += stretch.lost;
        if stretch.finished {
            break;
        }
    }
    let end = walk.position();
    if let Some((index, last)) = walk.into_segment() {
        give_back_unused_end(&dir.join(lane_reader::name(key, index).to_string()), last, end);
    }
    let mut lane = Lane { end: Some(end), ..Lane::default() };
    for index in indexes {
        let name = lane_reader::name(key, *index);
        let Some(mut segment) = lane_reader::open(dir, name)? else { continue };
        let path = || dir.join(name.to_string());
        let first = segment.first().map_err(JournalError::io("read", path()))?;
        let status = segment.source().metadata().map_err(JournalError::io("inspect", path()))?;
        recovery.torn_records += u64::from(first.is_none());
        lane.segments.push_back(Segment {
            name,
            bytes: status.blocks() * 512,
            // One whose first position is unknown stays until the whole lane is shipped.
            first: first.unwrap_or(u64::MAX),
            mapping: None,
            flushed: 0,
        });
    }
    Ok(lane)
}

/// Gives the space behind the last record back to the file system, so that a process that keeps
/// dying does not fill the disk with empty segments. The size of the file stays: a reader that
/// holds it sees zeros, as before. Where records are missing, everything is left for inspection.
fn give_back_unused_end(path: &Path, mut segment: SegmentReader<File>, end: u64) {
    let is_whole = segment.header().next.is_some_and(|next| next <= end)
        && match segment.step(&mut |_| {}) {
            Ok(Step::Seal) => true,
            Ok(Step::Zero) => segment.is_clean_behind().unwrap_or(false),
            _ => false,
        };
    let from = (segment.at() + SEAL_BYTES as u64).next_multiple_of(HEADER_BYTES as u64);
    let length = segment.source().metadata().map_or(0, |status| status.len());
    if is_whole && length > from {
        // A file system that cannot do this keeps the space until the segment is released.
        let _kept = File::options().write(true).open(path).map(|file| {
            let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(&file, mode, from, length - from)
        });
    }
}
