//! Walking the records of one lane across its segments, and counting what is missing.
//!
//! One walk serves shipping, reading from another process, and recovery at start, so that all
//! three agree on what a lane holds and what it lost (I14).
//!
//! What counts as lost: positions between the end of what is readable in a segment and the first
//! position of the next one; and, in a lane that will not grow any more, positions that its last
//! header had reached. Segments missing at the front were released, and are no loss.

use std::{fs::File, path::Path};

use crate::{
    error::JournalError,
    folder::{self, LaneKey},
    header::FORMAT,
    name::SegmentName,
    record::LentRecord,
    segment_reader::{SegmentReader, Step},
};

/// The segments of a lane at one moment.
#[derive(Clone, Copy)]
pub(crate) struct LaneFiles<'a> {
    /// The folder.
    pub(crate) dir: &'a Path,
    /// The indexes of the lane's segments, ascending.
    pub(crate) indexes: &'a [u32],
    /// Whether the lane may still grow.
    pub(crate) live: bool,
}

/// An unbroken row of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The position of the first.
    pub(crate) from: u64,
    /// The position behind the last.
    pub(crate) to: u64,
    /// Positions right before `from` that are gone.
    pub(crate) lost: u64,
    /// Ends of segments met on the way that held more than zeros behind the last record.
    pub(crate) torn: u64,
    /// Nothing will ever follow.
    pub(crate) finished: bool,
}

/// Where a walk over a lane stands.
pub(crate) struct LaneReader {
    lane: LaneKey,
    /// The next position wanted.
    position: u64,
    segment: Option<(u32, SegmentReader<File>)>,
}

impl LaneReader {
    /// A walk that wants `position` next.
    pub(crate) fn new(lane: LaneKey, position: u64) -> Self {
        Self { lane, position, segment: None }
    }

    /// The next position wanted.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The segment the walk stands in, and its index.
    pub(crate) fn into_segment(self) -> Option<(u32, SegmentReader<File>)> {
        self.segment
    }

    /// Hands the next records, at most `records_max` and none behind a gap, to `sink`.
    pub(crate) fn advance(
        &mut self,
        files: LaneFiles<'_>,
        records_max: usize,
        sink: &mut dyn FnMut(&LentRecord<'_>),
    ) -> Result<Stretch, JournalError> {
        self.seek(files)?;
        let mut stretch = Stretch { from: self.position, to: self.position, ..Stretch::default() };
        let mut is_closed = false;
        while stretch.to - stretch.from < records_max as u64 {
            let Some((index, segment)) = &mut self.segment else {
                stretch.finished = !files.live;
                break;
            };
            let index = *index;
            let wanted = self.position;
            let step = segment
                .step(&mut |record| {
                    if record.position >= wanted {
                        sink(record);
                    }
                })
                .map_err(read_error(files, self.lane, index))?;
            if let Step::Record { position } = step {
                if position >= wanted {
                    self.position = position + 1;
                    stretch.to = self.position;
                }
                continue;
            }
            let Some(next) = self.next_started(files, index)? else {
                if !files.live {
                    self.finish(files, index, step, &mut stretch)?;
                }
                break;
            };
            // Only now is it certain that this segment is complete: look at its end once more.
            if !is_closed && step != Step::Seal {
                is_closed = true;
                continue;
            }
            if !self.enter(files, (index, step), next, &mut stretch)? {
                break;
            }
            is_closed = false;
        }
        Ok(stretch)
    }

    /// Leaves segment `index` for the next one. `false` when a gap must begin a new stretch.
    fn enter(
        &mut self,
        files: LaneFiles<'_>,
        (index, step): (u32, Step),
        (next, mut segment): (u32, SegmentReader<File>),
        stretch: &mut Stretch,
    ) -> Result<bool, JournalError> {
        let first = segment.first().map_err(read_error(files, self.lane, next))?.unwrap_or(self.position);
        if first > self.position {
            if stretch.to > stretch.from {
                return Ok(false);
            }
            // Released under our eyes, together with what follows: no loss.
            if folder::open_segment(files.dir, name(self.lane, index))?.is_none() {
                self.segment = None;
                return Ok(false);
            }
        }
        stretch.torn += u64::from(self.is_torn(files, index, step)?);
        self.skip_to(first, stretch);
        self.segment = Some((next, segment));
        Ok(true)
    }

    /// The end of a lane that will not grow: what its header had reached and is not here is lost.
    fn finish(
        &mut self,
        files: LaneFiles<'_>,
        index: u32,
        step: Step,
        stretch: &mut Stretch,
    ) -> Result<(), JournalError> {
        let reached = self.segment.as_ref().and_then(|(_, segment)| segment.header().next).unwrap_or(0);
        if reached > self.position && stretch.to > stretch.from {
            return Ok(());
        }
        stretch.torn += u64::from(self.is_torn(files, index, step)?);
        self.skip_to(reached, stretch);
        stretch.finished = true;
        Ok(())
    }

    fn skip_to(&mut self, position: u64, stretch: &mut Stretch) {
        if position > self.position {
            stretch.lost += position - self.position;
            self.position = position;
            stretch.from = position;
            stretch.to = position;
        }
    }

    fn is_torn(&self, files: LaneFiles<'_>, index: u32, step: Step) -> Result<bool, JournalError> {
        match (step, &self.segment) {
            (Step::Zero | Step::Bad, Some((_, segment))) => {
                segment.is_clean_behind().map(|clean| !clean).map_err(read_error(files, self.lane, index))
            }
            _ => Ok(false),
        }
    }

    /// Finds the segment that holds the wanted position, or the first one behind it.
    fn seek(&mut self, files: LaneFiles<'_>) -> Result<(), JournalError> {
        if self.segment.as_ref().is_some_and(|(index, _)| files.indexes.contains(index)) {
            return Ok(());
        }
        self.segment = None;
        let mut earliest = None;
        for index in files.indexes.iter().rev() {
            if let Some((first, segment)) = self.open_started(files, *index)? {
                earliest = Some((first, *index, segment));
                if first <= self.position {
                    break;
                }
            }
        }
        if let Some((first, index, segment)) = earliest {
            self.position = first.max(self.position);
            self.segment = Some((index, segment));
        }
        Ok(())
    }

    /// The first segment behind `index` that is in use.
    fn next_started(
        &self,
        files: LaneFiles<'_>,
        index: u32,
    ) -> Result<Option<(u32, SegmentReader<File>)>, JournalError> {
        for next in files.indexes.iter().filter(|next| **next > index) {
            if let Some((_, segment)) = self.open_started(files, *next)? {
                return Ok(Some((*next, segment)));
            }
        }
        Ok(None)
    }

    fn open_started(
        &self,
        files: LaneFiles<'_>,
        index: u32,
    ) -> Result<Option<(u64, SegmentReader<File>)>, JournalError> {
        let Some(mut segment) = open(files.dir, name(self.lane, index))? else {
            return Ok(None);
        };
        let first = segment.first().map_err(read_error(files, self.lane, index))?;
        Ok(first.map(|first| (first, segment)))
    }
}

/// Opens a segment and checks its format; `None` when it is gone.
pub(crate) fn open(dir: &Path, name: SegmentName) -> Result<Option<SegmentReader<File>>, JournalError> {
    let path = || dir.join(name.to_string());
    let Some(file) = folder::open_segment(dir, name)? else {
        return Ok(None);
    };
    let segment = SegmentReader::open(file, name).map_err(JournalError::io("read", path()))?;
    match segment.header().foreign_format {
        Some(found) => Err(JournalError::Version { path: path(), found, known: FORMAT }),
        None => Ok(Some(segment)),
    }
}

/// The name of a lane's segment.
pub(crate) fn name((boot, lane): LaneKey, index: u32) -> SegmentName {
    SegmentName { boot, lane, index }
}

/// The path is only put together when there is something to say: this is asked for every record.
fn read_error(
    files: LaneFiles<'_>,
    lane: LaneKey,
    index: u32,
) -> impl FnOnce(std::io::Error) -> JournalError {
    move |source| JournalError::io("read", files.dir.join(name(lane, index).to_string()))(source)
}
