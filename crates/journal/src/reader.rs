//! Reading what was appended: for shipping beside the live writers, and for the command line in
//! another process. Takes no lock and changes nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    error::JournalError,
    folder::{self, LaneKey},
    lane_reader::{LaneFiles, LaneReader},
    record::{LentRecord, StoredRecord},
    watermarks::Watermarks,
};

/// A place in a lane: the next position that is wanted, which is also how many were before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The run of the process.
    pub boot: u64,
    /// The lane of that run.
    pub lane: u16,
    /// The next position.
    pub position: u64,
}

/// An unbroken row of records of one lane: the positions `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The run of the process that wrote them.
    pub boot: u64,
    /// The lane of that run.
    pub lane: u16,
    /// The position of the first record.
    pub from: u64,
    /// The position behind the last record: what to ask for next, and what to release.
    pub to: u64,
    /// How many positions right before `from` are gone (power cut, damage). To be counted as lost
    /// in the same commit as the records, so that it is counted once.
    pub lost: u64,
    /// The records, `to - from` of them; may be none where only a loss is to be reported.
    pub records: Vec<StoredRecord>,
}

/// Which records of one lane were read: the positions `[from, to)`, unbroken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The run of the process that wrote them.
    pub boot: u64,
    /// The lane of that run.
    pub lane: u16,
    /// The position of the first record.
    pub from: u64,
    /// The position behind the last record: what to ask for next, and what to release.
    pub to: u64,
    /// How many positions right before `from` are gone, as in [`Batch::lost`].
    pub lost: u64,
}

impl Batch {
    /// What to ask for next, and what to release once this batch is committed elsewhere.
    #[must_use]
    pub fn next(&self) -> Mark {
        Mark { boot: self.boot, lane: self.lane, position: self.to }
    }
}

/// Reads the journal of a folder.
///
/// Any number of readers may work beside the process that appends, in it or in others. Memory is
/// bounded by one window (64 KiB) a lane and the batches that are asked for.
pub struct Reader {
    dir: PathBuf,
    lanes: BTreeMap<LaneKey, LaneReader>,
}

impl Reader {
    /// Opens a folder for reading.
    ///
    /// # Errors
    /// [`JournalError::Io`] when the folder cannot be read.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, JournalError> {
        let dir = dir.into();
        folder::segments(&dir)?;
        Ok(Self { dir, lanes: BTreeMap::new() })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The next records of every lane that has any, at most `records_max` a lane.
    ///
    /// A lane starts where `from` says (the numbers that are kept where the records go); one that
    /// `from` does not name goes on where this reader stopped, at first where the folder was
    /// released to. An empty answer means that there is nothing more now.
    ///
    /// # Errors
    /// [`JournalError::Io`] when a file cannot be read, [`JournalError::Version`] when a later
    /// version wrote it.
    pub fn batches(&mut self, from: &[Mark], records_max: usize) -> Result<Vec<Batch>, JournalError> {
        let mut batches = Vec::new();
        self.each_lane(from, |lane, (boot, number), files| {
            let mut records = Vec::new();
            let stretch = lane.advance(files, records_max, &mut |record| records.push(record.to_stored()))?;
            if !records.is_empty() || stretch.lost > 0 {
                let (from, to, lost) = (stretch.from, stretch.to, stretch.lost);
                batches.push(Batch { boot, lane: number, from, to, lost, records });
            }
            Ok(())
        })?;
        Ok(batches)
    }

    /// As [`Reader::batches`], but hands each record to `sink` (with its boot and lane) where it
    /// lies, and gives what was read of each lane. Holds no more than a window of 64 KiB a lane.
    ///
    /// When it fails, records were handed over of which no extent tells; the reader stands behind them.
    ///
    /// # Errors
    /// As [`Reader::batches`].
    pub fn read(
        &mut self,
        from: &[Mark],
        records_max: usize,
        mut sink: impl FnMut(u64, u16, &LentRecord<'_>),
    ) -> Result<Vec<Extent>, JournalError> {
        let mut extents = Vec::new();
        self.each_lane(from, |lane, (boot, number), files| {
            let stretch = lane.advance(files, records_max, &mut |record| sink(boot, number, record))?;
            let (from, to, lost) = (stretch.from, stretch.to, stretch.lost);
            if to > from || lost > 0 {
                extents.push(Extent { boot, lane: number, from, to, lost });
            }
            Ok(())
        })?;
        Ok(extents)
    }

    fn each_lane(
        &mut self,
        from: &[Mark],
        mut advance: impl FnMut(&mut LaneReader, LaneKey, LaneFiles<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        // Before the list of segments: a boot that ends after this merely counts as alive once more.
        let live = folder::live_boot(&self.dir);
        let segments = folder::segments(&self.dir)?;
        self.lanes.retain(|lane, _| segments.contains_key(lane));
        let released = if segments.keys().all(|lane| self.lanes.contains_key(lane)) {
            Watermarks::default()
        } else {
            Watermarks::read(&self.dir)
        };
        for (key, indexes) in &segments {
            let lane = self.lanes.entry(*key).or_insert_with(|| LaneReader::new(*key, released.of(*key)));
            let wanted = from.iter().find(|mark| (mark.boot, mark.lane) == *key);
            if let Some(mark) = wanted.filter(|mark| mark.position != lane.position()) {
                *lane = LaneReader::new(*key, mark.position);
            }
            let is_live = live.is_none_or(|live| live == key.0);
            advance(lane, *key, LaneFiles { dir: &self.dir, indexes, live: is_live })?;
        }
        Ok(())
    }
}
