//! Shipping: exactly what is not released is offered again, over any number of restarts (I13).

use std::collections::HashSet;

use tollgate_journal::{Mark, Reader};

use crate::support::{SMALL, append_next, check, open, open_with, read_all, segment_files, wait_for};

#[test]
fn released_segments_vanish_and_a_restart_goes_on_at_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), 1);
    let writer = journal.writer(0).unwrap();
    (0..1_000).for_each(|_| {
        append_next(&writer);
    });
    assert!(segment_files(dir.path()).len() >= 4);
    journal.release(&[Mark { boot: 1, lane: 0, position: 700 }]).unwrap();
    assert!(!segment_files(dir.path()).contains(&"0000000000000001-0000-00000000.seg".to_owned()));
    assert_eq!(read_all(dir.path(), &[]).0.first().unwrap().0.position, 700);
    // A mark never moves back.
    journal.release(&[Mark { boot: 1, lane: 0, position: 10 }]).unwrap();
    drop((writer, journal));

    let (journal, recovery) = open_with(dir.path(), 2, SMALL).unwrap();
    assert_eq!((recovery.records, recovery.lost_records, recovery.torn_records), (300, 0, 0));
    let writer = journal.writer(0).unwrap();
    append_next(&writer);
    let (records, lost) = read_all(dir.path(), &[]);
    assert_eq!(lost, 0);
    let of_first_boot = records.iter().filter(|(mark, _)| mark.boot == 1).map(|(mark, _)| mark.position);
    assert!(of_first_boot.eq(700..1_000));
    assert_eq!(records.len(), 301);
    journal.release(&[Mark { boot: 1, lane: 0, position: 1_000 }]).unwrap();
    assert!(segment_files(dir.path()).iter().all(|name| name.starts_with("0000000000000002")));
}

#[test]
fn whatever_the_restarts_every_record_is_committed_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut committed: Vec<Mark> = Vec::new();
    let mut seen = HashSet::new();
    let mut appended = 0;
    for boot in 1..=12u64 {
        let (journal, recovery) = open_with(dir.path(), boot, SMALL).unwrap();
        assert_eq!(recovery.lost_records, 0);
        // What the other side has is told first; a release may have been missed.
        journal.release(&committed).unwrap();
        let writers = [journal.writer(0).unwrap(), journal.writer(1).unwrap()];
        for count in 0..150 {
            append_next(&writers[count % 2]);
            appended += 1;
        }
        let mut reader = Reader::open(dir.path()).unwrap();
        for round in 0..3 {
            for batch in reader.batches(&committed, 40).unwrap() {
                for record in &batch.records {
                    check(record);
                    assert!(seen.insert((batch.boot, batch.lane, record.position)));
                }
                committed.retain(|mark| (mark.boot, mark.lane) != (batch.boot, batch.lane));
                committed.push(batch.next());
                // Committed, and the process dies before the release now and then.
                if (boot + round) % 3 != 0 {
                    journal.release(&[batch.next()]).unwrap();
                }
            }
        }
    }
    let (journal, _) = open_with(dir.path(), 99, SMALL).unwrap();
    for (mark, _) in read_all(dir.path(), &committed).0 {
        assert!(seen.insert((mark.boot, mark.lane, mark.position)));
    }
    assert_eq!(seen.len(), appended);
    let ends: Vec<_> =
        (1..=12).flat_map(|boot| [0, 1].map(|lane| Mark { boot, lane, position: 75 })).collect();
    journal.release(&ends).unwrap();
    assert_eq!(segment_files(dir.path()), Vec::<String>::new());
    assert_eq!(read_all(dir.path(), &[]).0, []);
}

#[test]
fn a_process_that_is_stopped_and_started_often_keeps_no_empty_segments() {
    let dir = tempfile::tempdir().unwrap();
    for boot in 1..=20 {
        let journal = open(dir.path(), boot);
        let writer = journal.writer(0).unwrap();
        append_next(&writer);
        wait_for("the spare", || (segment_files(dir.path()).len() as u64 > boot).then_some(()));
    }
    let (journal, recovery) = open_with(dir.path(), 99, SMALL).unwrap();
    assert_eq!((recovery.segments, recovery.records), (20, 20));
    // A segment with one record takes its header and one page, not its whole size.
    assert!(journal.health().bytes <= 20 * 3 * 4096, "{:?}", journal.health());
    assert_eq!(read_all(dir.path(), &[]).0.len(), 20);
}
