//! The name of a segment: which boot and lane wrote it, and its place in their row.
//!
//! The name is part of every checksum in the segment, so bytes of another segment that turn up in
//! it, or a file that was renamed, never read as records.

use std::fmt;

/// The largest boot id: 48 bits, so that a decision id packs into 128.
pub const BOOT_MAX: u64 = (1 << 48) - 1;

/// Which segment a file is: `<boot>-<lane>-<index>.seg`, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentName {
    /// The run of the process, at most [`BOOT_MAX`].
    pub boot: u64,
    /// The lane (core) of that run.
    pub lane: u16,
    /// The place in the lane's row of segments, counted from 0 without gaps.
    pub index: u32,
}

impl SegmentName {
    /// Reads a file name; `None` when it is not that of a segment.
    #[must_use]
    pub fn parse(file_name: &str) -> Option<Self> {
        let mut parts = file_name.strip_suffix(".seg")?.split('-');
        let boot = hexadecimal(parts.next()?, 16)?;
        let lane = hexadecimal(parts.next()?, 4)?;
        let index = hexadecimal(parts.next()?, 8)?;
        if parts.next().is_some() || boot > BOOT_MAX {
            return None;
        }
        Some(Self { boot, lane: u16::try_from(lane).ok()?, index: u32::try_from(index).ok()? })
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:04x}-{:08x}.seg", self.boot, self.lane, self.index)
    }
}

/// Reads exactly `digits` lower-case hexadecimal digits, so that one segment has one name.
fn hexadecimal(text: &str, digits: usize) -> Option<u64> {
    let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (plain && text.len() == digits).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::SegmentName;

    #[test]
    fn a_name_is_read_back_and_no_other_spelling_is() {
        let name = SegmentName { boot: 0xabc, lane: 7, index: 0x12 };
        assert_eq!(name.to_string(), "0000000000000abc-0007-00000012.seg");
        assert_eq!(SegmentName::parse(&name.to_string()), Some(name));
        for wrong in [
            "0000000000000ABC-0007-00000012.seg",
            "abc-7-12.seg",
            "0000000000000abc-0007-00000012.seg.tmp",
            "0000000000000abc-0007-00000012-1.seg",
            "0001000000000000-0007-00000012.seg",
            "watermarks",
            "",
        ] {
            assert_eq!(SegmentName::parse(wrong), None, "{wrong}");
        }
    }
}
