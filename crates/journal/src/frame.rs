//! The envelope of a record in a segment.
//!
//! ```text
//! 0   4 length of the frame in bytes, a multiple of 8   ┐ one aligned word, stored last:
//! 4   4 CRC32C of length, position and record           ┘ zero until the frame is whole
//! 8   8 position on the boot and lane
//! 16  … the record, padded with zeros
//! ```
//!
//! The checksum starts from a seed made of the segment's name, so a frame reads only where it was
//! written. A frame without a record is the *seal*: it says that the segment is complete and which
//! position comes next. Reading never searches for the next good frame behind a bad one: paths and
//! User-Agents come from outside and could hold a frame that somebody forged.

use crate::{checksum, encoding::RECORD_BYTES_MAX, header::FORMAT, name::SegmentName};

/// Length word, checksum and position.
pub(crate) const FRAME_HEAD_BYTES: usize = 16;
/// The part of the head that is published last.
pub(crate) const WORD_BYTES: usize = 8;
/// The largest frame: what a ticket holds room for.
pub(crate) const FRAME_BYTES_MAX: usize = FRAME_HEAD_BYTES + RECORD_BYTES_MAX;
/// Room that is kept at the end of every segment for its seal.
pub(crate) const SEAL_BYTES: usize = FRAME_HEAD_BYTES;

/// What lies at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A whole frame of `bytes` bytes; the record follows its head.
    Record { position: u64, bytes: usize },
    /// The segment is complete; `position` comes next.
    Seal { position: u64 },
    /// Nothing was published here.
    Zero,
    /// The frame may go on behind these bytes.
    Short,
    /// Something is here that no writer has written like this.
    Bad,
}

/// Where every checksum of a segment starts.
pub(crate) fn seed(name: SegmentName) -> u32 {
    let mut identity = [0; 18];
    identity[0..4].copy_from_slice(&FORMAT.to_le_bytes());
    identity[4..12].copy_from_slice(&name.boot.to_le_bytes());
    identity[12..14].copy_from_slice(&name.lane.to_le_bytes());
    identity[14..18].copy_from_slice(&name.index.to_le_bytes());
    crc32c::crc32c(&identity)
}

/// The word that publishes a frame; `rest` is the frame from its position on.
#[inline]
pub(crate) fn word(seed: u32, rest: &[u8]) -> u64 {
    let length = (rest.len() + WORD_BYTES) as u32;
    let checksum = checksum::append(seed, length, rest);
    u64::from(length) | u64::from(checksum) << 32
}

/// Reads the frame at the start of `bytes`.
pub(crate) fn parse(seed: u32, bytes: &[u8]) -> Frame {
    let Some((published, _)) = bytes.split_first_chunk::<WORD_BYTES>() else {
        return Frame::Short;
    };
    let published = u64::from_le_bytes(*published);
    if published == 0 {
        return Frame::Zero;
    }
    let length = (published & u64::from(u32::MAX)) as usize;
    if !(FRAME_HEAD_BYTES..=FRAME_BYTES_MAX).contains(&length) || !length.is_multiple_of(8) {
        return Frame::Bad;
    }
    let Some(rest) = bytes.get(WORD_BYTES..length) else {
        return Frame::Short;
    };
    let Some((position, record)) = rest.split_first_chunk::<8>() else {
        return Frame::Bad;
    };
    if word(seed, rest) != published {
        return Frame::Bad;
    }
    let position = u64::from_le_bytes(*position);
    if record.is_empty() { Frame::Seal { position } } else { Frame::Record { position, bytes: length } }
}
