//! What is written is read back, old and new, and nothing else is.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    money::{Draws, Tokens},
    record::Charges,
};

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
        let mut bytes = vec![0xA5; encoded_bytes(&record)];
        prop_assert!(bytes.len() <= RECORD_BYTES_MAX);
        prop_assert!(bytes.len().is_multiple_of(8));
        prop_assert_eq!(encode(decision, &record, &mut bytes), Some(()));
        let stored = decode(7, &bytes).unwrap();
        prop_assert_eq!((stored.position, stored.decision, stored.entry), (7, decision, entry));
        prop_assert_eq!((&stored.charges, &stored.draws), (&charges, &draws));
        prop_assert_eq!((stored.tokens, stored.cost, stored.currency), (used.tokens, used.cost, used.currency));
        prop_assert_eq!(stored.held_for, held_for);
        prop_assert!(is_cut_of(&stored.path, path, PATH_BYTES_MAX));
        prop_assert!(is_cut_of(&stored.detail, detail, DETAIL_BYTES_MAX));
        prop_assert!(is_cut_of(&stored.user_agent, user_agent, USER_AGENT_BYTES_MAX));
        prop_assert!(is_cut_of(&stored.model, model, MODEL_BYTES_MAX));
        prop_assert!(is_record(&bytes));
        let lent = lend(7, &bytes).unwrap();
        prop_assert_eq!((lent.decision, lent.entry, lent.held_for), (decision, entry, held_for));
        prop_assert_eq!(lent.charges().collect::<Vec<_>>(), charges);
        prop_assert_eq!(lent.draws().collect::<Vec<_>>(), draws);
        prop_assert_eq!((lent.tokens, lent.cost, lent.currency), (used.tokens, used.cost, used.currency));
        prop_assert_eq!((lent.path, lent.detail), (stored.path.as_bytes(), stored.detail.as_bytes()));
        prop_assert_eq!((lent.user_agent, lent.model), (stored.user_agent.as_bytes(), stored.model.as_bytes()));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..400), version in 0u8..5) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        prop_assert_eq!(decode(0, &bytes).is_some(), is_record(&bytes));
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
    let mut bytes = vec![0; encoded_bytes(&record)];
    encode(9, &record, &mut bytes).unwrap();
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
    let mut bytes = vec![0; encoded_bytes(&record)];
    encode(9, &record, &mut bytes).unwrap();
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
    let mut bytes = vec![0xA5; encoded_bytes(&again)];
    encode(9, &again, &mut bytes).unwrap();
    assert_eq!(bytes, old);
}

#[test]
fn a_plain_record_is_as_it_was_before_there_were_calls() {
    let plain = Record { path: "/tiles/1", detail: "", user_agent: "curl", ..Record::default() };
    let mut bytes = [0xA5; FIXED_BYTES + 16];
    assert_eq!(encoded_bytes(&plain), bytes.len());
    encode(1, &plain, &mut bytes).unwrap();
    // Version 1, no charges, texts of 8, 0 and 4 bytes; decision 1; an entry of zeros; the texts.
    let mut old = [0; FIXED_BYTES + 16];
    old[0] = 1;
    old[2] = 8;
    old[6] = 4;
    old[8] = 1;
    old[FIXED_BYTES..FIXED_BYTES + 12].copy_from_slice(b"/tiles/1curl");
    assert_eq!(bytes, old);
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
    assert_eq!(encoded_bytes(&record), RECORD_BYTES_MAX);
    assert_eq!(encode(1, &record, &mut [0; RECORD_BYTES_MAX]), Some(()));
    assert_eq!(encode(1, &record, &mut [0; RECORD_BYTES_MAX - 8]), None);
    assert!(Charges::new(&[Charge::default(); CHARGES_MAX + 1]).is_err());
    assert!(Draws::new(&[Draw::default(); DRAWS_MAX + 1]).is_err());
}
