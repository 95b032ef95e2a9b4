//! Small segments, records that can be told apart, and waiting with a deadline.

use std::{path::Path, time::Duration};

use tollgate_journal::{
    Charge, Charges, Entry, Journal, JournalError, Mark, Options, Reader, Record, Recovery, StoredRecord,
    Ticket, Writer,
};

/// Segments so small that every test crosses several.
pub(crate) const SMALL: Options = Options {
    segment_bytes: 64 * 1024,
    bytes_max: 64 * 1024 * 1024,
    flush_interval: Duration::from_millis(2),
};

/// Opens a folder that nobody owns. Another test may be starting a process at this moment, which
/// for an instant holds a copy of every open file, locks included; so `Locked` is asked again.
pub(crate) fn open_with(
    dir: &Path,
    boot: u64,
    options: Options,
) -> Result<(Journal, Recovery), JournalError> {
    wait_for("the lock of the folder", || match Journal::open(dir, boot, options) {
        Err(JournalError::Locked { .. }) => None,
        outcome => Some(outcome),
    })
}

pub(crate) fn open(dir: &Path, boot: u64) -> Journal {
    open_with(dir, boot, SMALL).unwrap().0
}

/// Asks until the answer is there; fails after ten seconds.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..10_000 {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited ten seconds for {what}");
}

/// A ticket, waiting while the maintenance thread makes the next segment.
pub(crate) fn reserve(writer: &Writer) -> Ticket {
    wait_for("room in the journal", || writer.reserve().ok())
}

/// Appends a record that `number` decides all of.
pub(crate) fn append(writer: &Writer, ticket: Ticket, number: u64) -> u64 {
    let charges = charges(number);
    let path = path(number);
    let record = Record {
        entry: entry(number),
        charges: Charges::new(&charges).unwrap(),
        path: &path,
        detail: "",
        user_agent: "curl/8.5.0",
        ..Record::default()
    };
    writer.append(ticket, &record).unwrap()
}

/// Reserves and appends a record that its decision number decides all of.
pub(crate) fn append_next(writer: &Writer) -> u64 {
    let ticket = reserve(writer);
    let number = ticket.decision().number;
    append(writer, ticket, number)
}

/// Some have an IPv4 address and some none, so that both ways in which plain records lie come to be.
pub(crate) fn entry(number: u64) -> Entry {
    let v4 = std::net::Ipv4Addr::from_bits(number as u32).to_ipv6_mapped().octets();
    let address = if number % 4 == 3 { [0; 16] } else { v4 };
    let (at_us, units) = (number as i64, number as u32 % 1000);
    Entry { at_us, key: number ^ 0x5555, units, address, ..Entry::default() }
}

pub(crate) fn path(number: u64) -> String {
    format!("/tiles/{number}/{}", "x".repeat((number % 90) as usize))
}

/// Of a quota that the key has in common with nobody, or of somebody's.
fn charges(number: u64) -> Vec<Charge> {
    let Entry { key, units, .. } = entry(number);
    let (subject, amount) = if number % 5 == 4 { (number, 1) } else { (key, units.into()) };
    (0..number % 3).map(|rule| Charge { rule, subject, amount, ..Charge::default() }).collect()
}

/// Fails unless the record is exactly the one that [`append`] wrote for its decision.
pub(crate) fn check(record: &StoredRecord) {
    assert_eq!(record.entry, entry(record.decision));
    assert_eq!(record.path, path(record.decision));
    assert_eq!(record.charges, charges(record.decision));
    assert_eq!(record.user_agent, "curl/8.5.0");
}

/// Everything a reader gives from `from` on, lane by lane in order; and how much it says is lost.
pub(crate) fn read_all(dir: &Path, from: &[Mark]) -> (Vec<(Mark, StoredRecord)>, u64) {
    let mut reader = Reader::open(dir).unwrap();
    let mut records = Vec::new();
    let mut lost = 0;
    let mut marks = from.to_vec();
    loop {
        let batches = reader.batches(&marks, 100).unwrap();
        marks.clear();
        if batches.is_empty() {
            return (records, lost);
        }
        for batch in batches {
            assert_eq!(batch.to - batch.from, batch.records.len() as u64);
            lost += batch.lost;
            for (position, record) in (batch.from..).zip(batch.records) {
                assert_eq!(record.position, position);
                records.push((Mark { boot: batch.boot, lane: batch.lane, position }, record));
            }
        }
    }
}

/// The names of the segment files.
pub(crate) fn segment_files(dir: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".seg")).collect();
    names.sort();
    names
}
