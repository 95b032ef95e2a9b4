//! Usage of models: tokens and costs by key, model and day, with what called no model beside it.

use std::collections::BTreeMap;

use tollgate_core::{code::Code, id::KeyId};
use tollgate_journal::{Batch, Entry, Flags, StoredRecord, Tokens};
use tollgate_store::{CallRow, DecisionFilter, Invoice, PageRequest, UsageBy, UsageFilter};

use crate::world::{NOW, SECOND, World};

const DAY: i64 = 86_400 * SECOND;
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
        world.store.ship(std::slice::from_ref(&batch), true).await.unwrap();
    }
}

/// Model, requests, tokens in and out, cost.
fn shown(rows: &[CallRow]) -> Vec<(Option<&str>, u64, u64, u64, i64)> {
    let shown = |row: &CallRow| -> (Option<String>, u64, u64, u64, i64) {
        let CallRow { usage, model, calls } = row.clone();
        (model, usage.sums.requests, calls.tokens_in, calls.tokens_out, calls.costs.values().sum())
    };
    rows.iter()
        .map(|row| {
            let (_, requests, tokens_in, tokens_out, cost) = shown(row);
            (row.model.as_deref(), requests, tokens_in, tokens_out, cost)
        })
        .collect()
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
    assert_eq!(report.calls.cost_text(), Some((Some("USD".to_owned()), "0.000001059".to_owned())));
    let by_key = world.store.usage_with_calls(&[UsageBy::Key], false, &all).await.unwrap();
    assert_eq!(shown(&by_key.rows), [(None, 4, 30, 15, 1_009), (None, 1, 10, 5, 50)]);
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
    assert_eq!(world.store.forget_models_before(false, NOW + DAY).await.unwrap(), 3);
}
