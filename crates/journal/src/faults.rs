//! Tests only: a disk that fails on demand (full, failing flush), under the real journal.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    Health, Journal, JournalError, Mark, Options, Record, ReserveError, State, Writer,
    disk::{Disk, SystemDisk},
    mapping::Mapping,
};

#[derive(Default)]
struct FailingDisk {
    is_full: AtomicBool,
    fails_sync: AtomicBool,
    fails_flush: AtomicBool,
}

impl FailingDisk {
    fn refuse(switch: &AtomicBool, kind: io::ErrorKind) -> io::Result<()> {
        if switch.load(Ordering::Acquire) { Err(kind.into()) } else { Ok(()) }
    }
}

impl Disk for FailingDisk {
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        Self::refuse(&self.is_full, io::ErrorKind::StorageFull)?;
        SystemDisk.allocate(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        Self::refuse(&self.fails_sync, io::ErrorKind::Other)?;
        SystemDisk.sync(file)
    }

    fn flush(&self, mapping: &Mapping, bytes: usize) -> io::Result<()> {
        Self::refuse(&self.fails_flush, io::ErrorKind::Other)?;
        SystemDisk.flush(mapping, bytes)
    }
}

const OPTIONS: Options =
    Options { segment_bytes: 64 * 1024, bytes_max: 1 << 30, flush_interval: Duration::from_millis(1) };

fn open(disk: &Arc<FailingDisk>) -> (tempfile::TempDir, Journal, Writer) {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<FailingDisk> = Arc::clone(disk);
    let (journal, _) = Journal::open_on(dir.path().join("new"), 1, OPTIONS, disk).unwrap();
    let writer = journal.writer(0).unwrap();
    (dir, journal, writer)
}

fn wait_for(journal: &Journal, mut condition: impl FnMut(&Health) -> bool) -> Health {
    for _ in 0..10_000 {
        let health = journal.health();
        if condition(&health) {
            return health;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("ten seconds later: {:?}", journal.health());
}

/// Waits until more room is promised than one segment has.
fn wait_for_next_segment(journal: &Journal, writer: &Writer) {
    let mut tickets = Vec::new();
    wait_for(journal, |_| {
        tickets.extend(writer.reserve());
        tickets.len() > 31
    });
}

#[test]
fn after_a_failed_flush_no_ticket_is_given_again() {
    let disk = Arc::new(FailingDisk::default());
    let (_dir, journal, writer) = open(&disk);
    let early = writer.reserve().unwrap();
    writer.append(writer.reserve().unwrap(), &Record::default()).unwrap();
    disk.fails_flush.store(true, Ordering::Release);
    writer.append(writer.reserve().unwrap(), &Record::default()).unwrap();
    let health = wait_for(&journal, |health| health.state == State::Failed);
    assert!(health.cause.unwrap().contains("0000000000000001-0000-00000000.seg"));
    assert_eq!(writer.reserve().err(), Some(ReserveError::Failed));
    // What was admitted before is still written down: the page cache may yet reach the disk.
    assert_eq!(writer.append(early, &Record::default()), Ok(2));
    // A disk that works again does not make the failed flush true.
    disk.fails_flush.store(false, Ordering::Release);
    assert!(matches!(journal.writer(1), Err(JournalError::Failed)));
    assert_eq!(writer.reserve().err(), Some(ReserveError::Failed));
    assert_eq!(journal.health().state, State::Failed);
}

#[test]
fn a_new_segment_that_cannot_be_flushed_fails_the_journal_and_leaves_no_file() {
    let disk = Arc::new(FailingDisk::default());
    let (_dir, journal, _writer) = open(&disk);
    wait_for(&journal, |health| health.bytes == 2 * OPTIONS.segment_bytes);
    disk.fails_sync.store(true, Ordering::Release);
    assert!(matches!(journal.writer(1), Err(JournalError::Failed)));
    assert_eq!(journal.health().state, State::Failed);
    assert_eq!(journal.health().bytes, 2 * OPTIONS.segment_bytes);
    assert!(!journal.dir().join("0000000000000001-0001-00000000.seg").exists());
}

#[test]
fn a_full_disk_refuses_once_the_room_is_used_and_opens_by_itself() {
    let disk = Arc::new(FailingDisk::default());
    let (_dir, journal, writer) = open(&disk);
    wait_for_next_segment(&journal, &writer);
    disk.is_full.store(true, Ordering::Release);
    assert!(matches!(journal.writer(1), Err(JournalError::Full { .. })));
    let mut appended = 0;
    while let Ok(ticket) = writer.reserve() {
        writer.append(ticket, &Record::default()).unwrap();
        appended += 1;
    }
    assert_eq!(writer.reserve().err(), Some(ReserveError::Full));
    // Two segments of frames of 152 bytes, short of what the largest record could have needed.
    assert!(appended > 2 * 61_000 / 152 - 20, "{appended}");
    assert_eq!(journal.health().state, State::Full);
    disk.is_full.store(false, Ordering::Release);
    wait_for(&journal, |health| health.state == State::Running);
    for _ in 0..2 * appended {
        while writer.reserve().map(|ticket| writer.append(ticket, &Record::default()).unwrap()).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(writer.position() >= 3 * appended);
}

#[test]
fn a_watermark_that_cannot_be_written_is_told_and_release_can_be_repeated() {
    let disk = Arc::new(FailingDisk::default());
    let (_dir, journal, writer) = open(&disk);
    writer.append(writer.reserve().unwrap(), &Record::default()).unwrap();
    wait_for(&journal, |health| health.bytes == 2 * OPTIONS.segment_bytes);
    disk.fails_sync.store(true, Ordering::Release);
    let mark = Mark { boot: 1, lane: 0, position: 1 };
    assert!(matches!(journal.release(&[mark]), Err(JournalError::Io { .. })));
    disk.fails_sync.store(false, Ordering::Release);
    journal.release(&[mark]).unwrap();
}
