//! How fast a client has to take what waits to be written to it.
//!
//! A client may let bytes wait for [`Bounds::write_idle`] in all, and every byte it takes gives it back the
//! time that one takes at [`Bounds::write_rate_min`]: whoever takes less in the long run is cut, however the
//! bytes are spread, and no haste at the beginning buys time for later. While nothing waits no time passes:
//! an event stream or a tunnel may be silent for as long as its own bounds allow.
//!
//! What counts as taken is what the kernel took (HTTP/1, tunnels, whole connections of HTTP/2) or what the client's
//! flow control made room for (streams of HTTP/2), never what was handed to a codec that keeps it.
//!
//! [`Bounds::write_idle`]: crate::http::bounds::Bounds::write_idle
//! [`Bounds::write_rate_min`]: crate::http::bounds::Bounds::write_rate_min

use std::task::Context;
use std::time::Duration;

use crate::http::lane::LaneState;
use crate::http::ticks::Deadline;

/// The patience left with one client. Costs nothing while its bytes go out without waiting.
#[derive(Debug, Default)]
pub(super) struct WritePace {
    /// Bytes wait now: since when, in ticks, and until when they may.
    waiting: Option<Waiting>,
    /// How long they waited before, less what was given back for those that were taken.
    waited_ms: u64,
}

#[derive(Debug)]
struct Waiting {
    since_ms: u64,
    until: Deadline,
}

impl WritePace {
    /// The client took so many bytes.
    pub(super) fn took(&mut self, bytes: u64, lane: &LaneState) {
        self.rest(lane);
        if self.waited_ms > 0 {
            let given_back_ms = time_ms(bytes, lane);
            self.waited_ms = given_back_ms.map_or(0, |back_ms| self.waited_ms.saturating_sub(back_ms));
        }
    }

    /// Nothing waits any more.
    pub(super) fn rest(&mut self, lane: &LaneState) {
        self.waited_ms = self.waited_ms(lane);
        self.waiting = None;
    }

    /// For how long bytes waited, less what was given back.
    pub(super) fn waited_ms(&self, lane: &LaneState) -> u64 {
        let present_ms = |waiting: &Waiting| lane.ticks.now_ms().saturating_sub(waiting.since_ms);
        self.waited_ms + self.waiting.as_ref().map_or(0, present_ms)
    }

    /// Bytes wait: whether they did for too long. The task is woken when they have.
    ///
    /// So many of them are on their way, and only when the client has taken all will it be seen that it took any: it
    /// gets the time that they take besides, at most as much as it may let bytes wait in all.
    pub(super) fn poll_overdue(&mut self, cx: &mut Context<'_>, on_their_way: u64, lane: &LaneState) -> bool {
        let waited_ms = self.waited_ms;
        let waiting = self.waiting.get_or_insert_with(|| {
            let until = Deadline::new(&lane.ticks);
            let patience = lane.bounds.write_idle;
            let more = Duration::from_millis(time_ms(on_their_way, lane).unwrap_or(0)).min(patience);
            until.arm((patience + more).saturating_sub(Duration::from_millis(waited_ms)));
            Waiting { since_ms: lane.ticks.now_ms(), until }
        });
        waiting.until.poll_due(cx)
    }
}

/// The time that bytes take at the least rate; `None` where there is no such rate.
fn time_ms(bytes: u64, lane: &LaneState) -> Option<u64> {
    bytes.saturating_mul(1000).checked_div(lane.bounds.write_rate_min)
}
