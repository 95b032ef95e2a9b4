//! Nodes, and waiting for them (I2).

use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_core::time::{Clock, Now};
use tollgate_store::{NodeBeat, Waited};

use crate::world::{NOW, World};

/// Goes on by 1 ms whenever it is asked.
struct Steps(AtomicU64);

impl Clock for Steps {
    fn now(&self) -> Now {
        Now { wall_us: NOW, mono_ns: self.0.fetch_add(1_000_000, Ordering::SeqCst) }
    }
}

fn beat(node: u64, applied_seq: u64) -> NodeBeat {
    NodeBeat { node, boot: 7, applied_seq, seen_us: NOW, lease_ms: 10_000, shipped_until_us: NOW }
}

pub(crate) async fn waiting_ends_when_all_have_applied(world: World) {
    let clock = Steps(AtomicU64::new(0));
    assert_eq!(world.store.wait_applied(5, 0, &clock).await.unwrap(), Waited::AllApplied, "nobody serves");
    world.store.heartbeat(&beat(1, 5)).await.unwrap();
    world.store.heartbeat(&beat(2, 4)).await.unwrap();
    let waiting = {
        let store = world.store.clone();
        tokio::spawn(async move { store.wait_applied(5, 0, &Steps(AtomicU64::new(0))).await.unwrap() })
    };
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    world.store.heartbeat(&beat(2, 6)).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Waited::AllApplied);
    assert_eq!(world.store.live_nodes().await.unwrap(), [beat(1, 5), beat(2, 6)]);
}

pub(crate) async fn waiting_ends_with_the_lease(world: World) {
    world.store.heartbeat(&NodeBeat { lease_ms: 5, ..beat(1, 0) }).await.unwrap();
    let waited = world.store.wait_applied(5, 0, &Steps(AtomicU64::new(0))).await.unwrap();
    assert_eq!(waited, Waited::LeaseElapsed);
    world.store.retire_node(1).await.unwrap();
    let waited = world.store.wait_applied(5, 0, &Steps(AtomicU64::new(0))).await.unwrap();
    assert_eq!(waited, Waited::AllApplied);
}

pub(crate) async fn waiting_for_shipments(world: World) {
    world.store.heartbeat(&beat(1, 0)).await.unwrap();
    assert!(world.store.wait_shipped(NOW, 60_000).await.unwrap());
    assert!(!world.store.wait_shipped(NOW + 1, 50).await.unwrap());
}
