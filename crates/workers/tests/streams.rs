//! Changes on their way to a topic, with sessions that break: none lost, none out of order, event ids that stay.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tollgate_core::{authz::Action, resource::Resources, time::Clock};
use tollgate_store::{ApplyMode, Store, Stream};
use tollgate_workers::{
    Ack, Acks, EventOptions, Fault, MakeProducer, Message, Producer, Relaying, SendError, StreamOptions,
};

use crate::world::{START_US, World, permit, until};

/// A topic whose sessions break at every so many messages.
#[derive(Default)]
struct Topic {
    /// Event id and number of what arrived.
    arrived: Mutex<Vec<(String, u64)>>,
    sent: AtomicUsize,
}

const BREAKS_EVERY: usize = 7;

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
        let of = |name: &str| message.headers.iter().find(|(own, _)| own == name).unwrap().1.to_string();
        self.is_broken |= (self.topic.sent.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(BREAKS_EVERY);
        let outcome = if self.is_broken {
            Err(Fault::Broken("the connection is gone".into()))
        } else {
            self.topic.arrived.lock().unwrap().push((of("event_id"), of("seq").parse().unwrap()));
            Ok(())
        };
        self.acks.try_send(Ack { token: message.token, outcome }).ok();
        Ok(())
    }
}

async fn change(store: &Store, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let text = format!("[[consumer]]\nproject = 'maps'\nname = 'c{number}'");
        let resources: Resources = toml::from_str(&text).unwrap();
        let permit = permit(Action::ChangeResources);
        store.apply(&permit, &resources, ApplyMode::default(), START_US).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_arrives_in_order_over_broken_sessions_and_a_kill() {
    let world = World::new().await;
    let store = Arc::new(world.store.clone());
    change(&store, 0..4).await;
    let topic = Arc::new(Topic::default());
    let start = |node: u64| {
        let stream = StreamOptions {
            stream: Stream::Audit,
            producers: Arc::new(Lines(Arc::clone(&topic))),
            one_in: 1,
        };
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        let day = Duration::from_secs(86_400);
        let options = EventOptions {
            relays: Vec::new(),
            streams: vec![stream],
            kept: day,
            remembered: day,
            forgets: false,
        };
        Relaying::start(&store, &clock, node, options)
    };
    // Killed: its lease is that of a run that is gone.
    let killed = store.take_stream(Stream::Audit, 1, (START_US, START_US + 1)).await.unwrap().unwrap();
    world.clock.advance(Duration::from_secs(1));
    let relaying = start(2);
    change(&store, 4..20).await;
    let head = store.head().await.unwrap();
    until("the topic has everything", async || {
        store.stream_lag().await.unwrap().first().is_some_and(|lag| lag.records == 0)
    })
    .await;
    assert!(store.advance_stream(&killed, i64::MAX).await.unwrap().is_err(), "the old epoch moves nothing");
    relaying.stop().await;
    let arrived = topic.arrived.lock().unwrap().clone();
    let mut known = std::collections::HashSet::new();
    let seen: Vec<u64> =
        arrived.iter().filter(|(event, _)| known.insert(event.clone())).map(|(_, seq)| *seq).collect();
    assert_eq!(seen, (1..=head).collect::<Vec<u64>>(), "lost or out of order");
    println!("T6, changes: {head}, lost 0, out of order 0, twice {}", arrived.len() - seen.len());
}
