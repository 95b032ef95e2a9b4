//! Replacing imported hashes by SHA-256 after their first use. What fails is left for the next use
//! of the key: nothing depends on it but speed.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tollgate_core::{
    authz::{Action, Actor, authorise},
    time::Clock,
};
use tollgate_store::{Rehash, Store};

use crate::faults::Faults;

pub(crate) async fn run(
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    mut rehashes: mpsc::Receiver<Rehash>,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(permit) = authorise(&Actor::Worker("rehash".to_owned()), Action::RehashKeys, None) else { return };
    let mut faults = Faults::of("rehash");
    loop {
        let rehash = tokio::select! {
            rehash = rehashes.recv() => rehash,
            _stopped = stop.wait_for(|stop| *stop) => None,
        };
        let Some(rehash) = rehash else { return };
        match store.rehash(&permit, rehash, clock.now().wall_us).await {
            Ok(_) => faults.worked(),
            Err(error) => faults.failed(clock.now(), &error, error.cause()),
        }
    }
}
