//! What is written is read back, old and new, and nothing else is.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    charge::Charge,
    money::{Draw, Draws, Tokens},
    record::{Charges, StoredRecord},
};

/// The bytes of a record, over others that must not show through.
fn encode(position: u64, decision: u64, record: &Record<'_>) -> Vec<u8> {
    let planned = plan(position, decision, record);
    let mut bytes = vec![0xA5; planned.bytes()];
    planned.write(&mut bytes).unwrap();
    bytes
}

fn decode(position: u64, bytes: &[u8]) -> Option<StoredRecord> {
    read(position, bytes).map(LentRecord::to_stored)
}

fn is_record(bytes: &[u8]) -> bool {
    read(0, bytes).is_some()
}

/// Entries as nearly all are: every number fits version 4.
fn usual_entries() -> impl Strategy<Value = Entry> {
    let numbers = (0..1u64 << 32, 0..1u64 << 32, 0..1u32 << 24, 0..1u32 << 24, 0..1u32 << 10);
    let small = (0..1u16 << 10, 0..1u16 << 6, 0..1u16 << 8, 0..1u8 << 4);
    (entries(), numbers, small).prop_map(|(entry, numbers, (status, generation, flags, method))| {
        let (bytes_in, bytes_out, checks_passed, checks_configured, units) = numbers;
        let [.., a, b, c, d] = entry.address;
        let address = std::net::Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().octets();
        let flags = Flags(flags);
        Entry {
            bytes_in,
            bytes_out,
            checks_passed,
            checks_configured,
            units,
            status,
            generation,
            flags,
            method,
            address,
            ..entry
        }
    })
}

/// Charges of the units of a record, of whole seconds: whose they are says the number.
fn usual_charges(entry: Entry) -> impl Strategy<Value = Vec<Charge>> {
    let charge = (any::<u64>(), any::<[u32; 2]>());
    (vec(charge, 0..=CHARGES_MAX), 0..4usize).prop_map(move |(charges, whose)| {
        let subject = [entry.key, entry.consumer, entry.project, 1][whose];
        let us = |seconds: u32| i64::from(seconds) * 1_000_000;
        let of = |(rule, [start, end]): (u64, [u32; 2])| Charge {
            rule,
            subject,
            period_start_us: us(start),
            period_end_us: us(end),
            amount: u64::from(entry.units),
        };
        charges.into_iter().map(of).collect()
    })
}

fn entries() -> impl Strategy<Value = Entry> {
    let ids = any::<[u64; 8]>();
    let sizes = (any::<[u32; 5]>(), any::<[u16; 3]>(), any::<[u8; 2]>(), any::<i64>(), any::<[u8; 16]>());
    (ids, sizes).prop_map(|(ids, (words, halves, bytes, at_us, address))| Entry {
        at_us,
        key: ids[0],
        consumer: ids[1],
        project: ids[2],
        tenant: ids[3],
        service: ids[4],
        policy: ids[5],
        bytes_in: ids[6],
        bytes_out: ids[7],
        address,
        latency_us: words[0],
        upstream_us: words[1],
        units: words[2],
        checks_passed: words[3],
        checks_configured: words[4],
        status: halves[0],
        generation: halves[1],
        flags: Flags(halves[2]),
        code: bytes[0],
        method: bytes[1],
    })
}

fn charges() -> impl Strategy<Value = Vec<Charge>> {
    let charge = (any::<[u64; 3]>(), any::<[i64; 2]>()).prop_map(|(numbers, times)| Charge {
        rule: numbers[0],
        subject: numbers[1],
        amount: numbers[2],
        period_start_us: times[0],
        period_end_us: times[1],
    });
    vec(charge, 0..=CHARGES_MAX)
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = (any::<[u64; 3]>(), any::<[i64; 2]>()).prop_map(|(ids, amounts)| Draw {
        reservation: ids[0],
        account: ids[1],
        lease: ids[2],
        reserved: amounts[0],
        used: amounts[1],
    });
    vec(draw, 0..=DRAWS_MAX)
}

fn used() -> impl Strategy<Value = Used> {
    let call =
        (any::<[u64; 5]>(), any::<i64>(), any::<[u8; 8]>()).prop_map(|(tokens, cost, currency)| Used {
            tokens: Tokens {
                input: tokens[0],
                cached_input: tokens[1],
                cache_write: tokens[2],
                output: tokens[3],
                reasoning: tokens[4],
            },
            cost,
            currency,
        });
    prop_oneof![Just(Used::default()), call]
}

fn texts() -> impl Strategy<Value = [String; 4]> {
    let model = prop_oneof![Just(String::new()), "[a-z0-9.ü-]{1,140}"];
    (".{0,700}", "\\PC{0,200}", "[a-zA-Zä€]{0,140}", model)
        .prop_map(|(path, detail, agent, model)| [path, detail, agent, model])
}

/// Whether `kept` is the longest part of `whole` from its beginning that has `bytes_max` bytes at most.
fn is_cut_of(kept: &str, whole: &str, bytes_max: usize) -> bool {
    whole.starts_with(kept) && kept.len() <= bytes_max && kept.len() + 4 > whole.len().min(bytes_max)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        entry in entries(),
        charges in charges(),
        draws in draws(),
        used in used(),
        held_for: Option<u64>,
        decision: u64,
        texts in texts(),
    ) {
        let [path, detail, user_agent, model] = &texts;
        let record = Record {
            entry,
            charges: Charges::new(&charges).unwrap(),
            path,
            detail,
            user_agent,
            model,
            tokens: used.tokens,
            cost: used.cost,
            currency: used.currency,
            draws: Draws::new(&draws).unwrap(),
            held_for,
        };
        let bytes = encode(7, decision, &record);
        prop_assert!(bytes.len() <= RECORD_BYTES_MAX);
        prop_assert!(bytes.len().is_multiple_of(8));
        let stored = decode(7, &bytes).unwrap();
        prop_assert_eq!((stored.position, stored.decision, stored.entry), (7, decision, entry));
        prop_assert_eq!((&stored.charges, &stored.draws), (&charges, &draws));
        prop_assert_eq!((stored.tokens, stored.cost, stored.currency), (used.tokens, used.cost, used.currency));
        prop_assert_eq!(stored.held_for, held_for);
        prop_assert!(is_cut_of(&stored.path, path, PATH_BYTES_MAX));
        prop_assert!(is_cut_of(&stored.detail, detail, DETAIL_BYTES_MAX));
        prop_assert!(is_cut_of(&stored.user_agent, user_agent, USER_AGENT_BYTES_MAX));
        prop_assert!(is_cut_of(&stored.model, model, MODEL_BYTES_MAX));
        let lent = read(7, &bytes).unwrap();
        prop_assert_eq!((lent.decision, lent.entry, lent.held_for), (decision, entry, held_for));
        prop_assert_eq!(lent.charges().collect::<Vec<_>>(), charges);
        prop_assert_eq!(lent.draws().collect::<Vec<_>>(), draws);
        prop_assert_eq!((lent.tokens, lent.cost, lent.currency), (used.tokens, used.cost, used.currency));
        prop_assert_eq!((lent.path, lent.detail), (stored.path.as_bytes(), stored.detail.as_bytes()));
        prop_assert_eq!((lent.user_agent, lent.model), (stored.user_agent.as_bytes(), stored.model.as_bytes()));
    }

    #[test]
    fn a_usual_record_is_written_short_and_read_back(
        (entry, charges) in usual_entries().prop_flat_map(|entry| (Just(entry), usual_charges(entry))),
        position: u64,
        ahead: i32,
        texts in texts(),
    ) {
        let [path, detail, user_agent, _] = &texts;
        let charges_given = Charges::new(&charges).unwrap();
        let record = Record { entry, charges: charges_given, path, detail, user_agent, ..Record::default() };
        let decision = position.wrapping_add_signed(i64::from(ahead));
        let bytes = encode(position, decision, &record);
        prop_assert_eq!(bytes[0], short::VERSION);
        let lent = read(position, &bytes).unwrap();
        prop_assert_eq!((lent.position, lent.decision, lent.entry), (position, decision, entry));
        prop_assert_eq!(lent.charges().collect::<Vec<_>>(), charges.as_slice());
        let stored = lent.to_stored();
        prop_assert_eq!(&stored.charges, &charges);
        prop_assert!(is_cut_of(&stored.path, path, PATH_BYTES_MAX));
        prop_assert!(is_cut_of(&stored.detail, detail, DETAIL_BYTES_MAX));
        prop_assert!(is_cut_of(&stored.user_agent, user_agent, USER_AGENT_BYTES_MAX));
        prop_assert_eq!((stored.model.as_str(), stored.draws.len(), stored.held_for), ("", 0, None));
        let whose = [entry.key, entry.consumer, entry.project];
        let has_short_charges = charges.first().is_none_or(|charge| whose.contains(&charge.subject));
        let charge_bytes = if has_short_charges { 16 } else { CHARGE_BYTES };
        let detail_bytes = if detail.is_empty() { 0 } else { 2 + stored.detail.len() };
        let parts = 96 + charges.len() * charge_bytes + detail_bytes + stored.path.len() + stored.user_agent.len();
        prop_assert_eq!(bytes.len(), parts.next_multiple_of(8));
        // Cut off anywhere it is none; the last bytes are padding.
        for length in 0..parts {
            prop_assert!(!is_record(&bytes[..length]), "length {} of {}", length, parts);
        }
        prop_assert!(is_record(&bytes[..parts]));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..400), version in 0u8..6) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        if let Some(record) = read(3, &bytes) {
            // What is read is also there to be used, whatever it says.
            let stored = record.to_stored();
            prop_assert!(stored.charges.len() <= CHARGES_MAX && stored.draws.len() <= DRAWS_MAX);
            prop_assert!(stored.path.len() <= PATH_BYTES_MAX && stored.detail.len() <= DETAIL_BYTES_MAX);
        }
    }
}

/// One number each that has no place in version 4, with the one before it that has.
#[test]
fn what_has_no_place_in_the_short_form_is_written_long() {
    let address = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
    let usual = Entry { address, key: 5, consumer: 6, project: 7, units: 2, ..Entry::default() };
    let day = Charge { rule: 1, subject: 5, period_start_us: 0, period_end_us: 86_400_000_000, amount: 2 };
    let version = |entry: Entry| encode(0, 0, &Record { entry, ..Record::default() })[0];
    assert_eq!(version(usual), 4);
    let mut v6 = address;
    v6[10] = 0;
    let pairs = [
        (Entry { bytes_in: u32::MAX.into(), ..usual }, Entry { bytes_in: 1 << 32, ..usual }),
        (Entry { bytes_out: u32::MAX.into(), ..usual }, Entry { bytes_out: 1 << 32, ..usual }),
        (Entry { units: 1023, ..usual }, Entry { units: 1024, ..usual }),
        (Entry { status: 1023, ..usual }, Entry { status: 1024, ..usual }),
        (Entry { generation: 63, ..usual }, Entry { generation: 64, ..usual }),
        (Entry { flags: Flags(255), ..usual }, Entry { flags: Flags(256), ..usual }),
        (Entry { method: 15, ..usual }, Entry { method: 16, ..usual }),
        (Entry { checks_passed: 0xFF_FFFF, ..usual }, Entry { checks_passed: 1 << 24, ..usual }),
        (Entry { checks_configured: 0xFF_FFFF, ..usual }, Entry { checks_configured: 1 << 24, ..usual }),
        (usual, Entry { address: v6, ..usual }),
    ];
    for (fits, does_not) in pairs {
        for (entry, wanted) in [(fits, 4), (does_not, 1)] {
            let bytes = encode(0, 0, &Record { entry, ..Record::default() });
            assert_eq!(bytes[0], wanted, "{entry:?}");
            assert_eq!(decode(0, &bytes).unwrap().entry, entry);
        }
    }
    for (ahead, wanted) in [(i64::from(i32::MAX), 4), (1 << 31, 1), (-(1 << 31), 4), (-(1 << 31) - 1, 1)] {
        let decision = (1u64 << 40).wrapping_add_signed(ahead);
        let bytes = encode(1 << 40, decision, &Record { entry: usual, ..Record::default() });
        assert_eq!((bytes[0], decode(1 << 40, &bytes).unwrap().decision), (wanted, decision));
    }
    // Charges that are not alike are written whole, and the rest as before.
    let odd = [
        Charge { amount: 3, ..day },
        Charge { subject: 8, ..day },
        Charge { period_start_us: 1, ..day },
        Charge { period_start_us: -1_000_000, ..day },
        Charge { period_end_us: (1 << 32) * 1_000_000, ..day },
    ];
    for odd in odd {
        let charges = [day, odd];
        let bytes = encode(
            0,
            0,
            &Record { entry: usual, charges: Charges::new(&charges).unwrap(), ..Record::default() },
        );
        assert_eq!((bytes[0], bytes.len()), (4, 96 + 80));
        assert_eq!(decode(0, &bytes).unwrap().charges, charges);
    }
}

#[test]
fn the_short_form_stays_what_it_is() {
    let entry = Entry {
        at_us: 1,
        key: 2,
        consumer: 3,
        project: 4,
        tenant: 5,
        service: 6,
        policy: 7,
        code: 0xC0,
        method: 0xD,
        status: 0x3FF,
        latency_us: 8,
        upstream_us: 9,
        bytes_in: 10,
        bytes_out: 11,
        units: 1,
        generation: 2,
        flags: Flags(0x81),
        checks_passed: 0x0A_0B0C,
        checks_configured: 0x1A_1B1C,
        address: std::net::Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped().octets(),
    };
    let charges =
        [Charge { rule: 12, subject: 2, period_start_us: 5_000_000, period_end_us: 6_000_000, amount: 1 }];
    let charges = Charges::new(&charges).unwrap();
    let record = Record { entry, charges, path: "/p", detail: "no", user_agent: "a/1", ..Record::default() };
    let bytes = encode(20, 22, &record);
    let words = [
        4 | 0b1010_0001 << 8 | 2 << 16 | 3 << 26 | 0xC0 << 34 | 0xD << 42 | 0x81 << 46 | 1 << 54,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8 | 9 << 32,
        10 | 11 << 32,
        0x0403_0201 | 2 << 32,
        0x3FF | 2 << 10 | 0x0A_0B0C << 16 | 0x1A_1B1C << 40,
        12,
        5 | 6u64 << 32,
    ];
    let mut wanted: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    wanted.extend(b"\x02\x00/pnoa/1\0\0\0\0\0\0\0");
    assert_eq!(bytes, wanted);
}

#[test]
fn a_text_that_is_none_makes_no_record() {
    let address = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
    for entry in [Entry { address, ..Entry::default() }, Entry::default()] {
        let record = Record { entry, path: "/ä", detail: "nö", user_agent: "ü", ..Record::default() };
        let mut bytes = encode(0, 0, &record);
        assert_eq!(decode(0, &bytes).unwrap().path, "/ä");
        // A letter of two bytes that ends in another text is none, though the bytes together are.
        let at = bytes.windows(3).position(|part| part == "/ä".as_bytes()).unwrap();
        bytes[at + 2] = b'x';
        assert!(!is_record(&bytes));
        bytes[at + 1..at + 3].copy_from_slice(b"\xFF\xFE");
        assert!(!is_record(&bytes));
    }
}

/// A record with something of everything.
fn call(draws: &[Draw]) -> Record<'_> {
    Record {
        path: "/v1/chat/completions",
        detail: "d",
        model: "gpt-5-mini",
        tokens: Tokens { input: 1, cached_input: 2, cache_write: 3, output: 4, reasoning: 5 },
        cost: 77,
        currency: *b"USD\0\0\0\0\0",
        draws: Draws::new(draws).unwrap(),
        ..Record::default()
    }
}

#[test]
fn a_call_cut_off_anywhere_is_no_record() {
    let draws = [Draw { reservation: 3, account: 4, lease: 5, reserved: 6, used: 7 }; 3];
    let record = call(&draws);
    let bytes = encode(0, 9, &record);
    // The last bytes are padding: without them the parts are still whole.
    let parts = FIXED_BYTES + 3 * DRAW_BYTES + USED_BYTES + 20 + 1 + 10;
    for length in 0..bytes.len() {
        assert_eq!(is_record(&bytes[..length]), length >= parts, "length {length} of {}", bytes.len());
    }
}

#[test]
fn a_hold_cut_off_anywhere_is_no_record() {
    let draws = [Draw { reservation: 3, account: 4, lease: 5, reserved: 6, used: 0 }; 2];
    let charges = [Charge { rule: 1, subject: 2, period_start_us: 3, period_end_us: 4, amount: 5 }];
    let record =
        Record { charges: Charges::new(&charges).unwrap(), held_for: Some(u64::MAX - 1), ..call(&draws) };
    let bytes = encode(0, 9, &record);
    let parts = FIXED_BYTES + CHARGE_BYTES + 2 * DRAW_BYTES + USED_BYTES + HELD_FOR_BYTES + 20 + 1 + 10;
    for length in 0..bytes.len() {
        assert_eq!(is_record(&bytes[..length]), length >= parts, "length {length} of {}", bytes.len());
    }
    assert_eq!(decode(0, &bytes).unwrap().held_for, Some(u64::MAX - 1));
}

/// What the version before this one wrote, byte for byte: a reservation of a budget, which held no quotas.
#[test]
fn a_reservation_of_the_version_before_is_read_and_holds_no_quota() {
    let mut old = vec![0; FIXED_BYTES + DRAW_BYTES + USED_BYTES + 8];
    // Version 2, no charges, texts of 0 bytes, decision 9, one draw, a model of 3 bytes.
    (old[0], old[8], old[CALL_COUNTS_AT], old[CALL_COUNTS_AT + 1]) = (2, 9, 1, 3);
    let flags_at = FIXED_BYTES - 4 - 4;
    old[flags_at] = 1 << 5;
    old[FIXED_BYTES] = 9;
    old[FIXED_BYTES + 24] = 77;
    old[FIXED_BYTES + DRAW_BYTES + 48..FIXED_BYTES + DRAW_BYTES + 51].copy_from_slice(b"USD");
    old[FIXED_BYTES + DRAW_BYTES + USED_BYTES..FIXED_BYTES + DRAW_BYTES + USED_BYTES + 3]
        .copy_from_slice(b"m-1");
    let stored = decode(0, &old).unwrap();
    assert_eq!((stored.decision, stored.model.as_str(), stored.held_for), (9, "m-1", None));
    assert!(stored.entry.flags.contains(Flags::RESERVATION), "{:?}", stored.entry);
    assert!(!stored.entry.flags.contains(Flags::HELD));
    let draw = Draw { reservation: 9, account: 0, lease: 0, reserved: 77, used: 0 };
    assert_eq!((stored.draws.as_slice(), stored.charges.as_slice()), (&[draw][..], &[][..]));
    // And such a record is written as it was.
    let again = Record {
        entry: stored.entry,
        model: "m-1",
        currency: *b"USD\0\0\0\0\0",
        draws: Draws::new(&stored.draws).unwrap(),
        ..Record::default()
    };
    assert_eq!(encode(0, 9, &again), old);
}

#[test]
fn a_plain_record_without_an_ipv4_address_is_as_it_was_before_there_were_calls() {
    let plain = Record { path: "/tiles/1", detail: "", user_agent: "curl", ..Record::default() };
    let bytes = encode(0, 1, &plain);
    // Version 1, no charges, texts of 8, 0 and 4 bytes; decision 1; an entry of zeros; the texts.
    let mut old = [0; FIXED_BYTES + 16];
    old[0] = 1;
    old[2] = 8;
    old[6] = 4;
    old[8] = 1;
    old[FIXED_BYTES..FIXED_BYTES + 12].copy_from_slice(b"/tiles/1curl");
    assert_eq!(bytes, old.as_slice());
    let stored = decode(0, &old).unwrap();
    assert_eq!((stored.path.as_str(), stored.user_agent.as_str()), ("/tiles/1", "curl"));
    assert_eq!((stored.model.as_str(), stored.draws.len(), stored.cost), ("", 0, 0));
}

#[test]
fn the_largest_record_fits_and_a_short_target_is_refused() {
    let charges = [Charge::default(); CHARGES_MAX];
    let draws = [Draw::default(); DRAWS_MAX];
    let long = "x".repeat(5_000);
    let record = Record {
        charges: Charges::new(&charges).unwrap(),
        path: &long,
        detail: &long,
        user_agent: &long,
        model: &long,
        draws: Draws::new(&draws).unwrap(),
        held_for: Some(1),
        ..Record::default()
    };
    let planned = plan(0, 1, &record);
    assert_eq!(planned.bytes(), RECORD_BYTES_MAX);
    assert_eq!(planned.write(&mut [0; RECORD_BYTES_MAX]), Some(()));
    assert_eq!(planned.write(&mut [0; RECORD_BYTES_MAX - 8]), None);
    assert!(Charges::new(&[Charge::default(); CHARGES_MAX + 1]).is_err());
    assert!(Draws::new(&[Draw::default(); DRAWS_MAX + 1]).is_err());
}
