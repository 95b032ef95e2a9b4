//! The first page of a segment: what it is, where it starts, how far it got.
//!
//! ```text
//! 0    8 magic "tollgjrn"
//! 8    4 format
//! 12   4 CRC32C of the bytes 16..48
//! 16   8 boot   24 8 lane   32 8 index   40 8 bytes of the segment
//! 64  16 first position and its complement; zero until the segment is in use
//! 128 16 next position and its complement; follows every append
//! ```
//!
//! The two pairs are stored through the mapping, the rest before the segment is handed to a
//! writer. Records are read by the name of the file, so a broken header hides none; it only makes
//! a loss uncountable.

use crate::name::SegmentName;

/// The size of the header; frames start behind it.
pub(crate) const HEADER_BYTES: usize = 4096;
/// The format of segments that this program writes and reads.
pub(crate) const FORMAT: u32 = 1;
/// Where the first position lies.
pub(crate) const FIRST_AT: usize = 64;
/// Where the next position lies.
pub(crate) const NEXT_AT: usize = 128;
/// How much of the page says anything.
pub(crate) const MEANINGFUL_BYTES: usize = 144;

const MAGIC: [u8; 8] = *b"tollgjrn";

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The segment it was written for; `None` when it is broken.
    pub(crate) name: Option<SegmentName>,
    /// Another format than ours, in a header that is whole.
    pub(crate) foreign_format: Option<u32>,
    /// The first position; `None` while the segment is a spare.
    pub(crate) first: Option<u64>,
    /// A position that had been reached, at most one behind.
    pub(crate) next: Option<u64>,
}

/// The header of a new segment, up to [`MEANINGFUL_BYTES`].
pub(crate) fn encode(name: SegmentName, segment_bytes: u64) -> [u8; MEANINGFUL_BYTES] {
    let mut page = [0; MEANINGFUL_BYTES];
    page[0..8].copy_from_slice(&MAGIC);
    page[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    page[16..24].copy_from_slice(&name.boot.to_le_bytes());
    page[24..32].copy_from_slice(&u64::from(name.lane).to_le_bytes());
    page[32..40].copy_from_slice(&u64::from(name.index).to_le_bytes());
    page[40..48].copy_from_slice(&segment_bytes.to_le_bytes());
    let checksum = crc32c::crc32c(&page[16..48]);
    page[12..16].copy_from_slice(&checksum.to_le_bytes());
    page
}

/// Reads a header; whatever of it is broken is `None`.
pub(crate) fn decode(page: &[u8]) -> Header {
    let number =
        |at: usize| page.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u64::from_le_bytes(*b));
    let half = |at: usize| page.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_le_bytes(*b));
    let sound = page.starts_with(&MAGIC)
        && page.get(16..48).map(crc32c::crc32c).is_some_and(|checksum| Some(checksum) == half(12));
    let name = || {
        Some(SegmentName {
            boot: number(16)?,
            lane: u16::try_from(number(24)?).ok()?,
            index: u32::try_from(number(32)?).ok()?,
        })
    };
    let pair = |at: usize| Some((number(at)?, !number(at + 8)?));
    Header {
        name: name().filter(|_| sound),
        foreign_format: half(8).filter(|format| sound && *format != FORMAT),
        first: pair(FIRST_AT).filter(|(value, check)| value == check).map(|(value, _)| value),
        // The value is stored before its complement, so a crash leaves it one ahead.
        next: pair(NEXT_AT)
            .filter(|(value, check)| value == check || *value == check.wrapping_add(1))
            .map(|(_, check)| check),
    }
}
