//! Records: each once, in the order of commits, whatever happens on the way (I15, I16, T7).

use std::collections::{BTreeMap, HashSet};

use tollgate_core::{
    event::{Batch, BatchName, Content, NotTaken, Record, Sender, Slice, Taken},
    id::{ConsumerId, KeyId, ProjectId, ServiceId, TenantId},
    key::Digest,
};
use tollgate_store::{
    ApplyMode, EventFilter, EventRow, IngestOptions, Ingester, NewParked, PageRequest, ParkedFilter,
    ParkedState, Policy, SettledSpan, Store,
};

use crate::world::{NOW, SECOND, World, permit, resources};

const ACME: TenantId = TenantId(1);
const OTHER: TenantId = TenantId(2);

fn sender(tenant: TenantId) -> Sender {
    Sender { tenant, project: ProjectId(3), service: ServiceId(4), consumer: ConsumerId(5), key: KeyId(6) }
}

/// A batch of records with these ids (none where empty), each with its number as data.
fn batch(tenant: TenantId, ids: &[&str]) -> Batch {
    let mut buffer = Vec::new();
    let mut put = |text: &str| {
        let start = buffer.len() as u32;
        buffer.extend_from_slice(text.as_bytes());
        Slice { start, end: buffer.len() as u32 }
    };
    let records = ids
        .iter()
        .enumerate()
        .map(|(index, id)| Record {
            id: (!id.is_empty()).then(|| put(id)),
            kind: None,
            source: None,
            version: None,
            time_us: None,
            data: put(&format!("{{\"n\":{index}}}")),
            content: Content::Json,
            attributes: (0, 0),
        })
        .collect();
    Batch {
        sender: sender(tenant),
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

fn named(mut batch: Batch, name: u8, request: u8) -> Batch {
    batch.name = Some(BatchName { name: Digest([name; 32]), request: Digest([request; 32]) });
    batch
}

fn ingester(store: &Store) -> Ingester {
    Ingester::start(store.clone(), IngestOptions { disk_free_min: 0, ..IngestOptions::default() }).0
}

fn counts(taken: Taken) -> (u64, u64) {
    (taken.accepted, taken.duplicates)
}

async fn everything(store: &Store, filter: &EventFilter) -> Vec<EventRow> {
    in_pages_of(7, store, filter).await
}

async fn in_pages_of(limit: u32, store: &Store, filter: &EventFilter) -> Vec<EventRow> {
    let mut page = PageRequest { limit, cursor: None };
    let mut rows = Vec::new();
    loop {
        let part = store.events(filter, &page).await.unwrap();
        rows.extend(part.items);
        page.cursor = part.next;
        if page.cursor.is_none() {
            return rows;
        }
    }
}

pub(crate) async fn a_record_counts_once_by_tenant_source_and_id(world: World) {
    let ingester = ingester(&world.store);
    assert_eq!(counts(ingester.submit(batch(ACME, &["a", "b", "a", ""])).await.unwrap()), (3, 1));
    assert_eq!(counts(ingester.submit(batch(ACME, &["b", "c", ""])).await.unwrap()), (2, 1));
    assert_eq!(counts(ingester.submit(batch(OTHER, &["a"])).await.unwrap()), (1, 0), "another tenant");
    let mut elsewhere = batch(ACME, &["a"]);
    elsewhere.source = "/elsewhere".into();
    assert_eq!(counts(ingester.submit(elsewhere).await.unwrap()), (1, 0), "another source");
    // Another process on the same database knows what this one took, and the other way round.
    let other = self::ingester(&world.other().await);
    assert_eq!(counts(other.submit(batch(ACME, &["a", "d"])).await.unwrap()), (1, 1));
    assert_eq!(counts(ingester.submit(batch(ACME, &["d", "e"])).await.unwrap()), (1, 1));
    let rows = everything(&world.store, &EventFilter { tenant: Some(ACME), ..EventFilter::default() }).await;
    let ids: Vec<&str> = rows.iter().rev().map(|row| row.id.as_deref().unwrap_or("-")).collect();
    assert_eq!(ids, ["a", "b", "-", "c", "-", "a", "d", "e"]);
    let events: HashSet<&str> = rows.iter().map(|row| row.event_id.as_str()).collect();
    assert_eq!(events.len(), rows.len(), "event ids tell records apart");
}

pub(crate) async fn a_named_request_takes_effect_once_and_has_one_answer(world: World) {
    let ingester = ingester(&world.store);
    let first = ingester.submit(named(batch(ACME, &["", ""]), 1, 1)).await.unwrap();
    assert!(!first.replayed);
    let again = ingester.submit(named(batch(ACME, &["", ""]), 1, 1)).await.unwrap();
    assert_eq!(again, Taken { replayed: true, ..first });
    let other = ingester.submit(named(batch(ACME, &[""]), 1, 2)).await;
    assert_eq!(other, Err(NotTaken::NameConflict));
    assert!(!ingester.submit(named(batch(OTHER, &[""]), 1, 2)).await.unwrap().replayed, "another tenant");
    let elsewhere = self::ingester(&world.other().await);
    assert_eq!(elsewhere.submit(named(batch(ACME, &["", ""]), 1, 1)).await.unwrap(), again);
    assert_eq!(world.store.count_events(&EventFilter::default()).await.unwrap(), 3);
}

/// As many bytes as may lie there: what was taken stays, nothing more is taken, until some have gone.
pub(crate) async fn at_the_bound_of_bytes_nothing_is_taken_until_there_is_room(world: World) {
    let options = IngestOptions {
        disk_free_min: 0,
        kept_bytes_max: 4_096,
        look_every: std::time::Duration::from_millis(50),
        ..IngestOptions::default()
    };
    let (ingester, _committing) = Ingester::start(world.store.clone(), options);
    let mut taken = 0;
    let refused = loop {
        let ids = [format!("{taken}-a"), format!("{taken}-b")];
        match ingester.submit(batch(ACME, &[&ids[0], &ids[1]])).await {
            Ok(answer) => taken += answer.accepted,
            Err(refused) => break refused,
        }
        assert!(taken < 10_000, "the bound is never reached");
    };
    let is_full = |answer: &NotTaken| matches!(answer, NotTaken::Overloaded { retry_after_s: 30, .. });
    assert!(is_full(&refused), "{refused:?}");
    // Many at once, and by another process too, as soon as it has looked.
    for _ in 0..20 {
        assert!(is_full(&ingester.submit(batch(ACME, &[""])).await.unwrap_err()));
    }
    let count = async || world.store.count_events(&EventFilter::default()).await.unwrap();
    assert_eq!(count().await, taken, "what was answered is there, and what was refused is not");
    let refuses_again = async |ingester: &Ingester| {
        for _ in 0..500 {
            match ingester.submit(batch(ACME, &[""])).await {
                Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                Err(refused) => return is_full(&refused),
            }
        }
        false
    };
    let (other, _committing) = Ingester::start(world.other().await, options);
    assert!(refuses_again(&other).await);
    let present = count().await;
    world.raw("DELETE FROM event_blocks WHERE starts < 20").await;
    let left = count().await;
    assert!(left < present);
    // There is room again: it is found without anybody doing anything.
    let mut tries = 0;
    while let Err(refused) = ingester.submit(batch(ACME, &["again"])).await {
        assert!(is_full(&refused) && tries < 500, "{refused:?}");
        tries += 1;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(count().await, left + 1);
    assert!(refuses_again(&ingester).await, "and is full again");
}

/// T7: many clients, few names, all at once and from two processes.
pub(crate) async fn a_storm_of_the_same_requests_has_one_effect_each(world: World) {
    const NAMES: u8 = 8;
    const TRIES: usize = 60;
    let ingesters = [ingester(&world.store), ingester(&world.other().await)];
    let mut tries = tokio::task::JoinSet::new();
    for attempt in 0..TRIES {
        for name in 0..NAMES {
            let ingester = ingesters[attempt % 2].clone();
            tries.spawn(async move {
                loop {
                    match ingester.submit(named(batch(ACME, &["", "x"]), name, name)).await {
                        Ok(taken) => return (name, taken.batch, taken.accepted, taken.duplicates),
                        Err(NotTaken::UnderWay) => tokio::task::yield_now().await,
                        Err(other) => panic!("{other:?}"),
                    }
                }
            });
        }
    }
    let mut answers: BTreeMap<u8, HashSet<_>> = BTreeMap::new();
    while let Some(answer) = tries.join_next().await {
        let (name, batch, accepted, duplicates) = answer.unwrap();
        answers.entry(name).or_default().insert((batch, accepted, duplicates));
    }
    assert_eq!(answers.len(), usize::from(NAMES));
    assert!(answers.values().all(|different| different.len() == 1), "{answers:?}");
    // One record without id a name, and `x` once.
    assert_eq!(world.store.count_events(&EventFilter::default()).await.unwrap(), u64::from(NAMES) + 1);
}

pub(crate) async fn ids_and_order_outlive_the_process(world: World) {
    let (first, committing) =
        Ingester::start(world.store.clone(), IngestOptions { disk_free_min: 0, ..IngestOptions::default() });
    let ids: Vec<String> = (0..3000).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut answers = Vec::new();
    for part in ids.chunks(500) {
        answers.push(first.submit(batch(ACME, part)));
    }
    for answer in answers {
        assert_eq!(counts(answer.await.unwrap()), (500, 0));
    }
    committing.end().await.unwrap();
    assert!(
        matches!(first.submit(batch(ACME, &["z"])).await, Err(NotTaken::Overloaded { .. })),
        "it has ended"
    );
    let second = ingester(&world.other().await);
    assert_eq!(counts(second.submit(batch(ACME, &ids)).await.unwrap()), (0, 3000));
    let outbox = world.store.outbox(0).await.unwrap();
    let mut seen = Vec::new();
    outbox.each(0, |event| seen.push((event.position, event.id.unwrap_or_default().to_owned()))).unwrap();
    let wanted: Vec<(u64, String)> = (0..).zip(ids.iter().map(|id| (*id).to_owned())).collect();
    assert_eq!(seen, wanted);
    let mut rest = Vec::new();
    world.store.outbox(2500).await.unwrap().each(2500, |event| rest.push(event.position)).unwrap();
    assert_eq!(rest, (2500..3000).collect::<Vec<u64>>());
}

pub(crate) async fn records_are_found_by_what_they_are(world: World) {
    let ingester = ingester(&world.store);
    for (tenant, kind, at) in [(ACME, "a", 0), (ACME, "b", 10), (OTHER, "a", 20), (ACME, "a", 30)] {
        let mut batch = batch(tenant, &[""]);
        batch.default_type = kind.into();
        batch.received_us = NOW + at * SECOND;
        ingester.submit(batch).await.unwrap();
    }
    let count = async |filter: EventFilter| world.store.count_events(&filter).await.unwrap();
    assert_eq!(count(EventFilter { kind: Some("a".into()), ..EventFilter::default() }).await, 3);
    assert_eq!(
        count(EventFilter { kind: Some("a".into()), tenant: Some(ACME), ..EventFilter::default() }).await,
        2
    );
    let late = EventFilter {
        from_us: Some(NOW + 10 * SECOND),
        to_us: Some(NOW + 30 * SECOND),
        ..EventFilter::default()
    };
    assert_eq!(count(late).await, 2);
    assert_eq!(count(EventFilter { key: Some(KeyId(99)), ..EventFilter::default() }).await, 0);
    let rows = everything(&world.store, &EventFilter::default()).await;
    assert_eq!(rows.iter().map(|row| row.position).collect::<Vec<_>>(), [3, 2, 1, 0], "newest first");
    assert_eq!(rows[0].data, b"{\"n\":0}");
}

/// A batch over more than one block, each record of another key than the one before, one consumer after the other: the
/// filter of blocks finds each, and their order is that of the batch.
pub(crate) async fn records_of_many_keys_in_one_batch_are_each_of_their_own(world: World) {
    const RECORDS: usize = 5_000;
    let own = |index: usize| Sender {
        consumer: ConsumerId(100 + (index / 1_000) as u64),
        key: KeyId(1_000 + (index % 997) as u64),
        ..sender(ACME)
    };
    let mut many = batch(ACME, &vec![""; RECORDS]);
    many.senders = (1..RECORDS).map(|index| (index as u32, own(index))).collect();
    let ingester = ingester(&world.store);
    assert_eq!(counts(ingester.submit(many).await.unwrap()), (RECORDS as u64, 0));
    assert_eq!(counts(ingester.submit(batch(OTHER, &["a"])).await.unwrap()), (1, 0));
    let filter = EventFilter { tenant: Some(ACME), ..EventFilter::default() };
    let rows = in_pages_of(1_000, &world.store, &filter).await;
    assert_eq!(rows.len(), RECORDS);
    for (index, row) in rows.iter().rev().enumerate() {
        let of = if index == 0 { sender(ACME) } else { own(index) };
        assert_eq!((row.position, row.consumer, row.key), (index as u64, of.consumer, of.key));
        assert_eq!(row.event_id, format!("{}-{index}", row.batch));
        assert_eq!(row.data, format!("{{\"n\":{index}}}").into_bytes());
    }
    let count = async |filter: EventFilter| world.store.count_events(&filter).await.unwrap();
    let of_key = |key| EventFilter { key: Some(KeyId(key)), ..EventFilter::default() };
    assert_eq!(count(of_key(1_000)).await, 5);
    assert_eq!(count(of_key(1_996)).await, 5);
    assert_eq!(count(of_key(6)).await, 2, "the first, and that of the other tenant");
    let consumer = EventFilter { consumer: Some(ConsumerId(104)), ..EventFilter::default() };
    assert_eq!(count(consumer).await, 1_000);
}

pub(crate) async fn what_there_is_no_room_for_is_refused_at_once(world: World) {
    let options = IngestOptions { bytes_max: 40, disk_free_min: 0, ..IngestOptions::default() };
    let (ingester, _task) = Ingester::start(world.store.clone(), options);
    // The first may be larger than the bound, or nothing large would ever be taken.
    let waits = ingester.submit(batch(ACME, &["a", "b", "c", "d", "e", "f"]));
    let refused = ingester.submit(batch(ACME, &["g"]));
    assert!(matches!(refused.await, Err(NotTaken::Overloaded { retry_after_s: 1, .. })));
    assert_eq!(waits.await.unwrap().accepted, 6);
    assert_eq!(ingester.submit(batch(ACME, &["g"])).await.unwrap().accepted, 1);
    let full = IngestOptions { disk_free_min: u64::MAX, ..IngestOptions::default() };
    let (ingester, _task) = Ingester::start(world.store.clone(), full);
    // The first is refused where it would be written, the next where it comes.
    for id in ["h", "i"] {
        let answer = ingester.submit(batch(ACME, &[id])).await;
        // A server's disk is not ours to look at.
        assert_eq!(answer.is_err(), world.url.starts_with("sqlite"), "{answer:?}");
    }
    let kept = if world.url.starts_with("sqlite") { 7 } else { 9 };
    assert_eq!(world.store.count_events(&EventFilter::default()).await.unwrap(), kept);
}

pub(crate) async fn only_the_present_relay_moves_the_cursor(world: World) {
    let ingester = ingester(&world.store);
    ingester.submit(batch(ACME, &["", "", ""])).await.unwrap();
    let store = &world.store;
    let first = store.take_relay("kafka", 1, (NOW, NOW + 10 * SECOND)).await.unwrap().unwrap();
    assert_eq!(store.take_relay("kafka", 2, (NOW + SECOND, NOW + 11 * SECOND)).await.unwrap(), None);
    store.advance_relay(&first, (1, NOW + 12 * SECOND), &[], None).await.unwrap().unwrap();
    // The clock of another node is ahead: it takes over, and the first changes nothing any more.
    let second = store.take_relay("kafka", 2, (NOW + 13 * SECOND, NOW + 23 * SECOND)).await.unwrap().unwrap();
    assert!(second.epoch > first.epoch && second.sent == 1);
    let parked = NewParked {
        position: 1,
        tenant: ACME,
        event: "e".into(),
        kind: "t".into(),
        reason: "too large".into(),
        policy: Policy::Hold,
        parked_us: NOW,
    };
    assert!(
        store
            .advance_relay(&first, (3, NOW + 99 * SECOND), std::slice::from_ref(&parked), None)
            .await
            .unwrap()
            .is_err()
    );
    assert!(store.parked(&ParkedFilter::default()).await.unwrap().is_empty());
    store.advance_relay(&second, (2, NOW + 24 * SECOND), &[parked], None).await.unwrap().unwrap();
    let lag = store.outbox_lag().await.unwrap().remove(0);
    assert_eq!((lag.records, lag.parked, lag.epoch), (1, 1, second.epoch));
    // What is held, and what is not sent, is never forgotten.
    assert_eq!(store.forget_events_before(NOW + SECOND).await.unwrap(), 0);
    let open = ParkedFilter { open: true, ..ParkedFilter::default() };
    let permit = permit(tollgate_core::authz::Action::ChangeResources);
    let row = store.release_parked(&permit, ("e", ParkedState::Skip), NOW).await.unwrap();
    assert!(store.release_parked(&permit, ("e", ParkedState::Retry), NOW).await.is_err(), "it is released");
    let settled = Some(SettledSpan { tenant: row.tenant, from: 1, to: 2 });
    let late = store.advance_relay(&first, (2, NOW + 99 * SECOND), &[], settled).await.unwrap();
    assert!(late.is_err() && store.parked(&open).await.unwrap().len() == 1, "the old epoch settles nothing");
    store.advance_relay(&second, (2, NOW + 25 * SECOND), &[], settled).await.unwrap().unwrap();
    assert!(store.parked(&open).await.unwrap().is_empty());
    let all = store.parked(&ParkedFilter::default()).await.unwrap();
    assert_eq!(all[0].state, ParkedState::Passed, "what was to be left out stays on the list");
    assert_eq!(store.forget_events_before(NOW + SECOND).await.unwrap(), 0, "the last is not sent");
    store.advance_relay(&second, (3, NOW + 25 * SECOND), &[], None).await.unwrap().unwrap();
    assert_eq!(store.forget_events_before(NOW + SECOND).await.unwrap(), 1);
    assert_eq!(store.count_events(&EventFilter::default()).await.unwrap(), 0);
    store.leave_relay(&second).await.unwrap();
    assert!(store.take_relay("kafka", 3, (NOW, NOW + SECOND)).await.unwrap().is_some());
    // A sink that is new begins with the oldest record that is still there.
    let begins = async |sink: &'static str| {
        store.take_relay(sink, 1, (NOW, NOW + SECOND)).await.unwrap().unwrap().sent
    };
    assert_eq!(begins("with none left").await, 3);
    ingester.submit(batch(ACME, &["", ""])).await.unwrap();
    assert_eq!(begins("with some").await, 3);
    assert_eq!(begins("with none left").await, 3);
}

pub(crate) async fn ids_from_before_are_known_to_the_next_run(world: World) {
    assert_eq!(ingester(&world.store).submit(batch(ACME, &["a", "b"])).await.unwrap().accepted, 2);
    let next = ingester(&world.store);
    // Another appends while this one has not read anything, and once it has.
    let other = ingester(&world.store);
    for (ids, accepted) in [(["c", "d"], 2), (["d", "e"], 1)] {
        assert_eq!(other.submit(batch(ACME, &ids)).await.unwrap().accepted, accepted);
        assert_eq!(next.submit(batch(ACME, &["a", "b", ids[0], ids[1]])).await.unwrap().accepted, 0);
    }
}

pub(crate) async fn types_of_events_have_versions_and_schemas_that_compile(mut world: World) {
    world = world.furnished().await;
    let kind = |version: u32, schema: &str| serde_json::json!({"project": "maps", "name": "order.placed", "version": version, "schema": schema});
    let types =
        resources(serde_json::json!({"event_type": [kind(1, "{\"type\":\"object\"}"), kind(2, "true")]}));
    let plan = world.apply(&types, ApplyMode::default()).await.unwrap();
    assert_eq!(plan.changes.len(), 2);
    assert!(world.apply(&types, ApplyMode::default()).await.unwrap().changes.is_empty());
    world.catch_up().await;
    let tables = world.snapshot.tables();
    let (project, _) = tables.projects.iter().next().unwrap();
    assert_eq!(tables.event_type(*project, "order.placed").unwrap().versions.len(), 2);
    assert_eq!(world.store.export().await.unwrap().event_types.len(), 2);
    for wrong in ["{", "{\"type\":5}", "{\"$ref\":\"https://example.com/schema\"}", "{\"pattern\":\"(\"}"] {
        let types = resources(serde_json::json!({"event_type": [kind(3, wrong)]}));
        let error = world.apply(&types, ApplyMode::default()).await.unwrap_err().to_string();
        assert!(error.contains("event_type[0].schema"), "{wrong}: {error}");
    }
    let fewer = resources(serde_json::json!({"event_type": [kind(2, "true")]}));
    let mut fewer = fewer;
    let all = world.store.export().await.unwrap();
    (fewer.services, fewer.policies, fewer.consumers) = (all.services, all.policies, all.consumers);
    let plan = world.apply(&fewer, ApplyMode { prune: true, ..ApplyMode::default() }).await.unwrap();
    assert_eq!(plan.changes.len(), 1, "{plan:?}");
}
