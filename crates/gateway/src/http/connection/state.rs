//! What the parts of one HTTP/2 connection tell each other: service, bodies, driver.

use std::cell::Cell;
use std::rc::Rc;

use crate::http::exchange::Peer;
use crate::http::lane::LaneState;

/// One HTTP/2 connection; shared within its thread.
#[derive(Debug)]
pub(super) struct ConnState {
    pub(super) peer: Peer,
    pub(super) lane: Rc<LaneState>,
    in_flight: Cell<u32>,
}

impl ConnState {
    pub(super) fn new(peer: Peer, lane: &Rc<LaneState>) -> Rc<Self> {
        Rc::new(Self { peer, lane: Rc::clone(lane), in_flight: Cell::new(0) })
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.get() > 0
    }
}

/// Counts a request as in flight until its answer is done or given up.
#[derive(Debug)]
pub(super) struct InFlight(Rc<ConnState>);

impl InFlight {
    pub(super) fn new(state: &Rc<ConnState>) -> Self {
        state.in_flight.set(state.in_flight.get() + 1);
        Self(Rc::clone(state))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}
