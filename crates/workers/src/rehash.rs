//! Replacing imported hashes by SHA-256 after their first use. What fails is left for the next use
//! of the key: nothing depends on it but speed.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tollgate_core::{
    authz::{Action, Actor, authorise},
    time::Clock,
};
use tollgate_store::{Rehash, Store};

use crate::{faults::Faults, stop::Stop};

/// How long writing one may take.
const WRITE_MAX: Duration = Duration::from_secs(5);

pub(crate) async fn run(
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    mut rehashes: mpsc::Receiver<Rehash>,
    mut stop: Stop,
) {
    let Ok(permit) = authorise(&Actor::Worker("rehash".to_owned()), Action::RehashKeys, None) else { return };
    let mut faults = Faults::of("rehash");
    loop {
        let rehash = tokio::select! {
            rehash = rehashes.recv() => rehash,
            () = stop.asked() => None,
        };
        let Some(rehash) = rehash else { return };
        let written = store.rehash(&permit, rehash, clock.now().wall_us);
        match tokio::time::timeout(WRITE_MAX, written).await {
            Ok(Ok(_)) => {
                faults.worked();
            }
            Ok(Err(error)) => {
                faults.failed(clock.now(), &error, error.cause());
            }
            Err(_) => {
                faults.failed(clock.now(), &"the database did not answer within 5 s", None);
            }
        }
    }
}
