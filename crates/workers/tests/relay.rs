//! The relay against producers with every fault (I15, T6): lost 0, out of order 0, poison parked and held.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tollgate_core::{
    authz::Action,
    event::{Batch, Content, Record, Sender, Slice},
    id::{ConsumerId, KeyId, ProjectId, ServiceId, TenantId},
    time::Clock,
};
use tollgate_store::{IngestOptions, Ingester, ParkedFilter, ParkedState, Policy, Store};
use tollgate_workers::{
    Ack, Acks, EventOptions, Fault, MakeProducer, Message, Producer, RelayOptions, Relaying, SendError,
};

use crate::world::{HandClock, START_US, World, permit, until};

/// A topic that remembers, with faults that are switched on and off.
#[derive(Default)]
struct Topic {
    /// Tenant and event id of every message, in the order of arrival.
    arrived: Mutex<Vec<(String, String)>>,
    is_down: AtomicBool,
    /// Messages are taken and nothing is ever said of them.
    is_silent: AtomicBool,
    /// The session breaks at every so many messages; never at 0.
    breaks_every: AtomicUsize,
    sent: AtomicUsize,
    /// Data that is refused.
    poison: Mutex<HashSet<Vec<u8>>>,
    /// Whether poison is found by the brokers, after it was taken, and not at once.
    is_late: AtomicBool,
}

struct Line {
    topic: Arc<Topic>,
    acks: Acks,
    is_broken: bool,
}

struct Lines(Arc<Topic>);

impl MakeProducer for Lines {
    fn open(&self, acks: Acks) -> Result<Box<dyn Producer>, String> {
        Ok(Box::new(Line { topic: Arc::clone(&self.0), acks, is_broken: false }))
    }
}

impl Producer for Line {
    fn send(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        let topic = &self.topic;
        let is_poison = topic.poison.lock().unwrap().contains(message.payload);
        let answer = |outcome| {
            self.acks.try_send(Ack { token: message.token, outcome }).ok();
        };
        if topic.is_silent.load(Ordering::SeqCst) {
            return Ok(());
        }
        if is_poison && !topic.is_late.load(Ordering::SeqCst) {
            return Err(SendError::Poison("it is too large".into()));
        }
        if is_poison {
            answer(Err(Fault::Poison("the broker says no".into())));
            return Ok(());
        }
        let every = topic.breaks_every.load(Ordering::SeqCst);
        let sent = topic.sent.fetch_add(1, Ordering::SeqCst) + 1;
        self.is_broken |= every > 0 && sent.is_multiple_of(every);
        if topic.is_down.load(Ordering::SeqCst) || self.is_broken {
            answer(Err(Fault::Broken("the connection is gone".into())));
            return Ok(());
        }
        let event = message.headers.iter().find(|(name, _)| name == "event_id").unwrap();
        topic.arrived.lock().unwrap().push((message.key.to_owned(), event.1.to_string()));
        answer(Ok(()));
        Ok(())
    }
}

impl Topic {
    /// What a consumer sees of a tenant after it has dropped what came twice.
    fn seen(&self, tenant: TenantId) -> Vec<String> {
        let mut known = HashSet::new();
        let arrived = self.arrived.lock().unwrap();
        let own = arrived.iter().filter(|(key, _)| *key == tenant.to_string());
        own.filter(|(_, event)| known.insert(event.clone())).map(|(_, event)| event.clone()).collect()
    }
}

const TENANTS: [TenantId; 3] = [TenantId(1), TenantId(2), TenantId(3)];

async fn ingest(store: &Store, tenant: TenantId, records: std::ops::Range<u32>) {
    let (ingester, committing) =
        Ingester::start(store.clone(), IngestOptions { disk_free_min: 0, ..IngestOptions::default() });
    let mut buffer = Vec::new();
    let records = records
        .map(|number| {
            let start = buffer.len() as u32;
            buffer.extend_from_slice(format!("{{\"t\":{},\"n\":{number}}}", tenant.0).as_bytes());
            let data = Slice { start, end: buffer.len() as u32 };
            let (id, kind, source, version, time_us) = (None, None, None, None, None);
            Record { id, kind, source, version, time_us, data, content: Content::Json, attributes: (0, 0) }
        })
        .collect();
    let sender = Sender {
        tenant,
        project: ProjectId(1),
        service: ServiceId(1),
        consumer: ConsumerId(1),
        key: KeyId(1),
    };
    let batch = Batch {
        sender,
        senders: Vec::new(),
        received_us: START_US,
        name: None,
        source: "/t".into(),
        default_type: "t".into(),
        buffer,
        records,
        attributes: Vec::new(),
    };
    ingester.submit(batch).await.unwrap();
    committing.end().await.unwrap();
}

/// Every event id of a tenant in the order of commits.
async fn committed(store: &Store) -> BTreeMap<TenantId, Vec<String>> {
    let mut all: BTreeMap<TenantId, Vec<String>> = BTreeMap::new();
    let mut from = 0;
    loop {
        let outbox = store.outbox(from).await.unwrap();
        if outbox.is_empty() {
            return all;
        }
        outbox
            .each(from, |event| all.entry(event.sender.tenant).or_default().push(event.event_id()))
            .unwrap();
        from = outbox.ends;
    }
}

struct Stage {
    world: World,
    store: Arc<Store>,
    topic: Arc<Topic>,
    ticking: tokio::task::JoinHandle<()>,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        let store = Arc::new(world.store.clone());
        let clock = Arc::clone(&world.clock);
        let ticking = tokio::spawn(tick(clock));
        Self { world, store, topic: Arc::new(Topic::default()), ticking }
    }

    fn start(&self, node: u64, policy: Policy) -> Relaying {
        let relay = RelayOptions {
            sink: "kafka".into(),
            takes: tollgate_workers::Takes::All,
            producers: Arc::new(Lines(Arc::clone(&self.topic))),
            policy,
            in_flight_max: 64,
        };
        let clock = Arc::clone(&self.world.clock) as Arc<dyn Clock>;
        let day = Duration::from_secs(86_400);
        let options = EventOptions {
            relays: vec![relay],
            streams: Vec::new(),
            kept: day,
            remembered: day,
            forgets: false,
        };
        Relaying::start(&self.store, &clock, node, options)
    }

    async fn wait_for_all(&self) {
        let all = committed(&self.store).await;
        until("every record has arrived", async || {
            all.iter().all(|(tenant, events)| self.topic.seen(*tenant).len() >= events.len())
        })
        .await;
        for (tenant, events) in all {
            assert_eq!(self.topic.seen(tenant), events, "lost or out of order");
        }
    }

    async fn wait_for_cursor(&self) {
        let ends = self.store.events_end().await.unwrap();
        until("the cursor is at the end", async || {
            self.store.outbox_lag().await.unwrap().first().is_some_and(|lag| lag.records == 0) && ends > 0
        })
        .await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.ticking.abort();
    }
}

/// The clock of the node goes four times as fast as the tests'.
async fn tick(clock: Arc<HandClock>) {
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        clock.advance(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_in_order_and_the_cursor_follows() {
    let stage = Stage::new().await;
    let relaying = stage.start(1, Policy::Hold);
    for part in 0..5 {
        for tenant in TENANTS {
            ingest(&stage.store, tenant, part * 40..part * 40 + 40).await;
        }
    }
    stage.wait_for_all().await;
    stage.wait_for_cursor().await;
    relaying.stop().await;
    let before = stage.topic.arrived.lock().unwrap().len();
    assert_eq!(before, 600, "without a fault nothing comes twice");
    // The next run goes on where this one was.
    ingest(&stage.store, TENANTS[0], 0..3).await;
    let relaying = stage.start(2, Policy::Hold);
    stage.wait_for_all().await;
    relaying.stop().await;
    assert_eq!(stage.topic.arrived.lock().unwrap().len(), before + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_sessions_and_an_outage_lose_nothing_and_keep_the_order() {
    let stage = Stage::new().await;
    stage.topic.breaks_every.store(97, Ordering::SeqCst);
    for tenant in TENANTS {
        ingest(&stage.store, tenant, 0..150).await;
    }
    let relaying = stage.start(1, Policy::Hold);
    until("some have arrived", async || stage.topic.arrived.lock().unwrap().len() > 100).await;
    stage.topic.is_down.store(true, Ordering::SeqCst);
    ingest(&stage.store, TENANTS[1], 150..200).await;
    stage.topic.is_down.store(false, Ordering::SeqCst);
    stage.wait_for_all().await;
    relaying.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_by_mistake_do_no_harm() {
    let stage = Stage::new().await;
    for tenant in TENANTS {
        ingest(&stage.store, tenant, 0..200).await;
    }
    // The same node twice: each takes the lease from the other again and again.
    let (one, other) = (stage.start(1, Policy::Hold), stage.start(1, Policy::Hold));
    stage.wait_for_all().await;
    stage.wait_for_cursor().await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_was_killed_is_followed_by_another_node() {
    let stage = Stage::new().await;
    ingest(&stage.store, TENANTS[0], 0..300).await;
    // Killed: its lease stays until it runs out.
    let now = stage.world.clock.now().wall_us;
    let lease = stage.store.take_relay("kafka", 1, (now, now + 15_000_000)).await.unwrap().unwrap();
    let relaying = stage.start(2, Policy::Hold);
    stage.wait_for_all().await;
    stage.wait_for_cursor().await;
    let late = stage.store.advance_relay(&lease, (10, i64::MAX), &[], None).await.unwrap();
    assert!(late.is_err(), "the old epoch never moves the cursor");
    relaying.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_parked_with_its_reason_and_holds_its_tenant_until_it_is_released() {
    for is_late in [false, true] {
        let stage = Stage::new().await;
        stage.topic.is_late.store(is_late, Ordering::SeqCst);
        let poison = format!("{{\"t\":{},\"n\":5}}", TENANTS[0].0).into_bytes();
        stage.topic.poison.lock().unwrap().insert(poison);
        ingest(&stage.store, TENANTS[0], 0..6).await;
        let relaying = stage.start(1, Policy::Hold);
        let parked = async || {
            stage.store.parked(&ParkedFilter { open: true, ..ParkedFilter::default() }).await.unwrap()
        };
        until("it is parked", async || !parked().await.is_empty()).await;
        ingest(&stage.store, TENANTS[0], 6..20).await;
        ingest(&stage.store, TENANTS[1], 0..20).await;
        until("the other tenant goes on", async || stage.topic.seen(TENANTS[1]).len() == 20).await;
        stage.wait_for_cursor().await;
        let row = parked().await.remove(0);
        assert_eq!((row.position, row.state, row.tenant), (5, ParkedState::Held, TENANTS[0]));
        assert!(
            row.reason.contains(if is_late { "the broker says no" } else { "too large" }),
            "{}",
            row.reason
        );
        assert_eq!(stage.topic.seen(TENANTS[0]).len(), 5, "later ones wait");
        // Tried again while nothing has changed it is held again; mended it goes, and what waited after it.
        let permit = permit(Action::ChangeResources);
        let release =
            async |state| stage.store.release_parked(&permit, (&row.event, state), START_US).await.unwrap();
        let _held = release(ParkedState::Retry).await;
        until("it is held again", async || {
            parked().await.first().is_some_and(|row| row.state == ParkedState::Held)
        })
        .await;
        assert_eq!(stage.topic.seen(TENANTS[0]).len(), 5);
        stage.topic.poison.lock().unwrap().clear();
        let _sent = release(ParkedState::Retry).await;
        stage.wait_for_all().await;
        until("nothing is parked", async || parked().await.is_empty()).await;
        relaying.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_can_be_left_out_by_hand_or_by_policy() {
    for policy in [Policy::Hold, Policy::Skip] {
        let stage = Stage::new().await;
        let poison = format!("{{\"t\":{},\"n\":3}}", TENANTS[0].0).into_bytes();
        stage.topic.poison.lock().unwrap().insert(poison);
        ingest(&stage.store, TENANTS[0], 0..10).await;
        let relaying = stage.start(1, policy);
        let all = async || stage.store.parked(&ParkedFilter::default()).await.unwrap();
        until("it is parked", async || !all().await.is_empty()).await;
        if policy == Policy::Hold {
            let permit = permit(Action::ChangeResources);
            let event = all().await[0].event.clone();
            stage.store.release_parked(&permit, (&event, ParkedState::Skip), START_US).await.unwrap();
        }
        until("the others have arrived", async || stage.topic.seen(TENANTS[0]).len() == 9).await;
        until("it is said to be left out", async || all().await[0].state == ParkedState::Passed).await;
        relaying.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_that_are_not_taken_hold_their_tenant_one_at_a_time() {
    let stage = Stage::new().await;
    stage.topic.is_late.store(true, Ordering::SeqCst);
    let poison = |number: u32| format!("{{\"t\":{},\"n\":{number}}}", TENANTS[0].0).into_bytes();
    stage.topic.poison.lock().unwrap().extend([3, 7, 9].map(poison));
    ingest(&stage.store, TENANTS[0], 0..20).await;
    let relaying = stage.start(1, Policy::Hold);
    let permit = permit(Action::ChangeResources);
    for held in [3, 7, 9] {
        let open = ParkedFilter { open: true, ..ParkedFilter::default() };
        let parked = async || stage.store.parked(&open).await.unwrap();
        until("it is held where it should be", async || {
            parked().await.iter().map(|row| (row.position, row.state)).eq([(held, ParkedState::Held)])
        })
        .await;
        stage.wait_for_cursor().await;
        assert_eq!(parked().await.len(), 1, "the others are read again from there");
        stage.topic.poison.lock().unwrap().remove(&poison(held as u32));
        let event = parked().await[0].event.clone();
        stage.store.release_parked(&permit, (&event, ParkedState::Retry), START_US).await.unwrap();
    }
    until("all have arrived", async || stage.topic.seen(TENANTS[0]).len() == 20).await;
    until("nothing is parked", async || {
        stage.store.parked(&ParkedFilter::default()).await.unwrap().is_empty()
    })
    .await;
    relaying.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_sink_says_nothing_keeps_its_lease_and_ends_when_it_is_told() {
    let stage = Stage::new().await;
    let poison = format!("{{\"t\":{},\"n\":0}}", TENANTS[0].0).into_bytes();
    stage.topic.poison.lock().unwrap().insert(poison);
    ingest(&stage.store, TENANTS[0], 0..3).await;
    let relaying = stage.start(1, Policy::Hold);
    let parked = async || stage.store.parked(&ParkedFilter::default()).await.unwrap();
    until("it is parked", async || !parked().await.is_empty()).await;
    stage.topic.is_silent.store(true, Ordering::SeqCst);
    ingest(&stage.store, TENANTS[1], 0..3).await;
    let permit = permit(Action::ChangeResources);
    let event = parked().await[0].event.clone();
    stage.store.release_parked(&permit, (&event, ParkedState::Retry), START_US).await.unwrap();
    let begun_us = stage.world.clock.now().wall_us;
    until("the lease would have run out", async || {
        stage.world.clock.advance(Duration::from_millis(100));
        stage.world.clock.now().wall_us > begun_us + 30_000_000
    })
    .await;
    let now = stage.world.clock.now().wall_us;
    assert_eq!(stage.store.take_relay("kafka", 2, (now, now + 1)).await.unwrap(), None, "it is kept");
    tokio::time::timeout(Duration::from_secs(15), relaying.stop()).await.expect("it ends");
    assert_eq!(parked().await[0].state, ParkedState::Retry, "what is not sent stays to be sent");
    assert!(stage.store.take_relay("kafka", 2, (now, now + 1)).await.unwrap().is_some(), "it is given back");
}
