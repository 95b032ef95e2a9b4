//! Usage of models: tokens and costs by key, model and day, with what called no model beside it.

use std::collections::BTreeMap;

use tollgate_core::{code::Code, id::KeyId};
use tollgate_journal::{Batch, Entry, Flags, StoredRecord, Tokens};
use tollgate_store::{CallRow, DecisionFilter, Invoice, PageRequest, UsageBy, UsageFilter};

use crate::world::{NOW, SECOND, World};

const DAY: i64 = 86_400 * SECOND;
/// What one call counts at most.
const CALL_MAX: i64 = 1_000_000_000_000_000;
const USD: [u8; 8] = *b"USD\0\0\0\0\0";

fn call(position: u64, at_us: i64, key: u64, (model, cost): (&str, i64)) -> StoredRecord {
    let flags = if position.is_multiple_of(2) { Flags::ESTIMATED } else { Flags::default() };
    let entry =
        Entry { at_us, key, consumer: 3, service: 6, code: Code::Valid.number(), flags, ..Entry::default() };
    StoredRecord {
        position,
        decision: position,
        entry,
        model: model.into(),
        tokens: Tokens { input: 10, cached_input: 4, cache_write: 1, output: 5, reasoning: 2 },
        cost,
        currency: USD,
        ..StoredRecord::default()
    }
}

async fn ship(world: &World, records: Vec<StoredRecord>) {
    let to = records.len() as u64;
    let batch = Batch { boot: 9, lane: 0, from: 0, to, lost: 0, records };
    for _ in 0..2 {
        world.store.ship(0, std::slice::from_ref(&batch), true).await.unwrap();
    }
}

/// Model, requests, tokens in and out, cost.
fn shown(rows: &[CallRow]) -> Vec<(Option<&str>, u64, u64, u64, i64)> {
    let shown = |row: &CallRow| -> (Option<String>, u64, u64, u64, i64) {
        let CallRow { usage, model, calls, .. } = row.clone();
        (model, usage.sums.requests, calls.tokens_in, calls.tokens_out, calls.costs.values().sum())
    };
    rows.iter()
        .map(|row| {
            let (_, requests, tokens_in, tokens_out, cost) = shown(row);
            (row.model.as_deref(), requests, tokens_in, tokens_out, cost)
        })
        .collect()
}

/// What a client calls a model stops no shipment, nor do costs and tokens however great.
pub(crate) async fn no_record_stops_shipping(world: World) {
    let most = Tokens { input: u64::MAX, cached_input: 0, cache_write: 0, output: u64::MAX, reasoning: 0 };
    let great = |position| StoredRecord { tokens: most, ..call(position, NOW, 1, ("gpt-5", i64::MAX)) };
    ship(&world, vec![call(0, NOW, 1, ("a\0b", 7)), great(1), great(2)]).await;
    let all = UsageFilter::default();
    let report = world.store.usage_with_calls(&[], true, &all).await.unwrap();
    let of = CALL_MAX as u64;
    let expected = [(Some("a\u{fffd}b"), 1, 10, 5, 7), (Some("gpt-5"), 2, 2 * of, 2 * of, 2 * CALL_MAX)];
    assert_eq!(shown(&report.rows), expected);
    // A sum that is full stays full.
    for table in ["usage_models_minute", "usage_models_day"] {
        world
            .raw(&format!("UPDATE {table} SET cost = {i}, input = {i} WHERE model = 'gpt-5'", i = i64::MAX))
            .await;
    }
    let batch = Batch { boot: 9, lane: 0, from: 3, to: 4, lost: 0, records: vec![great(3)] };
    world.store.ship(0, &[batch], true).await.unwrap();
    let report = world.store.usage_with_calls(&[], true, &all).await.unwrap();
    let full = 1_000_000_000_000_000_000;
    assert_eq!(shown(&report.rows)[1], (Some("gpt-5"), 3, full as u64, 3 * of, full));
    assert_eq!(report.rows[0].model.as_deref(), Some("a\u{fffd}b"));
}

pub(crate) async fn tokens_and_costs_add_up_by_model_key_and_day(world: World) {
    let plain = StoredRecord { model: String::new(), cost: 0, currency: [0; 8], ..call(4, NOW, 1, ("", 0)) };
    let plain = StoredRecord { tokens: Tokens::default(), ..plain };
    let records = vec![
        call(0, NOW, 1, ("gpt-5", 700)),
        call(1, NOW + DAY, 1, ("gpt-5", 300)),
        call(2, NOW, 2, ("gpt-5", 50)),
        call(3, NOW + 2 * SECOND, 1, ("claude", 9)),
        plain,
    ];
    ship(&world, records).await;
    let all = UsageFilter::default();
    let report = world.store.usage_with_calls(&[], true, &all).await.unwrap();
    let expected = [(Some("claude"), 1, 10, 5, 9), (Some("gpt-5"), 3, 30, 15, 1_050), (None, 1, 0, 0, 0)];
    assert_eq!(shown(&report.rows), expected);
    assert_eq!((report.total.requests, report.calls.calls, report.calls.estimated), (5, 4, 2));
    assert!(report.rows.iter().all(|row| row.is_partial), "nobody knows the bytes of any of them");
    assert_eq!(report.calls.cost_text(), Some((Some("USD".to_owned()), "0.000001059".to_owned())));
    let by_key = world.store.usage_with_calls(&[UsageBy::Key], false, &all).await.unwrap();
    assert_eq!(shown(&by_key.rows), [(None, 4, 30, 15, 1_009), (None, 1, 10, 5, 50)]);
    assert!(by_key.rows.iter().all(|row| !row.is_partial));
    let by_day = world.store.usage_with_calls(&[UsageBy::Day, UsageBy::Key], true, &all).await.unwrap();
    assert_eq!(by_day.rows.len(), 5, "{:?}", by_day.rows);
    // Whole days and their edges count each minute once.
    for (from, to, requests) in [
        (NOW, NOW + 1, 3),
        (NOW - DAY, NOW + 2 * DAY, 4),
        (NOW + 60 * SECOND, NOW + 3 * DAY, 1),
        (NOW - 40 * DAY, NOW + DAY, 3),
    ] {
        let filter = UsageFilter { from_us: Some(from), to_us: Some(to), ..UsageFilter::default() };
        let report = world.store.usage_with_calls(&[], false, &filter).await.unwrap();
        assert_eq!(report.calls.calls, requests, "{from} {to}");
    }
    let of_key = UsageFilter { key: Some(KeyId(2)), ..UsageFilter::default() };
    let report = world.store.usage_with_calls(&[UsageBy::Consumer], true, &of_key).await.unwrap();
    assert_eq!(shown(&report.rows), [(Some("gpt-5"), 1, 10, 5, 50)]);
    assert_eq!(report.calls.costs, BTreeMap::from([("USD".to_owned(), 50)]));
    let invoices = world.store.invoices(&all).await.unwrap();
    let lines = Invoice::table("2026-01", &invoices);
    let shown: Vec<String> = lines.iter().map(|line| line.get(4..).unwrap_or_default().join(" ")).collect();
    assert_eq!(
        shown,
        [
            "model quantity tokens_in cached_input cache_write tokens_out reasoning amount currency",
            "claude 1 10 4 1 5 2 0.000000009 USD",
            "gpt-5 3 30 12 3 15 6 0.00000105 USD",
            " 1 0 0 0 0 0 0 ",
            "       0.000001059 USD",
        ]
    );
    // Each decision says what it used, for as long as it is kept.
    let page = PageRequest { limit: 10, cursor: None };
    let filter = DecisionFilter { oldest_first: true, ..DecisionFilter::default() };
    let rows = world.store.decisions(&filter, &page).await.unwrap().items;
    let costs: Vec<_> =
        rows.iter().map(|row| row.call.as_ref().and_then(|call| call.cost.as_deref())).collect();
    let expected = [Some("0.0000007"), Some("0.00000005"), None, Some("0.000000009"), Some("0.0000003")];
    assert_eq!(costs, expected);
    assert_eq!(rows.iter().filter(|row| row.marks().contains(&"estimated")).count(), 3);
    assert_eq!(world.store.forget_calls_before(NOW + SECOND).await.unwrap(), 2);
    assert_eq!(world.store.forget_models_before(false, NOW + DAY).await.unwrap(), 0, "not folded yet");
    while world.store.fold_usage_before(NOW + 2 * DAY, 1_000).await.unwrap() > 0 {}
    assert_eq!(world.store.forget_models_before(false, NOW + DAY).await.unwrap(), 3);
    // Where minutes are gone, the edge of a span is its day: what they had is lost to no sum.
    for (from, to, calls) in [
        (NOW - DAY / 2, NOW + DAY, 3),
        (NOW - DAY, NOW + 3_600 * SECOND, 3),
        (NOW + 1_800 * SECOND, NOW + 2 * DAY, 4),
        (NOW + DAY, NOW + DAY + 3_600 * SECOND, 1),
    ] {
        let filter = UsageFilter { from_us: Some(from), to_us: Some(to), ..UsageFilter::default() };
        let report = world.store.usage_with_calls(&[], false, &filter).await.unwrap();
        assert_eq!(report.calls.calls, calls, "{from} {to}");
    }
}

/// A call that was given up on after it was sent may have cost something; nothing else that was refused is billed.
pub(crate) async fn what_was_refused_is_on_no_bill(world: World) {
    let refused = |position, model: &str, cost: i64| {
        let mut refused = call(position, NOW, 1, (model, cost));
        refused.entry.code = Code::UpstreamTimeout.number();
        refused.tokens = Tokens::default();
        refused
    };
    let mut nobody = refused(3, "gpt-5", 0);
    (nobody.entry.consumer, nobody.entry.key) = (0, 0);
    let records = vec![
        call(0, NOW, 1, ("gpt-5", 700)),
        refused(1, "gpt-5", 0),
        refused(2, "late", 40),
        nobody,
        refused(4, "never", 0),
    ];
    ship(&world, records).await;
    let invoices = world.store.invoices(&UsageFilter::default()).await.unwrap();
    let lines = Invoice::table("2026-01", &invoices);
    let shown: Vec<String> = lines.iter().map(|line| line.get(4..).unwrap_or_default().join(" ")).collect();
    let expected =
        ["gpt-5 1 10 4 1 5 2 0.0000007 USD", "late 0 0 0 0 0 0 0.00000004 USD", "       0.00000074 USD"];
    assert_eq!(shown[1..], expected);
}
