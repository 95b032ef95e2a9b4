//! Usage: shipped once, counted exactly (I13, I14).

use std::collections::BTreeSet;

use tollgate_core::{
    authz::Action,
    code::Code,
    counters::RuleId,
    id::{DecisionId, KeyId, TenantId},
};
use tollgate_journal::{Batch, Charge, Entry, Flags, StoredRecord};
use tollgate_store::{
    DecisionFilter, LatencyFilter, PageRequest, QuotaTotal, Rotation, StoreError, UsageBy, UsageFilter,
    UsageMost,
};

use crate::world::{NOW, SECOND, World, new_key, permit, random};

const MONTH: i64 = 31 * 86_400 * SECOND;

fn record(position: u64, key: u64) -> StoredRecord {
    StoredRecord {
        position,
        decision: position * 2 + 1,
        entry: Entry {
            at_us: NOW + position as i64 * SECOND,
            key,
            consumer: 3,
            project: 4,
            tenant: 5,
            service: 6,
            policy: 7,
            code: if position.is_multiple_of(5) { Code::RateLimited.number() } else { Code::Valid.number() },
            method: 1,
            status: 200,
            latency_us: 1000,
            upstream_us: 900,
            bytes_in: 10,
            bytes_out: 200,
            units: 1,
            generation: 0,
            flags: Flags::ABORTED,
            checks_passed: 0xF0,
            checks_configured: 0xFF,
            address: std::net::Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets(),
        },
        charges: vec![Charge {
            rule: 11,
            subject: u64::MAX - 3,
            period_start_us: NOW,
            period_end_us: NOW + MONTH,
            amount: 2,
        }],
        path: format!("/tiles/{position}"),
        detail: "é\0".into(),
        user_agent: "curl/8".into(),
        ..StoredRecord::default()
    }
}

fn batch(lane: u16, positions: std::ops::Range<u64>) -> Batch {
    let (from, to) = (positions.start, positions.end);
    let records = positions.map(|position| record(position, 21 + u64::from(lane))).collect();
    Batch { boot: 0xABCD, lane, from, to, lost: 0, records }
}

fn total(used: u64) -> QuotaTotal {
    QuotaTotal {
        rule: RuleId(11),
        subject: u64::MAX - 3,
        period_start_us: NOW,
        period_end_us: NOW + MONTH,
        used,
    }
}

async fn requests(world: &World) -> u64 {
    world.store.usage(&[], &UsageFilter::default()).await.unwrap().total.requests
}

pub(crate) async fn shipping_again_counts_once(world: World) {
    for time in 0..3 {
        let shipped = world.store.ship(0, &[batch(0, 0..100), batch(1, 0..50)], true).await.unwrap();
        assert_eq!(shipped.records, if time == 0 { 150 } else { 0 });
        assert_eq!(requests(&world).await, 150);
        assert_eq!(world.store.quota_usage(NOW).await.unwrap(), [total(300)]);
        assert_eq!(world.store.count_decisions(&DecisionFilter::default()).await.unwrap(), 150);
    }
    assert_eq!(world.store.shipped_upto(0xABCD, 0).await.unwrap(), 100);
    assert_eq!(world.store.shipped_upto(0xABCD, 9).await.unwrap(), 0);
    let marks: Vec<_> = world
        .store
        .shipped_marks()
        .await
        .unwrap()
        .iter()
        .map(|mark| (mark.boot, mark.lane, mark.position))
        .collect();
    assert_eq!(marks, [(0xABCD, 0, 100), (0xABCD, 1, 50)]);
}

pub(crate) async fn overlapping_and_concurrent_shipments_count_once(world: World) {
    let other = world.other().await;
    let mut calls = Vec::new();
    for start in 0..10u64 {
        for store in [world.store.clone(), other.clone()] {
            calls.push(tokio::spawn(async move {
                let piece = [batch(0, start * 7..start * 7 + 20)];
                loop {
                    match store.ship(0, &piece, true).await {
                        Ok(_) => break,
                        Err(StoreError::Busy { .. }) => {}
                        Err(error) => panic!("{error}: {:?}", error.cause()),
                    }
                }
            }));
        }
    }
    for call in calls {
        call.await.unwrap();
    }
    // Pieces that came after later ones are skipped whole; shipping in order afterwards adds nothing
    // below the mark, so each position counts at most once and those of the last piece exactly once.
    let upto = world.store.shipped_upto(0xABCD, 0).await.unwrap();
    assert_eq!(upto, 83);
    let counted = requests(&world).await;
    assert_eq!(world.store.count_decisions(&DecisionFilter::default()).await.unwrap(), counted);
    assert_eq!(world.store.quota_usage(NOW).await.unwrap(), [total(counted * 2)]);
    assert!((20..=83).contains(&counted));
    world.store.ship(0, &[batch(0, 60..100)], true).await.unwrap();
    assert_eq!(requests(&world).await, counted + 17);
}

pub(crate) async fn losses_count_once(world: World) {
    let lost = Batch { lost: 10, ..batch(0, 10..20) };
    assert_eq!(world.store.ship(0, std::slice::from_ref(&lost), false).await.unwrap().lost, 10);
    assert_eq!(world.store.ship(0, &[lost], false).await.unwrap().lost, 0);
    let only_lost = Batch { lost: 5, records: vec![], ..batch(0, 25..25) };
    assert_eq!(world.store.ship(0, &[only_lost], false).await.unwrap().lost, 5);
    assert_eq!(world.store.records_lost().await.unwrap(), 15);
    assert_eq!((requests(&world).await, world.store.shipped_upto(0xABCD, 0).await.unwrap()), (10, 25));
    assert_eq!(world.store.count_decisions(&DecisionFilter::default()).await.unwrap(), 0, "not kept");
}

pub(crate) async fn quotas_are_exact(world: World) {
    let first = world.store.ship(0, &[batch(0, 0..30)], false).await.unwrap();
    assert_eq!(first.quotas, [total(60)]);
    let second = world.store.ship(0, &[batch(1, 0..5), batch(0, 30..40)], false).await.unwrap();
    assert_eq!(second.quotas, [total(90)], "the total over all lanes");
    let mut next = batch(0, 40..41);
    next.records[0].charges[0].period_start_us = NOW + MONTH;
    next.records[0].charges[0].period_end_us = NOW + 2 * MONTH;
    world.store.ship(0, &[next], false).await.unwrap();
    let mut open: Vec<_> =
        world.store.quota_usage(NOW + MONTH - 1).await.unwrap().iter().map(|one| one.used).collect();
    open.sort_unstable();
    assert_eq!(open, [2, 90]);
    assert_eq!(world.store.quota_usage(NOW + MONTH).await.unwrap().len(), 1, "an ended period is not seeded");
}

pub(crate) async fn usage_is_grouped(world: World) {
    let world = world.furnished().await;
    let service = world.store.find_service("tiles").await.unwrap();
    let consumer = world.store.find_consumer("acme/maps/app").await.unwrap();
    let project = world.store.find_project("maps").await.unwrap();
    let mut batch = batch(0, 0..120);
    for record in &mut batch.records {
        record.entry.service = service.id.0;
        record.entry.consumer = consumer.id.0;
        record.entry.project = project.id.0;
        record.entry.key = if record.position < 10 { 0 } else { 21 };
    }
    world.store.ship(0, &[batch], false).await.unwrap();
    let all = UsageFilter::default();
    let report = world.store.usage(&[UsageBy::Key, UsageBy::Service, UsageBy::Code], &all).await.unwrap();
    assert_eq!(report.rows.len(), 4);
    assert_eq!((report.total.requests, report.total.denied, report.total.units), (120, 24, 120));
    assert_eq!(
        (report.total.bytes_in, report.total.bytes_out, report.total.latency_us),
        (1200, 24_000, 120_000)
    );
    assert_eq!((report.rows[0].key, report.rows[0].code), (None, Some(Code::Valid)));
    assert_eq!(report.rows[0].service.as_ref().unwrap().name, "tiles");
    assert_eq!((report.rows[3].key, report.rows[3].sums.requests), (Some(KeyId(21)), 22));
    let by_minute = world.store.usage(&[UsageBy::Minute, UsageBy::Consumer], &all).await.unwrap();
    let minutes: Vec<_> =
        by_minute.rows.iter().map(|row| (row.time_us.unwrap() - NOW, row.sums.requests)).collect();
    assert_eq!(minutes, [(0, 60), (60 * SECOND, 60)]);
    assert_eq!(by_minute.rows[0].consumer.as_ref().unwrap().name, "app");
    let by_day = world.store.usage(&[UsageBy::Day, UsageBy::Project, UsageBy::Tenant], &all).await.unwrap();
    assert_eq!((by_day.rows.len(), by_day.rows[0].time_us), (1, Some(NOW)));
    assert_eq!(
        by_day.rows[0].tenant.as_ref().unwrap().name,
        "ten_00000000005",
        "what is gone is called by its id"
    );
    let most = world.store.usage_most(UsageBy::Key, &all, 1).await.unwrap();
    assert_eq!((most.groups, most.total), (Some(2), report.total), "those that are not listed count");
    assert_eq!((most.rows.len(), most.rows[0].key, most.rows[0].sums.requests), (1, Some(KeyId(21)), 110));
    let most = world.store.usage_most(UsageBy::Service, &all, 9).await.unwrap();
    assert_eq!((most.rows.len(), most.rows[0].service.as_ref().unwrap().name.as_str()), (1, "tiles"));
    let some = UsageFilter {
        from_us: Some(NOW + 61 * SECOND),
        key: Some(KeyId(21)),
        code: Some(Code::RateLimited),
        service: Some(service.id),
        ..UsageFilter::default()
    };
    assert_eq!(world.store.usage(&[], &some).await.unwrap().total.requests, 12);
    let none = UsageFilter { to_us: Some(NOW), ..UsageFilter::default() };
    assert_eq!(world.store.usage(&[UsageBy::Key], &none).await.unwrap().rows, []);
    let nothing = UsageMost { groups: Some(0), ..UsageMost::default() };
    assert_eq!(world.store.usage_most(UsageBy::Key, &none, 5).await.unwrap(), nothing);
    assert!(world.store.usage(&[UsageBy::Day, UsageBy::Hour], &all).await.is_err());
}

pub(crate) async fn decisions_are_kept_and_paged(world: World) {
    world.store.ship(0, &[batch(0, 0..60), batch(1, 0..60)], true).await.unwrap();
    for oldest_first in [false, true] {
        let filter = DecisionFilter { oldest_first, ..DecisionFilter::default() };
        let mut seen = Vec::new();
        let mut page = PageRequest { limit: 50, cursor: None };
        loop {
            let part = world.store.decisions(&filter, &page).await.unwrap();
            seen.extend(part.items.iter().map(|row| (row.at_us, row.id)));
            match part.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        if !oldest_first {
            sorted.reverse();
        }
        assert_eq!((seen.len(), &seen), (120, &sorted));
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 120);
    }
    let id = DecisionId { boot: 0xABCD, lane: 1, number: 7 };
    let row = world.store.decision(id).await.unwrap();
    assert_eq!((row.id, row.at_us, row.code), (id, NOW + 3 * SECOND, Code::Valid));
    assert_eq!((row.key, row.policy.map(|id| id.0)), (Some(KeyId(22)), Some(7)));
    assert_eq!(
        (row.path.as_str(), row.detail.as_str(), row.user_agent.as_str()),
        ("/tiles/3", "é\0", "curl/8")
    );
    assert_eq!((row.address.to_string(), row.flags), ("192.0.2.7".to_owned(), Flags::ABORTED.0));
    assert_eq!(
        (row.checks_passed, row.checks_configured, row.upstream_us, row.status),
        (0xF0, 0xFF, 900, 200)
    );
    let missing = DecisionId { number: 8, ..id };
    assert!(matches!(world.store.decision(missing).await, Err(StoreError::NotFound { .. })));
    let filter = DecisionFilter {
        key: Some(KeyId(22)),
        code: Some(Code::RateLimited),
        from_us: Some(NOW + 10 * SECOND),
        to_us: Some(NOW + 20 * SECOND),
        ..DecisionFilter::default()
    };
    assert_eq!(world.store.count_decisions(&filter).await.unwrap(), 2);
    assert_eq!(world.store.decisions(&filter, &PageRequest::default()).await.unwrap().items.len(), 2);
}

pub(crate) async fn the_last_use_is_shown(world: World) {
    let world = world.furnished().await;
    let key = world.create(new_key(), 1).await.value;
    let rotation = Rotation { id: key.id, overlap_us: 1 };
    world.store.rotate_key(&permit(Action::ChangeKeys), rotation, &random(2), NOW).await.unwrap();
    let use_of = |position, generation, at_us| {
        let mut record = record(position, key.id.0);
        (record.entry.generation, record.entry.at_us) = (generation, at_us);
        record
    };
    let records = vec![use_of(0, 0, NOW + 5), use_of(1, 1, NOW + 9), use_of(2, 0, NOW + 3)];
    let first = Batch { records, ..batch(0, 0..3) };
    world.store.ship(0, &[first], false).await.unwrap();
    let late = Batch { records: vec![use_of(0, 1, NOW + 1)], ..batch(1, 0..1) };
    world.store.ship(0, &[late], false).await.unwrap();
    let shown = world.store.show_key(&key.id.to_string()).await.unwrap();
    let uses: Vec<_> = shown.secrets.iter().map(|secret| (secret.generation, secret.last_used_us)).collect();
    assert_eq!(uses, [(1, Some(NOW + 9)), (0, Some(NOW + 5))]);
    assert_eq!(shown.secrets[0].last_used_address.unwrap().to_string(), "192.0.2.7");
}

pub(crate) async fn what_is_old_is_forgotten(world: World) {
    world.store.ship(0, &[batch(0, 0..120)], true).await.unwrap();
    assert_eq!(world.store.oldest_decision_us().await.unwrap(), Some(NOW));
    assert_eq!(world.store.forget_decisions_before(NOW + 100 * SECOND).await.unwrap(), 100);
    assert_eq!(world.store.forget_decisions_before(NOW + 100 * SECOND).await.unwrap(), 0);
    assert_eq!(world.store.oldest_decision_us().await.unwrap(), Some(NOW + 100 * SECOND));
    let day = 86_400 * SECOND;
    assert_eq!(world.store.forget_minutes_before(NOW + day).await.unwrap(), 0, "not folded yet");
    while world.store.fold_usage_before(NOW + day, 1_000).await.unwrap() > 0 {}
    let gone = world.store.forget_minutes_before(NOW + day).await.unwrap();
    assert_eq!(gone, 10, "of two minutes: two codes by key and by service, and how long answers took");
    assert_eq!(requests(&world).await, 120);
    while world.store.forget_hours_before(NOW + day).await.unwrap() > 0 {}
    assert_eq!(requests(&world).await, 120);
    while world.store.forget_days_before(NOW + day).await.unwrap() > 0 {}
    assert_eq!(requests(&world).await, 0);
    assert_eq!(world.store.forget_quotas_ended_before(NOW + MONTH).await.unwrap(), 0);
    assert_eq!(world.store.forget_quotas_ended_before(NOW + MONTH + 1).await.unwrap(), 1);
    world.store.ship(0, &[batch(0, 0..120)], true).await.unwrap();
    assert_eq!(requests(&world).await, 0, "what was forgotten does not come back");
}

pub(crate) async fn times_of_answers_add_up(world: World) {
    let mut batch = batch(0, 0..200);
    for (record, ms) in batch.records.iter_mut().zip(0u32..) {
        record.entry.latency_us = ms * 1000;
        record.entry.service = 6 + u64::from(ms % 2);
    }
    for _ in 0..2 {
        world.store.ship(0, std::slice::from_ref(&batch), false).await.unwrap();
    }
    let all = world.store.latency(&LatencyFilter::default()).await.unwrap();
    assert_eq!(all.requests(), 160, "once, and those that were allowed");
    for (share, ms) in [(500, 100), (950, 190), (990, 198)] {
        let found = all.per_mille(share).unwrap() / 1000;
        assert!(found.abs_diff(ms) * 8 <= ms, "{found} ms for {ms}");
    }
    let services = world.store.latency_by_service(&LatencyFilter::default()).await.unwrap();
    assert_eq!(services.iter().map(|(_, own)| own.requests()).collect::<Vec<_>>(), [80, 80]);
    let (one, _) = services[0];
    let filter =
        LatencyFilter { service: Some(one), from_us: Some(NOW + 60 * SECOND), ..LatencyFilter::default() };
    assert_eq!(
        world.store.latency(&filter).await.unwrap().requests(),
        56,
        "70 of 140 seconds, but each fifth"
    );
    let nobody = LatencyFilter { tenant: Some(TenantId(1)), ..LatencyFilter::default() };
    assert_eq!(world.store.latency(&nobody).await.unwrap().per_mille(500), None);
}

pub(crate) async fn secrets_ended_long_ago_are_forgotten(world: World) {
    let world = world.furnished().await;
    let key = world.create(new_key(), 1).await.value;
    let rotation = Rotation { id: key.id, overlap_us: SECOND };
    world.store.rotate_key(&permit(Action::ChangeKeys), rotation, &random(2), NOW).await.unwrap();
    let mut old = batch(0, 0..1);
    (old.records[0].entry.key, old.records[0].entry.generation) = (key.id.0, 0);
    world.store.ship(0, &[old], false).await.unwrap();
    assert_eq!(world.store.forget_secrets_ended_before(NOW + SECOND).await.unwrap(), 0, "it ends just then");
    assert_eq!(world.store.show_key(&key.id.to_string()).await.unwrap().secrets.len(), 2);
    assert_eq!(world.store.forget_secrets_ended_before(NOW + SECOND + 1).await.unwrap(), 1);
    assert_eq!(world.store.forget_secrets_ended_before(i64::MAX).await.unwrap(), 0, "the present one stays");
    let secrets = world.store.show_key(&key.id.to_string()).await.unwrap().secrets;
    assert_eq!(secrets.iter().map(|secret| secret.generation).collect::<Vec<_>>(), [1]);
}
