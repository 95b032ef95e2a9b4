//! Readers beside a live writer, in the same process and in another one.

use std::{io::Read, path::Path};

use tollgate_journal::Reader;

use crate::{
    kill::{orders, spawn_child},
    support::{append_next, check, open, wait_for},
};

const RECORDS: u64 = 5_000;

/// Reads until `count` records of lane 0 came, each once and in order.
fn read_beside(dir: &Path, count: u64) {
    let mut reader = Reader::open(dir).unwrap();
    let mut next = 0;
    wait_for("all records", || {
        for batch in reader.batches(&[], 77).unwrap() {
            assert_eq!((batch.from, batch.lost), (next, 0));
            next = batch.to;
            batch.records.iter().for_each(check);
        }
        (next == count).then_some(())
    });
}

#[test]
#[ignore = "the child of the reader test; does nothing by itself"]
fn child_reads() {
    let Some((dir, count)) = orders() else { return };
    read_beside(Path::new(&dir), count);
    println!("read {count}");
}

#[test]
fn readers_in_this_and_another_process_see_every_record_once_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), 1);
    let writer = journal.writer(0).unwrap();
    let mut child = spawn_child("readers::child_reads", &format!("{} {RECORDS}\n", dir.path().display()));
    std::thread::scope(|scope| {
        scope.spawn(|| read_beside(dir.path(), RECORDS));
        scope.spawn(|| read_beside(dir.path(), RECORDS));
        scope.spawn(move || {
            for _ in 0..RECORDS {
                append_next(&writer);
            }
        });
    });
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(output.contains(&format!("read {RECORDS}")), "{output}");
}

#[test]
fn a_reader_sees_a_record_as_soon_as_it_is_appended() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), 1);
    let writer = journal.writer(0).unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    for position in 0..600 {
        assert_eq!(reader.batches(&[], 10).unwrap(), []);
        append_next(&writer);
        let batches = reader.batches(&[], 10).unwrap();
        assert_eq!(batches.len(), 1);
        assert_eq!((batches[0].from, batches[0].to), (position, position + 1));
    }
}

#[test]
fn a_reader_starts_where_it_is_told_and_goes_back_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), 1);
    let writer = journal.writer(7).unwrap();
    (0..900).for_each(|_| {
        append_next(&writer);
    });
    let mut reader = Reader::open(dir.path()).unwrap();
    for position in [0, 450, 449, 899, 3, 700] {
        let mark = tollgate_journal::Mark { boot: 1, lane: 7, position };
        let batch = reader.batches(&[mark], 5).unwrap().remove(0);
        assert_eq!((batch.from, batch.to), (position, (position + 5).min(900)));
        let again = reader.batches(&[mark], 5).unwrap().remove(0);
        assert_eq!(again, batch, "a commit that failed is offered again");
    }
}
