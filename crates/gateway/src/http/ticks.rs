//! Time-outs of one lane: a single coarse timer instead of one per request.
//!
//! A task wakes every [`TICK_MS`] and wakes whoever is due. Arming a deadline is a store, so a request pays
//! nothing for the time-outs that never fire. Everything here belongs to one thread.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::bounds::TICK_MS;

/// Not armed.
const NEVER: u64 = u64::MAX;

thread_local! {
    static OF_THIS_THREAD: RefCell<Weak<Ticks>> = const { RefCell::new(Weak::new()) };
}

/// The time of one lane, in milliseconds since the lane started, as of the last tick.
#[derive(Debug)]
pub(super) struct Ticks {
    now_ms: Cell<u64>,
    slots: RefCell<Slots>,
}

/// One slot per living [`Deadline`]; there are a few per connection, and connections are bounded.
#[derive(Debug, Default)]
struct Slots {
    list: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    due_ms: u64,
    waker: Option<Waker>,
}

impl Ticks {
    /// The ticks of this thread's lane; starts them on the first call. Needs the lane's runtime.
    pub(super) fn of_this_thread() -> Rc<Self> {
        OF_THIS_THREAD.with(|there| {
            let mut there = there.borrow_mut();
            if let Some(ticks) = there.upgrade() {
                return ticks;
            }
            let ticks = Rc::new(Self { now_ms: Cell::new(0), slots: RefCell::default() });
            *there = Rc::downgrade(&ticks);
            tokio::task::spawn_local(run(Rc::downgrade(&ticks)));
            ticks
        })
    }

    /// Milliseconds since the start, at most one tick old.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Wakes everybody who waits for anything here, due or not.
    pub(super) fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn wake(&self, which: impl Fn(&Slot) -> bool) {
        // Waking may run code that makes or drops deadlines, so the list is let go first.
        let woken: Vec<Waker> = {
            let mut slots = self.slots.borrow_mut();
            slots.list.iter_mut().filter(|slot| which(slot)).filter_map(|slot| slot.waker.take()).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

async fn run(ticks: Weak<Ticks>) {
    let started = Instant::now();
    let mut every = interval(Duration::from_millis(TICK_MS));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let Some(ticks) = ticks.upgrade() else { return };
        let now = u64::try_from(started.elapsed().as_millis()).unwrap_or(NEVER);
        ticks.now_ms.set(now);
        ticks.wake(|slot| slot.due_ms <= now);
    }
}

/// A moment that may come. Not armed when made.
#[derive(Debug)]
pub(super) struct Deadline {
    ticks: Rc<Ticks>,
    slot: usize,
}

impl Deadline {
    pub(super) fn new(ticks: &Rc<Ticks>) -> Self {
        let slots = &mut *ticks.slots.borrow_mut();
        let fresh = Slot { due_ms: NEVER, waker: None };
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None => slots.list.len(),
        };
        match slots.list.get_mut(slot) {
            Some(there) => *there = fresh,
            None => slots.list.push(fresh),
        }
        Self { ticks: Rc::clone(ticks), slot }
    }

    pub(super) fn ticks(&self) -> &Rc<Ticks> {
        &self.ticks
    }

    /// Due `after` from now.
    pub(super) fn arm(&self, after: Duration) {
        let after = u64::try_from(after.as_millis()).unwrap_or(NEVER);
        // The present may be a tick ahead of `now_ms`.
        let due = self.ticks.now_ms().saturating_add(after).saturating_add(TICK_MS);
        self.with(|slot| slot.due_ms = due);
    }

    pub(super) fn disarm(&self) {
        self.with(|slot| slot.due_ms = NEVER);
    }

    /// Whether it is armed and has come. Otherwise the task is woken when it comes.
    pub(super) fn poll_due(&self, cx: &mut Context<'_>) -> bool {
        let now = self.ticks.now_ms();
        self.with(|slot| {
            let due = slot.due_ms <= now;
            if !due && !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                slot.waker = Some(cx.waker().clone());
            }
            due
        })
        .unwrap_or(true)
    }

    fn with<R>(&self, change: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        self.ticks.slots.borrow_mut().list.get_mut(self.slot).map(change)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let waker = {
            let mut slots = self.ticks.slots.borrow_mut();
            slots.free.push(self.slot);
            slots.list.get_mut(self.slot).and_then(|slot| {
                slot.due_ms = NEVER;
                slot.waker.take()
            })
        };
        drop(waker);
    }
}

/// Runs `work` for at most `limit`; `None` when it was not done by then.
pub(super) async fn within<F: Future>(ticks: &Rc<Ticks>, limit: Duration, work: F) -> Option<F::Output> {
    let deadline = Deadline::new(ticks);
    deadline.arm(limit);
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if deadline.poll_due(cx) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}
