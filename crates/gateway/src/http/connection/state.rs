//! What the parts of one client connection tell each other: guard, service, bodies, driver.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::http::exchange::Peer;
use crate::http::guard::Malformed;
use crate::http::lane::LaneState;
use crate::http::ticks::Deadline;

use super::tunnel::TunnelJob;

/// One client connection; shared within its thread.
#[derive(Debug)]
pub(in crate::http) struct ConnState {
    pub(in crate::http) peer: Peer,
    pub(in crate::http) lane: Rc<LaneState>,
    /// Heads the guard has handed to the codec, the substitute for a refused one included.
    given: Cell<u32>,
    /// Heads the codec has handed to the service.
    seen: Cell<u32>,
    /// Why the last given head stands for a refused one. The codec keeps requests in order and hands on
    /// each given head once, so the number of a head is a mark no client can forge.
    refused: Cell<Option<Malformed>>,
    body_fault: Cell<Option<Malformed>>,
    in_flight: Cell<u32>,
    upgrade: Cell<UpgradeWait>,
    /// The task that reads, while an upgrade is undecided.
    reader: RefCell<Option<Waker>>,
    tunnel: RefCell<Option<TunnelJob>>,
    /// Bytes of the client may be left unread when the connection ends.
    leftovers: Cell<bool>,
    /// An upgrade was asked for at some time.
    asked_ever: Cell<bool>,
    /// What the guard waited for when it last read.
    owes: Cell<Owes>,
    phase: Cell<Phase>,
    /// The end of the present phase.
    phase_end: Deadline,
    /// The socket has no room for what the codec wants to write.
    write_blocked: Cell<bool>,
}

/// Where a request to change the protocol stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum UpgradeWait {
    /// None asked, or answered without a change.
    No,
    /// Asked; the guard holds back what follows.
    Asked,
    /// Answered without a change; the guard has not gone on yet.
    Declined,
}

/// What the client has to send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owes {
    /// Nothing, or a body: whoever reads that watches its pace.
    Nothing,
    /// The first byte of a request.
    Request,
    /// The rest of a head that has begun.
    RestOfHead,
}

/// What silence means now. The number of requests seen tells one idle time from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Busy,
    Idle { after: u32 },
    Head { after: u32 },
}

impl ConnState {
    pub(super) fn new(peer: Peer, lane: &Rc<LaneState>) -> Rc<Self> {
        Rc::new(Self {
            peer,
            lane: Rc::clone(lane),
            given: Cell::new(0),
            seen: Cell::new(0),
            refused: Cell::new(None),
            body_fault: Cell::new(None),
            in_flight: Cell::new(0),
            upgrade: Cell::new(UpgradeWait::No),
            reader: RefCell::new(None),
            tunnel: RefCell::new(None),
            leftovers: Cell::new(false),
            asked_ever: Cell::new(false),
            owes: Cell::new(Owes::Nothing),
            phase: Cell::new(Phase::Busy),
            phase_end: Deadline::new(&lane.ticks),
            write_blocked: Cell::new(false),
        })
    }

    pub(super) fn give_heads(&self, heads: u32) {
        self.given.set(self.given.get().wrapping_add(heads));
    }

    pub(super) fn give_refused(&self, why: Malformed) {
        self.give_heads(1);
        self.refused.set(Some(why));
        self.leftovers.set(true);
    }

    /// Counts a head that reached the service; `Some` when it stands for a refused one.
    pub(super) fn see_head(&self) -> Option<Malformed> {
        self.seen.set(self.seen.get().wrapping_add(1));
        if self.seen == self.given { self.refused.get() } else { None }
    }

    pub(super) fn heads_seen(&self) -> u32 {
        self.seen.get()
    }

    pub(super) fn set_owes(&self, owes: Owes) {
        self.owes.set(owes);
    }

    /// Whether the client has been silent for too long; to be asked whenever the codec has nothing to do.
    /// The codec does not read while it answers, so the guard alone could not tell.
    pub(super) fn is_overdue(&self, cx: &mut Context<'_>) -> bool {
        let phase = match self.owes.get() {
            _ if self.is_busy() => Phase::Busy,
            Owes::Nothing => Phase::Busy,
            Owes::Request => Phase::Idle { after: self.seen.get() },
            Owes::RestOfHead => Phase::Head { after: self.seen.get() },
        };
        if phase != self.phase.replace(phase) {
            let bounds = &self.lane.bounds;
            match phase {
                Phase::Busy => self.phase_end.disarm(),
                Phase::Idle { after: 1.. } => self.phase_end.arm(bounds.keep_alive_idle),
                Phase::Idle { .. } | Phase::Head { .. } => self.phase_end.arm(bounds.head_timeout),
            }
        }
        // Asked even when not armed: draining wakes whoever is registered.
        self.phase_end.poll_due(cx)
    }

    pub(super) fn set_write_blocked(&self, blocked: bool) {
        self.write_blocked.set(blocked);
    }

    /// Whether the codec holds nothing that matters: no request, no answer, no unsent byte.
    pub(super) fn is_quiet(&self) -> bool {
        self.owes.get() == Owes::Request
            && !self.write_blocked.get()
            && !self.is_busy()
            && self.seen == self.given
    }

    pub(super) fn break_body(&self, why: Malformed) {
        self.body_fault.set(Some(why));
        self.leftovers.set(true);
    }

    pub(in crate::http) fn body_fault(&self) -> Option<Malformed> {
        self.body_fault.get()
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.get() > 0
    }

    pub(super) fn note_leftovers(&self) {
        self.leftovers.set(true);
    }

    pub(super) fn has_leftovers(&self) -> bool {
        self.leftovers.get()
    }

    pub(super) fn ask_upgrade(&self) {
        self.upgrade.set(UpgradeWait::Asked);
        self.asked_ever.set(true);
    }

    pub(super) fn asked_upgrade_ever(&self) -> bool {
        self.asked_ever.get()
    }

    pub(super) fn upgrade(&self) -> UpgradeWait {
        self.upgrade.get()
    }

    pub(super) fn wait_for_upgrade(&self, cx: &Context<'_>) {
        *self.reader.borrow_mut() = Some(cx.waker().clone());
    }

    /// The request was answered without changing the protocol: reading goes on.
    pub(super) fn decline_upgrade(&self) {
        if self.upgrade.get() == UpgradeWait::Asked {
            self.upgrade.set(UpgradeWait::Declined);
            if let Some(waker) = self.reader.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    pub(super) fn resume_after_upgrade(&self) {
        self.upgrade.set(UpgradeWait::No);
    }

    /// The answer is a 101: what to run once its head is out.
    pub(super) fn set_tunnel(&self, job: TunnelJob) {
        *self.tunnel.borrow_mut() = Some(job);
    }

    pub(super) fn has_tunnel(&self) -> bool {
        self.tunnel.borrow().is_some()
    }

    pub(super) fn take_tunnel(&self) -> Option<TunnelJob> {
        self.tunnel.borrow_mut().take()
    }
}

/// Counts a request as in flight until its answer is done or given up.
#[derive(Debug)]
pub(in crate::http) struct InFlight(Rc<ConnState>);

impl InFlight {
    pub(super) fn new(state: &Rc<ConnState>) -> Self {
        state.in_flight.set(state.in_flight.get() + 1);
        Self(Rc::clone(state))
    }

    pub(super) fn state(&self) -> &Rc<ConnState> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}
