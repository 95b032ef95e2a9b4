//! Damage to a segment of the journal. Any bytes give an answer; and a segment that was whole and then suffered one
//! short burst of damage, or was cut off, gives back records that were written, in order, and never a different one
//! (I12, I14).

#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tollgate_journal::{Entry, Journal, Options, Record, Recovered, recover};

/// Bytes of the segment that hold records; the zeros behind them are of no interest.
const KEPT_BYTES: usize = 24 * 1024;
const RECORDS: u64 = 64;

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode % 2 == 0 {
        // Any bytes: an answer, not a crash. Records keep their order.
        ordered(&recover(rest));
    } else {
        damage(rest);
    }
});

/// CRC-32C finds every burst of at most 32 bits, so after one the rule is exact, not a matter of chance.
fn damage(data: &[u8]) {
    let [high, low, burst @ ..] = data else { return };
    let mut bytes = whole().0.clone();
    let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    if burst.is_empty() {
        bytes.truncate(at);
    }
    for (byte, change) in bytes.iter_mut().skip(at).zip(burst.iter().take(4)) {
        *byte ^= change;
    }
    let recovered = recover(&bytes);
    ordered(&recovered);
    for record in &recovered.records {
        assert!(whole().1.records.contains(record), "a record that was never written: {record:?}");
    }
}

fn ordered(recovered: &Recovered) {
    for pair in recovered.records.windows(2) {
        assert!(pair[0].position < pair[1].position, "positions go back");
    }
}

/// A segment written by the journal itself, and what it holds.
fn whole() -> &'static (Vec<u8>, Recovered) {
    static WHOLE: OnceLock<(Vec<u8>, Recovered)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options {
            segment_bytes: 64 * 1024,
            bytes_max: 1024 * 1024,
            flush_interval: Duration::from_millis(1),
        };
        let (journal, _) = Journal::open(folder.path(), 7, options).expect("open a journal");
        let writer = journal.writer(0).expect("a writer");
        for number in 0..RECORDS {
            let ticket = writer.reserve().expect("room");
            // With an IPv4 address a record is short, with none it is not.
            let v4 = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
            let address = if number % 2 == 0 { v4 } else { [0; 16] };
            let entry = Entry { key: number, status: 200, address, ..Entry::default() };
            writer.append(ticket, &Record { entry, ..Record::default() }).expect("append");
        }
        let segment = std::fs::read_dir(folder.path())
            .expect("read the folder")
            .flatten()
            .filter_map(|entry| std::fs::read(entry.path()).ok())
            .find(|bytes| recover(bytes).records.len() as u64 == RECORDS)
            .expect("one segment holds all records");
        let bytes = segment[..KEPT_BYTES.min(segment.len())].to_vec();
        let recovered = recover(&bytes);
        assert_eq!(recovered.records.len() as u64, RECORDS, "the kept part holds all records");
        (bytes, recovered)
    })
}
