//! Usage by hour and day: whatever is asked for, it is the sum over the records, each once, whenever they
//! came and whenever they were folded.

use std::collections::BTreeMap;

use tollgate_core::{
    code::Code,
    id::{ConsumerId, KeyId, ServiceId, TenantId},
};
use tollgate_journal::{Batch, Entry, StoredRecord};
use tollgate_store::{LatencyFilter, Store, StoreError, UsageBy, UsageFilter, UsageSums};

use crate::world::{NOW, SECOND, World};

const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The records lie in so many days from [`NOW`], which is a midnight.
const DAYS: u64 = 4;

/// SplitMix64: the same chances in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    /// One time in so many.
    fn is_one_of(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// A moment of the records' days.
    fn moment(&mut self) -> i64 {
        NOW + self.below(DAYS * DAY as u64) as i64
    }
}

fn entry(chance: &mut Chance, at_us: i64) -> Entry {
    let key = chance.below(6);
    let codes = [Code::Valid, Code::Valid, Code::RateLimited, Code::IpNotAllowed];
    Entry {
        at_us,
        // Key 0 is none; a consumer has two keys.
        key,
        consumer: key.div_ceil(2),
        project: 4,
        tenant: 5 + u64::from(key == 5),
        service: chance.below(3),
        code: codes[chance.below(4) as usize].number(),
        latency_us: chance.below(50_000) as u32,
        upstream_us: chance.below(40_000) as u32,
        bytes_in: chance.below(1_000),
        bytes_out: chance.below(9_000),
        units: chance.below(3) as u32,
        ..Entry::default()
    }
}

fn batch(lane: u16, from: u64, entries: &[Entry]) -> Batch {
    let records = entries.iter().zip(from..).map(|(entry, position)| StoredRecord {
        position,
        decision: position,
        entry: *entry,
        ..StoredRecord::default()
    });
    Batch { boot: 0xF01D, lane, from, to: from + entries.len() as u64, lost: 0, records: records.collect() }
}

/// In steps that end within minutes, too; with lists that are shorter than there are keys.
async fn fold_all(store: &Store, before_us: i64) {
    while store.fold_usage_before(before_us, 13).await.unwrap() > 0 {}
    while store.rank_usage(2).await.unwrap() > 0 {}
}

fn with(a: UsageSums, entry: &Entry) -> UsageSums {
    UsageSums {
        requests: a.requests + 1,
        denied: a.denied + u64::from(entry.code != Code::Valid.number()),
        units: a.units + u64::from(entry.units),
        latency_us: a.latency_us + u64::from(entry.latency_us),
        upstream_us: a.upstream_us + u64::from(entry.upstream_us),
        bytes_in: a.bytes_in + entry.bytes_in,
        bytes_out: a.bytes_out + entry.bytes_out,
    }
}

fn is_in(filter: &UsageFilter, entry: &Entry) -> bool {
    let is = |wanted: Option<u64>, value: u64| wanted.is_none_or(|wanted| wanted == value);
    filter.from_us.is_none_or(|from| entry.at_us >= from.div_euclid(MINUTE) * MINUTE)
        && filter.to_us.is_none_or(|to| entry.at_us.div_euclid(MINUTE) * MINUTE < to)
        && is(filter.key.map(|id| id.0), entry.key)
        && is(filter.consumer.map(|id| id.0), entry.consumer)
        && is(filter.service.map(|id| id.0), entry.service)
        && is(filter.tenant.map(|id| id.0), entry.tenant)
        && filter.code.is_none_or(|code| code.number() == entry.code)
        && filter.consumers.as_ref().is_none_or(|own| own.iter().any(|id| id.0 == entry.consumer))
}

fn value(by: UsageBy, entry: &Entry) -> i64 {
    match by {
        UsageBy::Key => entry.key as i64,
        UsageBy::Service => entry.service as i64,
        UsageBy::Code => i64::from(entry.code),
        UsageBy::Consumer => entry.consumer as i64,
        UsageBy::Project => entry.project as i64,
        UsageBy::Tenant => entry.tenant as i64,
        UsageBy::Day => entry.at_us / DAY * DAY,
        UsageBy::Hour => entry.at_us / HOUR * HOUR,
        UsageBy::Minute => entry.at_us / MINUTE * MINUTE,
    }
}

fn any_filter(chance: &mut Chance) -> UsageFilter {
    let mut moments = [chance.moment(), chance.moment()];
    moments.sort_unstable();
    // Whole hours and days too: an edge is where mistakes are.
    let unit = [1, MINUTE, HOUR, DAY][chance.below(4) as usize];
    let [from, to] = moments.map(|moment| moment / unit * unit);
    let mut filter = UsageFilter {
        from_us: (!chance.is_one_of(5)).then_some(from),
        to_us: (!chance.is_one_of(3)).then_some(to),
        ..UsageFilter::default()
    };
    match chance.below(9) {
        0 => filter.key = Some(KeyId(chance.below(6))),
        1 => filter.consumer = Some(ConsumerId(chance.below(4))),
        2 => filter.consumers = Some(vec![ConsumerId(1), ConsumerId(3)]),
        3 => filter.service = Some(ServiceId(1)),
        4 => filter.code = Some(Code::RateLimited),
        5 | 6 => filter.tenant = Some(TenantId(5)),
        _ => {}
    }
    filter
}

fn any_groups(chance: &mut Chance) -> Vec<UsageBy> {
    let times = [UsageBy::Day, UsageBy::Hour, UsageBy::Minute];
    let others = [UsageBy::Key, UsageBy::Service, UsageBy::Code, UsageBy::Consumer, UsageBy::Tenant];
    let mut by = Vec::new();
    if chance.is_one_of(2) {
        by.push(times[chance.below(3) as usize]);
    }
    by.extend(others.into_iter().filter(|_| chance.is_one_of(4)));
    by
}

/// Asks about spans and groups by chance; each answer is compared with the records.
async fn compare(store: &Store, chance: &mut Chance, entries: &[Entry], questions: u32) {
    for _ in 0..questions {
        let (filter, by) = (any_filter(chance), any_groups(chance));
        let fitting: Vec<_> = entries.iter().filter(|entry| is_in(&filter, entry)).collect();
        let mut groups: BTreeMap<Vec<i64>, UsageSums> = BTreeMap::new();
        for entry in &fitting {
            let group = by.iter().map(|by| value(*by, entry)).collect();
            let sums = groups.entry(group).or_default();
            *sums = with(*sums, entry);
        }
        let report = store.usage(&by, &filter).await.unwrap();
        let total = fitting.iter().fold(UsageSums::default(), |sums, entry| with(sums, entry));
        assert_eq!(report.total, total, "{by:?} {filter:?}");
        if !by.is_empty() {
            let found: Vec<_> = report.rows.iter().map(|row| row.sums).collect();
            assert_eq!(found, groups.into_values().collect::<Vec<_>>(), "{by:?} {filter:?}");
        }
        let all = [UsageBy::Key, UsageBy::Key, UsageBy::Consumer, UsageBy::Service, UsageBy::Day];
        let own = all[chance.below(5) as usize];
        let most = store.usage_most(own, &filter, 2).await.unwrap();
        let mut groups: BTreeMap<i64, UsageSums> = BTreeMap::new();
        for entry in &fitting {
            let sums = groups.entry(value(own, entry)).or_default();
            *sums = with(*sums, entry);
        }
        let mut largest: Vec<_> = groups.values().copied().collect();
        largest.sort_by_key(|sums| std::cmp::Reverse(sums.requests));
        assert_eq!(most.total, total, "{own:?} {filter:?}");
        assert!(most.groups.is_none_or(|count| count == groups.len() as u64), "{own:?} {filter:?}");
        let requests = |sums: &UsageSums| sums.requests;
        assert_eq!(
            most.rows.iter().map(|row| row.sums.requests).collect::<Vec<_>>(),
            largest.iter().take(2).map(requests).collect::<Vec<_>>(),
            "{own:?} {filter:?}"
        );
        let latency = LatencyFilter {
            from_us: filter.from_us,
            to_us: filter.to_us,
            tenant: filter.tenant,
            service: filter.service,
        };
        let only_time = UsageFilter {
            from_us: filter.from_us,
            to_us: filter.to_us,
            tenant: filter.tenant,
            service: filter.service,
            ..UsageFilter::default()
        };
        let is_timed = |entry: &&Entry| {
            is_in(&only_time, entry) && entry.code == Code::Valid.number() && entry.service != 0
        };
        let timed = entries.iter().filter(is_timed).count() as u64;
        assert_eq!(store.latency(&latency).await.unwrap().requests(), timed, "{latency:?}");
    }
}

pub(crate) async fn sums_of_any_span_are_those_of_its_records(world: World) {
    let chance = &mut Chance(7);
    let mut entries: Vec<Entry> = Vec::new();
    let mut shipped = [0u64; 3];
    // Mostly what is shipped is new; now and then a node was away, and its records are days old.
    for round in 0..40 {
        let lane = chance.below(3) as usize;
        let began = NOW + round * DAYS as i64 * DAY / 40;
        let own: Vec<Entry> = (0..chance.below(60))
            .map(|_| {
                let late = chance.is_one_of(10);
                let within = began + chance.below(3 * HOUR as u64) as i64;
                let at_us = if late { chance.moment() } else { within };
                entry(chance, at_us)
            })
            .collect();
        let piece = batch(lane as u16, shipped[lane], &own);
        shipped[lane] += own.len() as u64;
        for _ in 0..1 + chance.below(2) {
            world.store.ship(0, std::slice::from_ref(&piece), false).await.unwrap();
        }
        entries.extend(own);
        if chance.is_one_of(2) {
            fold_all(&world.store, began + chance.below(HOUR as u64) as i64).await;
        } else {
            // One step only: it ends somewhere among the keys of a minute.
            let rows_max = chance.below(9) as u32;
            world.store.fold_usage_before(began + 3 * HOUR, rows_max).await.unwrap();
        }
        if round % 8 == 7 {
            compare(&world.store, chance, &entries, 10).await;
        }
    }
    compare(&world.store, chance, &entries, 60).await;
    fold_all(&world.store, NOW + (DAYS as i64 + 1) * DAY).await;
    compare(&world.store, chance, &entries, 60).await;
}

pub(crate) async fn folding_beside_shipments_counts_each_record_once(world: World) {
    let other = world.other().await;
    let entries: Vec<Entry> = {
        let mut chance = Chance(11);
        (0..1_200).map(|number| entry(&mut chance, NOW + number * 7 * SECOND)).collect()
    };
    let mut calls = Vec::new();
    for (lane, store) in [world.store.clone(), other.clone()].into_iter().enumerate() {
        let own: Vec<Entry> = entries.iter().skip(lane).step_by(2).copied().collect();
        calls.push(tokio::spawn(async move {
            for (number, part) in own.chunks(20).enumerate() {
                let piece = [batch(lane as u16, number as u64 * 20, part)];
                // Whoever does not know whether a commit took place ships again.
                for _ in 0..2 {
                    while is_busy(store.ship(0, &piece, false).await) {}
                }
            }
        }));
    }
    for store in [world.store.clone(), other] {
        calls.push(tokio::spawn(async move {
            // Ahead of the shipments, among them and behind.
            for minute in 0..150 {
                let before_us = NOW + minute * MINUTE;
                while is_busy(store.fold_usage_before(before_us, 5).await) {}
            }
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    let chance = &mut Chance(13);
    compare(&world.store, chance, &entries, 40).await;
    fold_all(&world.store, NOW + DAY).await;
    compare(&world.store, chance, &entries, 40).await;
}

/// Whether a call must be made again.
fn is_busy<T>(outcome: Result<T, StoreError>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(StoreError::Busy { .. }) => true,
        Err(error) => panic!("{error}: {:?}", error.cause()),
    }
}

pub(crate) async fn what_was_summed_up_by_minute_only_is_folded_too(world: World) {
    let chance = &mut Chance(17);
    let old: Vec<Entry> = (0..300)
        .map(|_| {
            let at_us = NOW + chance.below(DAY as u64) as i64;
            entry(chance, at_us)
        })
        .collect();
    world.store.ship(0, &[batch(0, 0, &old)], false).await.unwrap();
    // As a database looks that an earlier version has written.
    for table in ["usage_hour", "usage_day", "usage_consumer_hour", "usage_consumer_day"] {
        world.raw(&format!("DELETE FROM {table}")).await;
    }
    for step in ["minute", "hour", "day"] {
        world.raw(&format!("DELETE FROM usage_service_{step}")).await;
    }
    world
        .raw("UPDATE usage_folds SET service_from_us = (SELECT MAX(minute_us) + 60000000 FROM usage_minute)")
        .await;
    compare(&world.store, chance, &old, 30).await;
    // What comes meanwhile, for old minutes and new ones, counts beside it.
    let mut all = old;
    for (number, hour) in [5, 30, 2, 50].into_iter().enumerate() {
        let more: Vec<Entry> = (0..50)
            .map(|_| {
                let at_us = NOW + hour * HOUR + chance.below(HOUR as u64) as i64;
                entry(chance, at_us)
            })
            .collect();
        world.store.ship(0, &[batch(1, number as u64 * 50, &more)], false).await.unwrap();
        all.extend(more);
        compare(&world.store, chance, &all, 20).await;
        fold_all(&world.store, NOW + (number as i64 + 1) * 6 * HOUR).await;
        compare(&world.store, chance, &all, 20).await;
    }
    fold_all(&world.store, NOW + DAYS as i64 * DAY).await;
    compare(&world.store, chance, &all, 40).await;
}

pub(crate) async fn hours_and_days_outlive_minutes(world: World) {
    let chance = &mut Chance(19);
    let entries: Vec<Entry> = (0..400)
        .map(|_| {
            let at_us = chance.moment();
            entry(chance, at_us)
        })
        .collect();
    world.store.ship(0, &[batch(0, 0, &entries)], false).await.unwrap();
    fold_all(&world.store, NOW + 2 * DAY).await;
    // What is not folded is not forgotten, whatever the settings say.
    while world.store.forget_minutes_before(NOW + DAYS as i64 * DAY).await.unwrap() > 0 {}
    compare_days(&world.store, &entries, DAY).await;
    let minutes = world.store.usage(&[UsageBy::Minute], &UsageFilter::default()).await.unwrap();
    let kept = entries.iter().filter(|entry| entry.at_us >= NOW + 2 * DAY).count() as u64;
    assert_eq!(minutes.total.requests, kept);
    fold_all(&world.store, NOW + DAYS as i64 * DAY).await;
    while world.store.forget_minutes_before(NOW + DAYS as i64 * DAY).await.unwrap() > 0 {}
    compare_days(&world.store, &entries, HOUR).await;
    // A span between is as wide as the hours that hold its ends.
    let between = UsageFilter {
        from_us: Some(NOW + 3 * HOUR + 20 * MINUTE),
        to_us: Some(NOW + 9 * HOUR + 40 * MINUTE),
        ..UsageFilter::default()
    };
    let wide = |from: i64, to: i64| {
        let within = |entry: &&Entry| entry.at_us >= NOW + from && entry.at_us < NOW + to;
        entries.iter().filter(within).count() as u64
    };
    let found = world.store.usage(&[UsageBy::Service], &between).await.unwrap().total.requests;
    assert_eq!(found, wide(3 * HOUR, 10 * HOUR));
    while world.store.forget_hours_before(NOW + 2 * DAY).await.unwrap() > 0 {}
    let found = world.store.usage(&[UsageBy::Key], &between).await.unwrap().total.requests;
    assert_eq!(found, wide(0, DAY), "the day that holds it");
    compare_days(&world.store, &entries, DAY).await;
    // A record that comes late still counts, in what is kept.
    let late = entry(chance, NOW + 5 * HOUR);
    world.store.ship(0, &[batch(1, 0, &[late])], false).await.unwrap();
    let all: Vec<Entry> = entries.iter().copied().chain([late]).collect();
    while world.store.forget_minutes_before(NOW + 3 * DAY).await.unwrap() > 0 {}
    compare_days(&world.store, &all, DAY).await;
    while world.store.forget_days_before(NOW + DAY).await.unwrap() > 0 {}
    let rest = UsageFilter { to_us: Some(NOW + DAY), ..UsageFilter::default() };
    assert_eq!(world.store.usage(&[UsageBy::Code], &rest).await.unwrap().total.requests, 0);
    assert_eq!(
        world
            .store
            .latency(&LatencyFilter { to_us: rest.to_us, ..LatencyFilter::default() })
            .await
            .unwrap()
            .requests(),
        0
    );
}

/// Compares spans of whole days, or hours.
async fn compare_days(store: &Store, entries: &[Entry], unit: i64) {
    let spans = DAYS as i64 * DAY / unit;
    for span in 0..spans {
        let filter = UsageFilter {
            from_us: Some(NOW + span * unit),
            to_us: Some(NOW + (span + 1).max(spans / 2) * unit),
            ..UsageFilter::default()
        };
        let expected = entries.iter().filter(|entry| is_in(&filter, entry)).count() as u64;
        for by in [UsageBy::Key, UsageBy::Consumer, UsageBy::Service] {
            let found = store.usage(&[by], &filter).await.unwrap().total.requests;
            assert_eq!(found, expected, "{by:?} {filter:?}");
        }
    }
}

pub(crate) async fn the_keys_with_the_most_requests_are_found_among_many(world: World) {
    let chance = &mut Chance(23);
    // Key n makes about one call of n², over some days; lists hold 8 and 16 of 120 keys.
    let mut entries: Vec<Entry> = (0..6_000)
        .map(|_| {
            let at_us = chance.moment();
            let even = (chance.below(10_000) + 1) as f64 / 10_000.0;
            let key = (1.0 / even.sqrt()) as u64 % 120;
            Entry { key: key + 1, consumer: 1, tenant: 5, service: 1, ..entry(chance, at_us) }
        })
        .collect();
    for (number, part) in (0..).zip(entries.chunks(1_000)) {
        world.store.ship(0, &[batch(0, number * 1_000, part)], false).await.unwrap();
    }
    while world.store.fold_usage_before(NOW + 4 * DAY, 1_000).await.unwrap() > 0 {}
    while world.store.rank_usage(8).await.unwrap() > 0 {}
    let listed = world.raw("UPDATE usage_tops SET above = above").await;
    assert!((300..4_000).contains(&listed), "{listed}");
    let told = most_are_right(&world.store, chance, &entries).await;
    assert!(told >= 10, "only {told} of 30 questions were answered by the lists");
    // A key that no list holds gets so many late calls in one hour that it is the first.
    let late: Vec<Entry> = (0..5_000)
        .map(|_| {
            let at_us = NOW + DAY + chance.below(HOUR as u64) as i64;
            Entry { key: 119, consumer: 1, tenant: 5, service: 1, ..entry(chance, at_us) }
        })
        .collect();
    world.store.ship(0, &[batch(1, 0, &late)], false).await.unwrap();
    entries.extend(late);
    most_are_right(&world.store, chance, &entries).await;
}

/// Asks 30 times; gives how often the lists answered.
async fn most_are_right(store: &Store, chance: &mut Chance, entries: &[Entry]) -> usize {
    let mut told = 0;
    for _ in 0..30 {
        let mut moments = [chance.moment(), chance.moment()];
        moments.sort_unstable();
        let [from, to] = moments.map(Some);
        let filter =
            UsageFilter { from_us: from, to_us: to, tenant: Some(TenantId(5)), ..UsageFilter::default() };
        let mut groups: BTreeMap<u64, u64> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| is_in(&filter, entry)) {
            *groups.entry(entry.key).or_default() += 1;
        }
        let mut expected: Vec<(u64, u64)> = groups.into_iter().map(|(key, count)| (count, key)).collect();
        expected.sort_by_key(|(count, key)| (std::cmp::Reverse(*count), *key));
        expected.truncate(3);
        let found = store.usage_most(UsageBy::Key, &filter, 3).await.unwrap();
        // Whoever sums up all groups counts them.
        told += usize::from(found.groups.is_none());
        let found: Vec<_> =
            found.rows.iter().map(|row| (row.sums.requests, row.key.map_or(0, |key| key.0))).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    told
}
