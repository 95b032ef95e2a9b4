//! How far each lane has been shipped: a small text file, replaced as a whole.
//!
//! It only saves work: whoever ships keeps the same numbers where the records go, in the same
//! transaction. So a file that is missing or damaged counts as empty, and records are offered
//! again; a number that is too small is never wrong.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::{disk::Disk, folder::LaneKey};

const FILE_NAME: &str = "watermarks";
const TITLE: &str = "tollgate journal watermarks 1";

/// The next position to ship, by lane.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watermarks(BTreeMap<LaneKey, u64>);

impl Watermarks {
    /// Reads the file of the folder.
    pub(crate) fn read(dir: &Path) -> Self {
        fs::read_to_string(dir.join(FILE_NAME)).ok().and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// The next position to ship of a lane, 0 if nothing is known.
    pub(crate) fn of(&self, lane: LaneKey) -> u64 {
        self.0.get(&lane).copied().unwrap_or(0)
    }

    /// Moves a lane forward, never back.
    pub(crate) fn raise(&mut self, lane: LaneKey, position: u64) {
        let mark = self.0.entry(lane).or_default();
        *mark = position.max(*mark);
    }

    /// Keeps only lanes that still have segments: this bounds the file.
    pub(crate) fn retain(&mut self, has_segments: impl Fn(LaneKey) -> bool) {
        self.0.retain(|lane, _| has_segments(*lane));
    }

    /// Replaces the file; durable when this returns. `folder` is `dir`, opened.
    pub(crate) fn write(&self, dir: &Path, folder: &File, disk: &dyn Disk) -> io::Result<()> {
        let unfinished = dir.join("watermarks.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(self.render().as_bytes())?;
        disk.sync(&file)?;
        fs::rename(&unfinished, dir.join(FILE_NAME))?;
        disk.sync(folder)
    }

    fn render(&self) -> String {
        let mut text = format!("{TITLE}\n");
        for ((boot, lane), position) in &self.0 {
            // Writing to a String cannot fail.
            let _infallible = writeln!(text, "{boot:016x} {lane:04x} {position}");
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        let _infallible = writeln!(text, "{checksum:08x}");
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let (body, checksum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let body = format!("{body}\n");
        if u32::from_str_radix(checksum, 16).ok()? != crc32c::crc32c(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let line = |line: &str| {
            let mut words = line.split(' ');
            let boot = u64::from_str_radix(words.next()?, 16).ok()?;
            let lane = u16::from_str_radix(words.next()?, 16).ok()?;
            Some(((boot, lane), words.next()?.parse().ok()?))
        };
        lines.map(line).collect::<Option<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::Watermarks;

    #[test]
    fn a_damaged_file_counts_as_empty_and_a_mark_never_moves_back() {
        let mut marks = Watermarks::default();
        marks.raise((0xabc, 1), 500);
        marks.raise((0xabc, 1), 400);
        marks.raise((7, 0), 3);
        assert_eq!(marks.of((0xabc, 1)), 500);
        assert_eq!(marks.of((1, 1)), 0);
        let text = marks.render();
        assert_eq!(Watermarks::parse(&text).as_ref(), Some(&marks));
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] ^= 1;
            let read = String::from_utf8(damaged).ok().and_then(|text| Watermarks::parse(&text));
            assert!(read.is_none_or(|read| read == marks), "byte {at} of {text:?}");
            assert_eq!(Watermarks::parse(text.get(..at).unwrap()), None);
        }
    }
}
