//! Meters against a naive recomputation: each event once, however often it comes and however late (I13, I15).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tollgate_core::{
    code::Code,
    counters::RuleId,
    event::{Batch, Content, Record, Sender, Slice},
    id::{ConsumerId, KeyId, ProjectId, ServiceId, TenantId},
    meter::{number::Number, window::WindowUnit},
    period::{Period, PeriodUnit, Window},
    usage_report::{Counted, QuotaCharge},
};
use tollgate_journal::{Entry, StoredRecord};
use tollgate_store::{
    ApplyMode, Batch as Shipment, Counting, IngestOptions, Ingester, MeterQuestion, MeterValues, Store,
    UsageFilter,
};

use crate::world::{NOW, SECOND, World, resources};

pub(crate) const HOUR: i64 = 3_600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;
const ZONE: &str = "Europe/Berlin";

/// One meter of every kind.
fn meters() -> Value {
    let of = |name: &str, value: &str, aggregate: &str| json!({"project": "maps", "name": name, "event_type": "tile.served", "value": value, "aggregate": aggregate});
    let bytes = json!({
        "project": "maps", "name": "bytes", "event_type": "tile.served", "value": "$.bytes", "aggregate": "sum",
        "group_by": ["$.zoom"], "groups_max": 4,
    });
    let tiles =
        json!({"project": "maps", "name": "tiles", "event_type": "tile.served", "aggregate": "count"});
    json!({"meter": [
        bytes,
        tiles,
        of("mean", "$.bytes", "avg"),
        of("least", "$.bytes", "min"),
        of("most", "$.bytes", "max"),
        of("users", "$.user", "unique"),
    ]})
}

/// A record: its id, when it was, what it says.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub(crate) id: u64,
    pub(crate) at_us: i64,
    pub(crate) zoom: u64,
    pub(crate) tenths: i64,
    pub(crate) user: u64,
}

/// Numbers that look random and are the same each time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

pub(crate) async fn project(world: &World) -> ProjectId {
    ProjectId::from_sql(world.count("SELECT id FROM projects WHERE name = 'maps'").await)
}

pub(crate) fn batch(project: ProjectId, tiles: &[Tile]) -> Batch {
    let mut buffer = Vec::new();
    let mut put = |text: &str| {
        let start = buffer.len() as u32;
        buffer.extend_from_slice(text.as_bytes());
        Slice { start, end: buffer.len() as u32 }
    };
    let records = tiles
        .iter()
        .map(|tile| {
            let Tile { zoom, tenths, user, .. } = tile;
            // Some write their numbers as texts.
            let quote = if tile.id.is_multiple_of(3) { "\"" } else { "" };
            let bytes = format!("{quote}{}.{}{quote}", tenths / 10, tenths % 10);
            Record {
                id: Some(put(&tile.id.to_string())),
                kind: None,
                source: None,
                version: None,
                time_us: Some(tile.at_us),
                data: put(&format!(r#"{{"zoom":{zoom},"bytes":{bytes},"user":"u{user}"}}"#)),
                content: Content::Json,
                attributes: (0, 0),
            }
        })
        .collect();
    let sender = Sender {
        tenant: TenantId(1),
        project,
        service: ServiceId(4),
        consumer: ConsumerId(5),
        key: KeyId(6),
    };
    Batch {
        sender,
        senders: Vec::new(),
        received_us: NOW,
        name: None,
        source: "/test".into(),
        default_type: "tile.served".into(),
        buffer,
        records,
        attributes: Vec::new(),
    }
}

pub(crate) fn ingester(store: &Store) -> Ingester {
    Ingester::start(store.clone(), IngestOptions { disk_free_min: 0, ..IngestOptions::default() }).0
}

/// Counts all that waits, as a node does that begins anew all the time and is overtaken now and then.
pub(crate) async fn count(world: &World) {
    for run in 1.. {
        let lease = world.store.take_relay("meters", run, (NOW, NOW)).await.unwrap().unwrap();
        let meters = world.store.meters_now(None).await.unwrap();
        let outbox = world.store.outbox(lease.sent).await.unwrap();
        if outbox.is_empty() {
            return;
        }
        let tally = outbox.tally(lease.sent, &meters).unwrap();
        let counted = (meters.version(), &tally);
        let until = (outbox.ends, NOW);
        let stale = world.store.count_meters(&lease, until, (meters.version() + 1, &tally)).await.unwrap();
        assert_eq!(stale, Counting::Changed, "other meters count nothing");
        assert_eq!(world.store.count_meters(&lease, until, counted).await.unwrap(), Counting::Done);
        let again = world.store.count_meters(&lease, until, counted).await.unwrap();
        assert_eq!(again, Counting::Lost, "the same records move the cursor once");
    }
}

/// Counts all that was there before meters.
async fn count_past(world: &World) {
    while let Some(past) = world.store.meters_past(NOW).await.unwrap() {
        let tally = past.tally();
        assert_eq!(world.store.count_past(&past, &tally).await.unwrap(), Counting::Done);
    }
}

pub(crate) async fn values(
    world: &World,
    meter: &str,
    (unit, span): (WindowUnit, (i64, i64)),
    by: &[usize],
) -> MeterValues {
    let meter = world.store.meter_of(None, meter).await.unwrap();
    let question = MeterQuestion {
        unit,
        zone: ZONE.to_owned(),
        from_us: span.0,
        to_us: span.1,
        by: by.to_vec(),
        groups_max: 1_000,
    };
    world.store.meter_values(&meter, &question).await.unwrap()
}

/// The records of each window, by its beginning.
fn by_window(tiles: &[Tile], unit: PeriodUnit) -> BTreeMap<i64, Vec<&Tile>> {
    let period = Period::new(unit, ZONE).unwrap();
    let mut windows: BTreeMap<i64, Vec<&Tile>> = BTreeMap::new();
    for tile in tiles {
        windows.entry(period.window_at(tile.at_us).start_us).or_default().push(tile);
    }
    windows
}

fn number(tenths: i64) -> Number {
    Number::parse(&format!("{}.{}", tenths / 10, tenths % 10)).unwrap()
}

fn naive(meter: &str, tiles: &[&Tile]) -> Option<Number> {
    let all = || tiles.iter().map(|tile| tile.tenths);
    let sum = || number(all().sum());
    match meter {
        "bytes" => Some(sum()),
        "tiles" => Some(Number::whole(tiles.len() as i64)),
        "mean" => sum().over(tiles.len() as u64),
        "least" => all().min().map(number),
        "most" => all().max().map(number),
        _ => Some(Number::whole(tiles.iter().map(|tile| tile.user).collect::<BTreeSet<_>>().len() as i64)),
    }
}

pub(crate) async fn meters_are_what_a_naive_recomputation_says(world: World) {
    let world = world.furnished().await;
    world.apply(&resources(meters()), ApplyMode::default()).await.unwrap();
    let project = project(&world).await;
    // A year with both changes of the clocks, many records around each of them.
    let moment = |text: &str| tollgate_core::event::moment_us(text).unwrap();
    let year = (moment("2026-01-01T00:00:00Z"), moment("2027-01-01T00:00:00Z"));
    let changes = [moment("2026-03-29T01:00:00Z"), moment("2026-10-25T01:00:00Z")];
    let mut numbers = Numbers(7);
    let mut tiles = Vec::new();
    for id in 0..900 {
        let at_us = match id % 3 {
            0 => year.0 + (numbers.below(365 * 24) as i64) * HOUR + numbers.below(3_600) as i64 * SECOND,
            change => changes[change as usize - 1] - DAY + numbers.below(2 * 86_400) as i64 * SECOND,
        };
        let (zoom, tenths) = (numbers.below(4), numbers.below(10_000) as i64);
        tiles.push(Tile { id, at_us, zoom, tenths, user: numbers.below(40) });
    }
    // Each is sent about twice, in no order, in batches that overlap.
    let mut sent: Vec<Tile> = tiles.clone();
    sent.extend((0..900).map(|_| tiles[numbers.below(900) as usize].clone()));
    for index in (1..sent.len()).rev() {
        sent.swap(index, numbers.below(index as u64 + 1) as usize);
    }
    let ingester = ingester(&world.store);
    for (index, part) in sent.chunks(150).enumerate() {
        ingester.submit(batch(project, part)).await.unwrap();
        if index.is_multiple_of(4) {
            count(&world).await;
        }
    }
    count(&world).await;
    for (unit, period) in [
        (WindowUnit::Day, PeriodUnit::Day),
        (WindowUnit::Week, PeriodUnit::Week),
        (WindowUnit::Month, PeriodUnit::Month),
    ] {
        let windows = by_window(&tiles, period);
        for meter in ["bytes", "tiles", "mean", "least", "most", "users"] {
            let found = values(&world, meter, (unit, year), &[]).await;
            for (start, value) in found.starts_us.iter().zip(&found.values) {
                let own = windows.get(start).cloned().unwrap_or_default();
                assert_eq!(value.events, own.len() as u64, "{meter} {unit:?} {start}");
                if !own.is_empty() {
                    assert_eq!(value.value, naive(meter, &own), "{meter} {unit:?} {start}");
                }
            }
            assert_eq!(found.total.events, 900, "{meter} {unit:?}");
        }
    }
    // Hours of the two days that are 23 and 25 of them long.
    for (change, hours) in changes.into_iter().zip([23, 25]) {
        let day = Period::new(PeriodUnit::Day, ZONE).unwrap().window_at(change);
        let windows = by_window(&tiles, PeriodUnit::Hour);
        let found = values(&world, "bytes", (WindowUnit::Hour, (day.start_us, day.end_us)), &[0]).await;
        assert_eq!(found.values.len(), hours);
        for (start, value) in found.starts_us.iter().zip(&found.values) {
            let own = windows.get(start).cloned().unwrap_or_default();
            assert_eq!((value.events, value.value), (own.len() as u64, naive("bytes", &own)), "{start}");
        }
        let zooms: BTreeSet<_> = found.groups.iter().map(|group| group.words.clone()).collect();
        assert_eq!(zooms.len(), 4);
        let sum = found.groups.iter().map(|group| group.total.events).sum::<u64>();
        assert_eq!(sum, found.total.events);
    }
}

pub(crate) async fn groups_beyond_the_bound_are_one_and_seen(world: World) {
    let world = world.furnished().await;
    world.apply(&resources(meters()), ApplyMode::default()).await.unwrap();
    let project = project(&world).await;
    let tiles: Vec<Tile> =
        (0..20).map(|id| Tile { id, at_us: NOW, zoom: id / 2, tenths: 10, user: 1 }).collect();
    ingester(&world.store).submit(batch(project, &tiles)).await.unwrap();
    count(&world).await;
    let found = values(&world, "bytes", (WindowUnit::Total, (NOW - HOUR, NOW + HOUR)), &[0]).await;
    let other = found.groups.iter().find(|group| group.words.is_none()).unwrap();
    assert_eq!((found.groups.len(), other.total.events, found.total.events), (5, 12, 20));
    let meter = world.store.meter_of(None, "maps/bytes").await.unwrap();
    assert_eq!((meter.groups, meter.others), (4, 12));
}

pub(crate) async fn a_meter_that_comes_or_changes_counts_what_is_there_and_what_comes(world: World) {
    let world = world.furnished().await;
    let project = project(&world).await;
    let ingester = ingester(&world.store);
    let tile = |id| Tile { id, at_us: NOW, zoom: 1, tenths: 10, user: 1 };
    ingester.submit(batch(project, &[tile(1), tile(2)])).await.unwrap();
    world.apply(&resources(meters()), ApplyMode::default()).await.unwrap();
    ingester.submit(batch(project, &[tile(3)])).await.unwrap();
    count(&world).await;
    let span = (WindowUnit::Total, (NOW - HOUR, NOW + HOUR));
    assert_eq!(values(&world, "tiles", span, &[]).await.total.events, 1);
    count_past(&world).await;
    assert_eq!(values(&world, "tiles", span, &[]).await.total.events, 3);
    // One that counts something else counts anew.
    let mut other = meters();
    other["meter"][1]["group_by"] = json!(["$.zoom"]);
    let plan = world.apply(&resources(other.clone()), ApplyMode::default()).await.unwrap();
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(values(&world, "tiles", span, &[]).await.total.events, 0);
    ingester.submit(batch(project, &[tile(4), tile(5)])).await.unwrap();
    count(&world).await;
    assert_eq!(values(&world, "tiles", span, &[]).await.total.events, 2);
    count_past(&world).await;
    assert_eq!(values(&world, "tiles", span, &[]).await.total.events, 5);
    assert_eq!(values(&world, "bytes", span, &[]).await.total.events, 5, "it counts on as it did");
    assert!(world.apply(&resources(other.clone()), ApplyMode::default()).await.unwrap().changes.is_empty());
}

pub(crate) async fn requests_count_once_however_often_they_are_shipped(world: World) {
    let world = world.furnished().await;
    let meters = json!({"meter": [
        {"project": "maps", "name": "requests", "event_type": "tollgate.request", "aggregate": "count",
         "group_by": ["$.code", "@key"]},
        {"project": "maps", "name": "slowest", "event_type": "tollgate.request", "value": "$.latency_ms",
         "aggregate": "max"},
    ]});
    world.apply(&resources(meters), ApplyMode::default()).await.unwrap();
    let project = project(&world).await;
    let record = |position: u64| StoredRecord {
        position,
        decision: position,
        entry: Entry {
            at_us: NOW + position as i64 * SECOND,
            key: 21,
            consumer: 3,
            project: project.0,
            tenant: 5,
            service: 6,
            code: if position.is_multiple_of(5) { Code::RateLimited.number() } else { Code::Valid.number() },
            latency_us: 1_000 * position as u32,
            ..Entry::default()
        },
        ..StoredRecord::default()
    };
    for (from, to) in [(0, 40), (20, 60), (0, 60)] {
        let records = (from..to).map(record).collect();
        world
            .store
            .ship(0, &[Shipment { boot: 0xABCD, lane: 0, from, to, lost: 0, records }], true)
            .await
            .unwrap();
    }
    let span = (WindowUnit::Total, (NOW - HOUR, NOW + HOUR));
    let found = values(&world, "requests", span, &[0]).await;
    let groups: BTreeMap<_, _> = found
        .groups
        .iter()
        .map(|group| (group.words.clone().unwrap()[0].clone().unwrap(), group.total.events))
        .collect();
    let expected = BTreeMap::from([("rate_limited".to_owned(), 12), ("valid".to_owned(), 48)]);
    assert_eq!((groups, found.total.events), (expected, 60));
    assert_eq!(values(&world, "slowest", span, &[]).await.total.value, Some(Number::whole(59)));
}

pub(crate) async fn a_report_counts_once_by_its_ids(world: World) {
    let world = world.furnished().await;
    let project = project(&world).await;
    let ingester = ingester(&world.store);
    let window = Window { start_us: NOW - DAY, end_us: NOW + DAY };
    let report = |ids: &[u64]| {
        let tiles: Vec<Tile> =
            ids.iter().map(|id| Tile { id: *id, at_us: NOW, zoom: 0, tenths: 0, user: 0 }).collect();
        let batch = batch(project, &tiles);
        let counted: Vec<Counted> = ids
            .iter()
            .map(|id| Counted {
                sender: Sender { key: KeyId(*id), ..batch.sender },
                policy: 7,
                at_us: NOW,
                units: 2,
                tokens: 10,
                status: 200,
                charges: [QuotaCharge { rule: RuleId(11), subject: 3, window, amount: 2 }]
                    .into_iter()
                    .collect(),
            })
            .collect();
        (batch, counted)
    };
    let (batch, counted) = report(&[1, 2, 3]);
    let (taken, is_new) = world.store.take_report(&ingester, batch, counted).await.unwrap();
    assert_eq!((taken.accepted, taken.duplicates, is_new), (3, 0, vec![true; 3]));
    let (batch, counted) = report(&[2, 4]);
    let (taken, is_new) = world.store.take_report(&ingester, batch, counted).await.unwrap();
    assert_eq!((taken.accepted, taken.duplicates, is_new), (1, 1, vec![false, true]));
    let total = world.store.usage(&[], &UsageFilter::default()).await.unwrap().total;
    assert_eq!((total.requests, total.units, total.denied), (4, 8, 0));
    let of_key = UsageFilter { key: Some(KeyId(2)), ..UsageFilter::default() };
    assert_eq!(world.store.usage(&[], &of_key).await.unwrap().total.requests, 1);
    let quotas = world.store.quota_usage(NOW).await.unwrap();
    assert_eq!(quotas.iter().map(|total| total.used).collect::<Vec<_>>(), [8], "over or not");
    let filter = tollgate_store::EventFilter { key: Some(KeyId(4)), ..Default::default() };
    assert_eq!(world.store.count_events(&filter).await.unwrap(), 1, "records are of whom they are about");
}
