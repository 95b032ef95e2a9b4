//! Reports of usage from a topic that fails in every way, and meters over them: each request counts once (I13, I16).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tollgate_core::{authz::Action, resource::Resources, tables::Snapshot, time::Clock};
use tollgate_store::{ApplyMode, IngestOptions, Ingester, MeterQuestion, Store, UsageFilter};
use tollgate_workers::{
    Incoming, Metering, MetersKept, OpenReports, ReportOptions, Reporting, Reports, UsageIn,
};

use crate::world::{START_US, World, permit, resources};

/// A topic: what is on it, and up to where it is committed.
#[derive(Default)]
struct Topic {
    messages: Mutex<Vec<String>>,
    committed: AtomicU64,
    /// How many calls fail from now on, of each kind in turn.
    faults: Mutex<VecDeque<bool>>,
    sessions: AtomicU64,
}

impl Topic {
    fn fails(&self) -> bool {
        self.faults.lock().unwrap().pop_front().unwrap_or(false)
    }
}

struct Opened {
    topic: Arc<Topic>,
    read: u64,
}

struct Door(Arc<Topic>);

impl OpenReports for Door {
    fn open(&self) -> Result<Box<dyn Reports>, String> {
        self.0.sessions.fetch_add(1, Ordering::SeqCst);
        let read = self.0.committed.load(Ordering::SeqCst);
        Ok(Box::new(Opened { topic: Arc::clone(&self.0), read }))
    }
}

impl Reports for Opened {
    fn next(&mut self, most: usize, _within: Duration) -> Result<Vec<Incoming>, String> {
        if self.topic.fails() {
            return Err("the broker is gone".to_owned());
        }
        let messages = self.topic.messages.lock().unwrap();
        let from = usize::try_from(self.read).unwrap();
        let given: Vec<Incoming> = messages
            .iter()
            .enumerate()
            .skip(from)
            // A few at a time, so that there is much to commit.
            .take(most.min(3))
            .map(|(offset, payload)| Incoming {
                place: format!("usage/0/{offset}"),
                payload: payload.clone().into_bytes(),
            })
            .collect();
        self.read += given.len() as u64;
        Ok(given)
    }

    fn commit(&mut self) -> Result<(), String> {
        if self.topic.fails() {
            return Err("the broker did not answer".to_owned());
        }
        self.topic.committed.fetch_max(self.read, Ordering::SeqCst);
        Ok(())
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not come about");
}

async fn requests(store: &Store) -> u64 {
    store.usage(&[], &UsageFilter::default()).await.unwrap().total.requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_count_once_over_faults_of_the_topic_and_wrong_ones_are_passed_over() {
    let world = World::new().await;
    let more: Resources = resources(
        "[[service]]\nproject = 'maps'\nname = 'tiles'\nkind = 'proxy'\nmatch = { path_prefix = '/tiles' }\n\
         upstreams = ['http://127.0.0.1:9']\n\
         [[meter]]\nproject = 'maps'\nname = 'units'\nevent_type = 'tollgate.usage'\nvalue = '$.units'\n\
         aggregate = 'sum'\ngroup_by = ['@key', '@service']",
    );
    let change = permit(Action::ChangeResources);
    world.store.apply(&change, &more, ApplyMode::default(), START_US).await.unwrap();
    let key = world.create_key(1).await.id;
    let snapshot = Arc::new(Snapshot::with_capacity(16));
    let known = Arc::clone(&snapshot);
    let store = Arc::new(world.store.clone());
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let options = IngestOptions { disk_free_min: 0, ..IngestOptions::default() };
    let (ingester, _committing) = Ingester::start(Store::clone(&store), options);
    let usage = UsageIn::new(Arc::clone(&store), snapshot, ingester, None, Arc::clone(&clock));

    let topic = Arc::new(Topic::default());
    let line = |id: &str| format!(r#"[{{"key_id":"{key}","service":"maps/tiles","units":2{id}}}]"#);
    {
        let mut messages = topic.messages.lock().unwrap();
        for number in 0..20 {
            messages.push(line(&format!(r#","id":"{}""#, number / 2)));
            // Without an id: each message is one, however often it comes.
            messages.push(line(""));
        }
        messages
            .extend(["", "[1]", r#"[{"key_id":"key_00000000000","service":"tiles"}]"#].map(str::to_owned));
        // What is right of a message counts, whatever else is in it.
        let good = line("");
        messages.push(good.replace(']', r#",{"key_id":"key_00000000000","service":"tiles"}]"#));
    }
    topic.faults.lock().unwrap().extend((0..24).map(|call| call % 3 == 1));
    let from = Arc::new(Door(Arc::clone(&topic)));
    let reporting =
        Reporting::start(Arc::new(usage), Arc::clone(&clock), ReportOptions { from, unknown_tries: 1 });
    let kept = MetersKept { minutes: Duration::from_secs(86_400), hours: Duration::from_secs(86_400) };
    // Nothing is known yet: nothing is refused for it, and nothing is committed.
    until("the first look", async || topic.sessions.load(Ordering::SeqCst) > 0).await;
    assert_eq!((requests(&store).await, topic.committed.load(Ordering::SeqCst)), (0, 0));
    store.load(&known).await.unwrap();
    known.keep_fresh_until(u64::MAX);
    let first = Metering::start(&store, &clock, 7, kept);
    until("the end of the topic", async || topic.committed.load(Ordering::SeqCst) == 44).await;
    assert_eq!(requests(&store).await, 31, "ten with ids, twenty without, one beside a wrong one");
    assert!(topic.sessions.load(Ordering::SeqCst) > 5, "it was opened anew after faults");
    // Each is there to be looked at, with its place, however often it came.
    let mut refused: Vec<(String, bool)> = store
        .refused_usage()
        .await
        .unwrap()
        .into_iter()
        .map(|one| (one.place, one.reason.contains("no such key")))
        .collect();
    refused.sort();
    let places = [("usage/0/40", false), ("usage/0/41", false), ("usage/0/42", true), ("usage/0/43", true)];
    assert_eq!(refused, places.map(|(place, is_key)| (place.to_owned(), is_key)));
    reporting.stop().await;
    first.stop().await;
    // Another takes over where the first ended.
    let second = Metering::start(&store, &clock, 8, kept);
    let meter = store.meter_of(None, "units").await.unwrap();
    let question = MeterQuestion {
        unit: tollgate_core::meter::window::WindowUnit::Total,
        zone: "UTC".to_owned(),
        from_us: START_US - 3_600_000_000,
        to_us: START_US + 3_600_000_000,
        by: vec![0, 1],
        groups_max: 10,
    };
    until("all of the meter", async || {
        store.meter_values(&meter, &question).await.unwrap().total.events >= 31
    })
    .await;
    let values = store.meter_values(&meter, &question).await.unwrap();
    assert_eq!((values.total.events, values.total.value.unwrap().to_string().as_str()), (31, "62"));
    let words = values.groups[0].words.clone().unwrap();
    assert_eq!(words, [Some(key.to_string()), Some("tiles".to_owned())]);
    second.stop().await;
}
