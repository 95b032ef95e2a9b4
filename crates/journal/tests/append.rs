//! Tickets, numbers and the order in the file.

use tollgate_journal::{AppendError, BOOT_MAX, Journal, JournalError, Options, ReserveError};

use crate::support::{SMALL, append, append_next, check, open, open_with, read_all, reserve, wait_for};

#[test]
fn records_appended_out_of_order_keep_their_decision_and_get_gap_free_positions() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), 1);
    let writer = journal.writer(3).unwrap();
    let mut tickets: Vec<_> = (0..40).map(|_| reserve(&writer)).collect();
    for (number, ticket) in (0..).zip(&tickets) {
        let id = ticket.decision();
        assert_eq!((id.boot, id.lane, id.number), (1, 3, number));
    }
    let mut expected = Vec::new();
    while !tickets.is_empty() {
        let ticket = tickets.remove((tickets.len() * 7 / 11).min(tickets.len() - 1));
        let number = ticket.decision().number;
        let position = append(&writer, ticket, number);
        assert_eq!(position, expected.len() as u64);
        expected.push(number);
    }
    let (records, lost) = read_all(dir.path(), &[]);
    assert_eq!(records.iter().map(|(_, record)| record.decision).collect::<Vec<_>>(), expected);
    records.iter().for_each(|(_, record)| check(record));
    assert_eq!(lost, 0);
}

#[test]
fn a_dropped_ticket_gives_its_room_back_and_its_number_is_never_used() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_with(dir.path(), 1, Options { bytes_max: 128 * 1024, ..SMALL }).unwrap().0;
    let writer = journal.writer(0).unwrap();
    let mut tickets = Vec::new();
    wait_for("the second segment", || {
        tickets.extend(writer.reserve());
        (tickets.len() > 22).then_some(())
    });
    let error = loop {
        match writer.reserve() {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
    };
    assert_eq!(error, ReserveError::Full);
    // Two segments of 60 KiB of frames, at most 2776 bytes a frame.
    assert_eq!(tickets.len(), 44);
    let dropped = tickets.swap_remove(10).decision().number;
    let ticket = writer.reserve().unwrap();
    assert_eq!(ticket.decision().number, 44);
    assert_eq!(writer.reserve().err(), Some(ReserveError::Full));
    tickets.push(ticket);
    // All that were promised room fit, whatever their size.
    let long = "é".repeat(400);
    let charges = [tollgate_journal::Charge::default(); 16];
    let record = tollgate_journal::Record {
        charges: tollgate_journal::Charges::new(&charges).unwrap(),
        path: &long,
        detail: &long,
        user_agent: &long,
        ..Default::default()
    };
    for ticket in tickets {
        writer.append(ticket, &record).unwrap();
    }
    let (records, _) = read_all(dir.path(), &[]);
    assert_eq!(records.len(), 44);
    assert!(records.iter().all(|(_, record)| record.decision != dropped && record.path.len() == 512));
}

#[test]
fn a_ticket_of_another_lane_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), 1);
    let (one, two) = (journal.writer(1).unwrap(), journal.writer(2).unwrap());
    let ticket = reserve(&one);
    assert_eq!(two.append(ticket, &Default::default()), Err(AppendError::ForeignTicket));
    assert_eq!((one.position(), two.position()), (0, 0));
}

#[test]
fn a_folder_has_one_owner_a_boot_one_life_and_a_lane_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), 5);
    let writer = journal.writer(0).unwrap();
    assert!(matches!(journal.writer(0), Err(JournalError::LaneTaken { lane: 0 })));
    assert!(matches!(Journal::open(dir.path(), 6, SMALL), Err(JournalError::Locked { .. })));
    append_next(&writer);
    drop(journal);
    assert_eq!(writer.reserve().err(), Some(ReserveError::Closed));
    assert!(
        matches!(Journal::open(dir.path(), 6, SMALL), Err(JournalError::Locked { .. })),
        "a writer lives"
    );
    drop(writer);
    assert!(matches!(open_with(dir.path(), 5, SMALL), Err(JournalError::Boot { boot: 5, .. })));
    assert!(matches!(open_with(dir.path(), BOOT_MAX + 1, SMALL), Err(JournalError::Boot { .. })));
    let (_journal, recovery) = open_with(dir.path(), 6, SMALL).unwrap();
    assert_eq!(recovery.records, 1);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let field = |options| match open_with(dir.path(), 1, options) {
        Err(JournalError::Option { field, .. }) => field,
        _ => "accepted",
    };
    assert_eq!(field(Options { segment_bytes: 4096, ..SMALL }), "segment_bytes");
    assert_eq!(field(Options { segment_bytes: 64 * 1024 + 8, ..SMALL }), "segment_bytes");
    assert_eq!(field(Options { bytes_max: 100_000, ..SMALL }), "bytes_max");
    assert_eq!(field(Options { flush_interval: std::time::Duration::ZERO, ..SMALL }), "flush_interval_ms");
    assert_eq!(field(Options::default()), "accepted");
}
