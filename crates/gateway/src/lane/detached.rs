//! Calls that go on after their client has left, so that what they used is known and charged as it is.
//!
//! Bounded in number, time and (in `flow`) bytes. Whatever is beyond a bound is dropped, and the account
//! that it holds then charges what was reserved: unknown counts as spent (rule 1).

use std::{cell::Cell, future::Future, rc::Rc, time::Duration};

use tokio::sync::Notify;
use tollgate_core::counters::Counters;

use super::Gateway;

/// Calls of one lane that may outlive their clients at once. Each holds an upstream connection and some
/// kilobytes.
const DETACHED_MAX: usize = 512;
/// How long one may go on: the longest that models think.
const OUTLIVES_MAX: Duration = Duration::from_secs(600);

/// The calls of one lane that go on without their clients.
#[derive(Debug, Default)]
pub(crate) struct Detached {
    count: Cell<usize>,
    is_closed: Cell<bool>,
    ended: Notify,
}

impl Detached {
    /// Waits until there is none.
    pub(crate) async fn emptied(&self) {
        while self.count.get() > 0 {
            self.ended.notified().await;
        }
    }

    /// None may begin from now on: the lane ends.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }
}

/// Goes on with `work`, or drops it when there is no room.
pub(crate) fn outlive<C: Counters + 'static>(
    gateway: &Rc<Gateway<C>>,
    work: impl Future<Output = ()> + 'static,
) {
    let detached = &gateway.detached;
    if detached.is_closed.get() || detached.count.get() >= DETACHED_MAX {
        return;
    }
    detached.count.set(detached.count.get() + 1);
    gateway.meters.outlived.increment(1);
    let place = Place(Rc::clone(gateway));
    tokio::task::spawn_local(async move {
        // Over the time, the work is dropped, and its account says what that means.
        let _ended = tokio::time::timeout(OUTLIVES_MAX, work).await;
        drop(place);
    });
}

/// One of the calls; ends when dropped.
struct Place<C: Counters + 'static>(Rc<Gateway<C>>);

impl<C: Counters + 'static> Drop for Place<C> {
    fn drop(&mut self) {
        let detached = &self.0.detached;
        detached.count.set(detached.count.get().saturating_sub(1));
        detached.ended.notify_waiters();
    }
}
