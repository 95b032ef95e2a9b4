//! T5: damaged bytes never read as a record that was not written, and what is missing is counted.

use std::{fs, path::Path};

use tollgate_journal::{End, SegmentName, StoredRecord, recover};

use crate::support::{SMALL, append_next, open, open_with, read_all, segment_files};

/// Writes `count` records on lane 0 of boot 1 and closes the journal.
fn write(dir: &Path, count: u64) {
    let journal = open(dir, 1);
    let writer = journal.writer(0).unwrap();
    for _ in 0..count {
        append_next(&writer);
    }
}

/// Where the frames of a segment lie, by the lengths that they carry.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![4096];
    while let Some(length) = starts.last().and_then(|at| bytes.get(*at..*at + 4)) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        if length == 0 {
            break;
        }
        starts.push(starts.last().unwrap() + length);
    }
    starts
}

#[test]
fn every_flipped_bit_leaves_the_records_before_it_and_invents_none() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 9);
    let mut bytes = fs::read(dir.path().join("0000000000000001-0000-00000000.seg")).unwrap();
    let whole = recover(&bytes);
    assert_eq!((whole.records.len(), whole.end), (9, End::Sealed));
    let starts = frame_starts(&bytes);
    assert_eq!(starts.len(), 11, "nine records, the seal, and what follows it");
    let end = starts[10] + 64;
    for at in (0..48).chain(64..80).chain(128..144).chain(4096..end) {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let found = recover(&bytes);
            bytes[at] ^= 1 << bit;
            let intact = match at {
                // What names the segment is checked as a whole.
                0..48 => 0,
                // The pairs only serve counting.
                48..4096 => 9,
                // Every frame that ends before the damage.
                _ => starts.iter().skip(1).take(9).filter(|end| **end <= at).count(),
            };
            assert_eq!(found.records, whole.records[..intact], "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_segment_cut_off_anywhere_keeps_its_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 5);
    let bytes = fs::read(dir.path().join("0000000000000001-0000-00000000.seg")).unwrap();
    let whole = recover(&bytes);
    let starts = frame_starts(&bytes);
    for length in 0..starts[6] + 8 {
        let found = recover(&bytes[..length]);
        let intact =
            if length < 48 { 0 } else { starts.iter().skip(1).take(5).filter(|end| **end <= length).count() };
        assert_eq!(found.records, whole.records[..intact], "length {length}");
    }
}

#[test]
fn a_renamed_segment_gives_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 5);
    let from = SegmentName { boot: 1, lane: 0, index: 0 };
    let to = SegmentName { boot: 1, lane: 1, index: 0 };
    fs::rename(dir.path().join(from.to_string()), dir.path().join(to.to_string())).unwrap();
    let (_journal, recovery) = open_with(dir.path(), 2, SMALL).unwrap();
    assert_eq!(recovery.records, 0);
    assert_eq!(read_all(dir.path(), &[]).0, []);
}

/// Breaks the frame of record `position` and returns what recovery and a reader then find.
fn break_record(position: u64, count: u64) -> (tollgate_journal::Recovery, Vec<StoredRecord>, u64) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), count);
    let mut left = position as usize;
    for name in segment_files(dir.path()) {
        let path = dir.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let records = recover(&bytes).records.len();
        if left < records {
            let at = frame_starts(&bytes)[left] + 40;
            bytes[at] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            break;
        }
        left -= records;
    }
    let (_journal, recovery) = open_with(dir.path(), 2, SMALL).unwrap();
    let (records, lost) = read_all(dir.path(), &[]);
    (recovery, records.into_iter().map(|(_, record)| record).collect(), lost)
}

#[test]
fn records_behind_damage_are_counted_as_lost_and_the_next_segment_goes_on() {
    // About 250 records fit one segment.
    for position in [0, 1, 100, 400, 500, 700, 999] {
        let (recovery, records, lost) = break_record(position, 1000);
        assert!(lost >= 1, "position {position}");
        assert_eq!(records.len() as u64 + lost, 1000, "position {position}");
        assert_eq!(recovery.records, records.len() as u64);
        assert_eq!(recovery.lost_records, lost);
        assert_eq!(recovery.torn_records, 1);
        assert!(records.iter().all(|record| record.position != position));
        assert!(records.iter().take(position as usize).map(|record| record.position).eq(0..position));
        records.iter().for_each(crate::support::check);
    }
}

#[test]
fn a_page_that_never_reached_the_disk_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 100);
    let path = dir.path().join("0000000000000001-0000-00000000.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8192..12288].fill(0);
    fs::write(&path, &bytes).unwrap();
    let intact = frame_starts(&bytes).len();
    let (_journal, recovery) = open_with(dir.path(), 2, SMALL).unwrap();
    assert!((1..100).contains(&recovery.records));
    assert!(recovery.records as usize <= intact);
    assert_eq!(recovery.records + recovery.lost_records, 100);
}

#[test]
fn a_segment_of_a_later_version_stops_the_start_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 3);
    let path = dir.path().join("0000000000000001-0000-00000000.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    fs::write(&path, bytes).unwrap();
    let error = open_with(dir.path(), 2, SMALL).err().unwrap();
    assert!(error.to_string().contains("format 2"), "{error}");
}
