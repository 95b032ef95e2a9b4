//! A full journal refuses before work begins, and recovers by itself.

use std::{path::Path, process::Command};

use tollgate_journal::{Journal, Mark, Options, ReserveError, State, Writer};

use crate::support::{SMALL, append, check, open, open_with, read_all, wait_for};

/// Appends until no ticket is given and none will be; returns how many were appended.
fn fill(journal: &Journal, writer: &Writer) -> u64 {
    loop {
        match writer.reserve() {
            Ok(ticket) => {
                let number = ticket.decision().number;
                append(writer, ticket, number);
            }
            Err(error) => {
                assert_eq!(error, ReserveError::Full);
                let is_final = wait_for("a spare or its refusal", || match writer.reserve() {
                    Ok(_) => Some(false),
                    Err(_) => (journal.health().state == State::Full).then_some(true),
                });
                if is_final && writer.reserve().is_err() {
                    return writer.position();
                }
            }
        }
    }
}

fn full_refuses_and_release_reopens(dir: &Path, options: Options) {
    let journal = open_with(dir, 1, options).unwrap().0;
    let writer = journal.writer(0).unwrap();
    let mut shipped = 0;
    for _ in 0..3 {
        let appended = fill(&journal, &writer);
        let health = journal.health();
        assert_eq!(health.state, State::Full);
        assert!(health.bytes <= options.bytes_max && health.cause.is_some(), "{health:?}");
        let (records, lost) = read_all(dir, &[]);
        assert_eq!((records.len() as u64, lost), (appended - shipped, 0));
        records.iter().for_each(|(_, record)| check(record));
        // The segment that is being written stays, so not all room returns.
        shipped = appended;
        journal.release(&[Mark { boot: 1, lane: 0, position: shipped }]).unwrap();
        drop(wait_for("room after the release", || writer.reserve().ok()));
        assert_eq!(wait_for("health", || Some(journal.health())).state, State::Running);
    }
}

#[test]
fn at_the_bound_of_bytes_tickets_are_refused_until_segments_are_released() {
    let dir = tempfile::tempdir().unwrap();
    full_refuses_and_release_reopens(dir.path(), Options { bytes_max: 5 * 64 * 1024, ..SMALL });
}

/// A file system of one megabyte, unmounted when dropped.
struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    fn mount() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(dir.path())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Self(dir))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_tickets_are_refused_until_space_returns() {
    let disk = match TinyDisk::mount() {
        Ok(disk) => disk,
        Err(reason) => {
            println!("skipped: a small file system cannot be mounted here: {reason}");
            return;
        }
    };
    full_refuses_and_release_reopens(disk.0.path(), Options { bytes_max: 1 << 30, ..SMALL });
}

#[test]
fn space_taken_by_others_is_used_once_they_return_it() {
    let disk = match TinyDisk::mount() {
        Ok(disk) => disk,
        Err(reason) => {
            println!("skipped: a small file system cannot be mounted here: {reason}");
            return;
        }
    };
    let dir = disk.0.path().join("journal");
    let journal = open(&dir, 1);
    let writer = journal.writer(0).unwrap();
    let ballast = disk.0.path().join("ballast");
    // As much as there is: the last write fails.
    let _full = std::fs::write(&ballast, vec![1; 1 << 20]);
    let before = fill(&journal, &writer);
    std::fs::remove_file(&ballast).unwrap();
    drop(wait_for("room after the ballast is gone", || writer.reserve().ok()));
    let after = fill(&journal, &writer);
    assert!(after > before);
    assert_eq!(read_all(&dir, &[]).0.len() as u64, after);
}
