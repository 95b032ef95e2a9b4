//! Walking the frames of one segment, from a file that may still grow or from plain bytes.
//!
//! Reads through the file, not through a mapping: a reader needs no unsafe code, and a file that
//! shrinks cannot kill it. What it reads beside a live writer may be torn, but then the checksum
//! does not hold, and it looks again.
//!
//! Invariant: the records of a segment are one unbroken row of positions from its first on; the
//! walk stops at the first thing that does not continue it (T5).

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::{
    encoding,
    frame::{self, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, Frame, WORD_BYTES},
    header::{self, HEADER_BYTES, Header, MEANINGFUL_BYTES},
    name::SegmentName,
    record::LentRecord,
};

/// How much is read at once; many frames.
const WINDOW_BYTES: usize = 64 * 1024;

/// Something bytes can be read from at a place.
pub(crate) trait Source {
    /// As `pread`: the number of bytes read, 0 at the end.
    fn read_at(&self, target: &mut [u8], at: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, target: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, target, at)
    }
}

impl Source for &[u8] {
    fn read_at(&self, target: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let count = rest.len().min(target.len());
        if let (Some(target), Some(rest)) = (target.get_mut(..count), rest.get(..count)) {
            target.copy_from_slice(rest);
        }
        Ok(count)
    }
}

/// What the walk met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A record, which was handed to `take`; the walk stands behind it.
    Record {
        /// Its position.
        position: u64,
    },
    /// The end of a segment that was completed. The walk stays here.
    Seal,
    /// Nothing more yet. The walk stays here and may be asked again.
    Zero,
    /// Something that is no record. The walk stays here.
    Bad,
}

/// A walk over one segment.
pub(crate) struct SegmentReader<S> {
    source: S,
    seed: u32,
    header: Header,
    /// Where the next frame is expected.
    at: u64,
    /// The position it must have, once that is known.
    expected: Option<u64>,
    /// What was read from `base` on.
    window: Vec<u8>,
    base: u64,
}

impl<S: Source> SegmentReader<S> {
    /// Reads the header. `name` is the name that the checksums were made with.
    pub(crate) fn open(source: S, name: SegmentName) -> io::Result<Self> {
        let mut page = vec![0; MEANINGFUL_BYTES];
        let count = read_full(&source, &mut page, 0)?;
        page.truncate(count);
        let header = header::decode(&page);
        Ok(Self {
            source,
            seed: frame::seed(name),
            expected: header.first,
            header,
            at: HEADER_BYTES as u64,
            window: Vec::new(),
            base: HEADER_BYTES as u64,
        })
    }

    /// What the header said when the segment was opened.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The first position of the segment; `None` while it is not in use, or when both the header
    /// and the first frame are broken. To be asked before the first step.
    pub(crate) fn first(&mut self) -> io::Result<Option<u64>> {
        if self.header.first.is_none() && self.expected.is_none() {
            self.refill()?;
            if let Frame::Record { position, .. } = frame::parse(self.seed, self.unread()) {
                self.expected = Some(position);
            }
        }
        Ok(self.header.first.or(self.expected))
    }

    /// Goes one frame on. A record is handed to `take` where it lies; nothing else is.
    pub(crate) fn step(&mut self, take: &mut dyn FnMut(&LentRecord<'_>)) -> io::Result<Step> {
        let mut fresh = false;
        loop {
            let unread = self.unread();
            let frame = frame::parse(self.seed, unread);
            match frame {
                Frame::Record { position, bytes } if self.continues(position) => {
                    if let Some(bytes_of_record) = unread.get(FRAME_HEAD_BYTES..bytes)
                        && let Some(record) = encoding::read(position, bytes_of_record)
                    {
                        take(&record);
                        self.at += bytes as u64;
                        self.expected = Some(position.wrapping_add(1));
                        return Ok(Step::Record { position });
                    }
                }
                Frame::Seal { position } if self.continues(position) => return Ok(Step::Seal),
                _ => {}
            }
            // What was read before may be older than what the writer has published since.
            if fresh {
                return Ok(if matches!(frame, Frame::Zero) { Step::Zero } else { Step::Bad });
            }
            self.refill()?;
            fresh = true;
        }
    }

    /// Where the walk stands, in bytes from the start of the segment.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Whether nothing but zeros lies where the next record would.
    pub(crate) fn is_clean_behind(&self) -> io::Result<bool> {
        let mut bytes = vec![0; FRAME_BYTES_MAX];
        let count = read_full(&self.source, &mut bytes, self.at)?;
        Ok(bytes.iter().take(count).all(|byte| *byte == 0))
    }

    /// What is read from.
    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    fn continues(&self, position: u64) -> bool {
        self.expected.is_none_or(|expected| expected == position)
    }

    fn unread(&self) -> &[u8] {
        usize::try_from(self.at - self.base).ok().and_then(|skip| self.window.get(skip..)).unwrap_or_default()
    }

    /// Reads again from where the walk stands.
    fn refill(&mut self) -> io::Result<()> {
        const { assert!(WINDOW_BYTES >= FRAME_BYTES_MAX + WORD_BYTES) };
        self.window.resize(WINDOW_BYTES, 0);
        let count = read_full(&self.source, &mut self.window, self.at)?;
        self.window.truncate(count);
        self.base = self.at;
        Ok(())
    }
}

/// Reads until `target` is full or the source ends.
fn read_full(source: &impl Source, target: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = target.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
