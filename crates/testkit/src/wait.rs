//! Waiting for a state with a deadline: what tests do instead of sleeping.

use std::panic::Location;
use std::time::{Duration, Instant};

/// Pause between two looks at the condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks at `condition` until it holds.
///
/// # Panics
/// When it does not hold within `deadline`, naming the caller's line.
#[track_caller]
pub fn wait_until<F, Fut>(deadline: Duration, mut condition: F) -> impl Future<Output = ()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let caller = Location::caller();
    async move {
        let start = Instant::now();
        while !condition().await {
            assert!(start.elapsed() < deadline, "not so within {deadline:?}: the condition at {caller}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// As [`wait_until`], for tests without a runtime.
///
/// # Panics
/// When the condition does not hold within `deadline`.
#[track_caller]
pub fn poll_until(deadline: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "not so within {deadline:?}");
        std::thread::sleep(LOOK_EVERY);
    }
}
