//! Limits that all nodes share: the same promises with Redis and without, on a real server.

#![expect(clippy::disallowed_methods, reason = "the ordinary clock is the time of these tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tollgate_core::{
    admit::sharing::{SharedCharge, SharedVerdict},
    counters::{RuleId, WhenGone},
    limits::Gcra,
    time::Now,
};
use tollgate_counters::shared::{SharedLimits, WAIT_MAX, check};
use tollgate_testkit::{Redis, wait_until};

/// How long a state may take to come about on a loaded machine.
const SOON: Duration = Duration::from_secs(20);
const HOUR_NS: u64 = 3_600_000_000_000;

/// A limit of so many at once, of which one comes back every `interval_ns`.
fn charge(rule: u64, (burst, interval_ns): (u64, u64), amount: u32) -> SharedCharge {
    let gcra = Gcra { interval_ns, burst };
    SharedCharge { rule: RuleId(rule), subject: 7, amount, gcra, when_gone: WhenGone::Divides }
}

struct Limits {
    limits: SharedLimits,
    began: Instant,
}

impl Limits {
    async fn of(redis: &Redis) -> Self {
        let limits = SharedLimits::start(&redis.url()).unwrap();
        wait_until(SOON, || async { limits.is_up() }).await;
        Self { limits, began: Instant::now() }
    }

    fn alone() -> Self {
        Self { limits: SharedLimits::without_redis(), began: Instant::now() }
    }

    async fn take(&self, charges: &[SharedCharge]) -> SharedVerdict {
        let mono_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap();
        self.limits.take(charges.iter().copied().collect(), Now { wall_us: 0, mono_ns }).await
    }

    async fn passes(&self, charges: &[SharedCharge]) -> bool {
        matches!(self.take(charges).await, SharedVerdict::Passed(_))
    }

    /// How many of so many pass, one after the other.
    async fn passed(&self, charge: SharedCharge, tries: usize) -> usize {
        let mut passed = 0;
        for _ in 0..tries {
            passed += usize::from(self.passes(&[charge]).await);
        }
        passed
    }
}

/// What every place that counts limits does.
async fn conforms(limits: &Limits) {
    let slow = |rule, burst, amount| charge(rule, (burst, HOUR_NS), amount);
    // As many as the burst, and not one more; the answer says how it stands and how long to wait.
    let SharedVerdict::Passed(standings) = limits.take(&[slow(1, 5, 2)]).await else { panic!("it is full") };
    assert_eq!(standings[0].remaining, 3);
    let reset_ns = standings[0].reset_after_ns;
    assert!((2 * HOUR_NS - 60_000_000_000..=2 * HOUR_NS + 1_000_000).contains(&reset_ns), "{reset_ns}");
    assert_eq!(limits.passed(slow(1, 5, 1), 9).await, 3);
    let refused = limits.take(&[slow(1, 5, 1)]).await;
    let SharedVerdict::Exhausted { index: 0, retry_after_ns: Some(wait_ns), standings } = refused else {
        panic!("{refused:?}")
    };
    assert!((HOUR_NS - 60_000_000_000..=HOUR_NS).contains(&wait_ns), "{wait_ns}");
    assert_eq!(standings[0].remaining, 0);
    // Asking takes nothing; more than the burst never passes.
    for _ in 0..3 {
        assert!(limits.passes(&[slow(2, 1, 0)]).await);
    }
    assert!(limits.passes(&[slow(2, 1, 1)]).await);
    assert!(!limits.passes(&[slow(2, 1, 0)]).await);
    let never = limits.take(&[slow(3, 4, 5)]).await;
    assert!(matches!(never, SharedVerdict::Exhausted { retry_after_ns: None, .. }), "{never:?}");
    // All or none.
    assert!(limits.passes(&[slow(4, 1, 1)]).await);
    let refused = limits.take(&[slow(5, 3, 1), slow(4, 1, 1), slow(6, 3, 1)]).await;
    let SharedVerdict::Exhausted { index: 1, standings, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(standings.len(), 2);
    assert_eq!((limits.passed(slow(5, 3, 1), 9).await, limits.passed(slow(6, 3, 1), 9).await), (3, 3));
    // Subjects are apart, and what was taken comes back with time.
    assert!(limits.passes(&[SharedCharge { subject: 8, ..slow(1, 5, 5) }]).await);
    let quick = charge(9, (1, 30_000_000), 1);
    assert!(limits.passes(&[quick]).await);
    wait_until(SOON, || async { limits.passes(&[quick]).await }).await;
}

#[tokio::test]
async fn limits_are_counted_alike_in_redis_and_by_a_node_alone() {
    let redis = Redis::start();
    assert!(check(&redis.url()).await.is_ok());
    let shared = Limits::of(&redis).await;
    conforms(&shared).await;
    assert_eq!(shared.limits.decided().1, 0, "all of it by Redis");
    conforms(&Limits::alone()).await;
}

/// I22: what two processes ask at the same time is never more than the limit, and all of it is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_limit_exactly() {
    let redis = Redis::start();
    let processes = [Arc::new(Limits::of(&redis).await), Arc::new(Limits::of(&redis).await)];
    let asks = (0..400usize).map(|number| {
        let limits = Arc::clone(&processes[number % 2]);
        tokio::spawn(async move { limits.passes(&[charge(1, (150, HOUR_NS), 1)]).await })
    });
    let asks: Vec<_> = asks.collect();
    let mut passed = 0;
    for ask in asks {
        passed += u64::from(ask.await.unwrap());
    }
    assert_eq!(processes.iter().map(|one| one.limits.decided().1).sum::<u64>(), 0, "all of it by Redis");
    assert_eq!(passed, 150);
}

/// Rule 5: Redis gone, stopped, emptied, back: no request waits long, none passes beyond the bound, and what must
/// never open does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_redis_limits_hold() {
    let mut redis = Redis::start();
    let limits = Limits::of(&redis).await;
    limits.limits.share_with(4);
    let limit = |rule| charge(rule, (40, HOUR_NS), 1);
    let secure = |rule| SharedCharge { when_gone: WhenGone::Refuses, ..limit(rule) };
    assert_eq!(limits.passed(limit(1), 45).await, 40);
    // Emptied: one burst more, at most.
    redis.flush();
    assert_eq!(limits.passed(limit(1), 45).await, 40);
    // Stopped: nobody waits longer than the bound, once; each node enforces its part.
    redis.freeze();
    let began = Instant::now();
    assert_eq!(limits.passed(limit(1), 45).await, 10, "a fourth, for there are four nodes");
    assert!(began.elapsed() < WAIT_MAX * 5, "{:?}", began.elapsed());
    assert_eq!(limits.take(&[limit(2), secure(3)]).await, SharedVerdict::Unknown);
    redis.resume();
    wait_until(SOON, || async { limits.limits.is_up() }).await;
    wait_until(SOON, || async { limits.passes(&[secure(4)]).await }).await;
    assert!(!limits.passes(&[limit(1)]).await, "what Redis knew before it stopped it still knows");
    // Killed, and another one that knows nothing.
    redis.kill9();
    wait_until(SOON, || async { limits.take(&[secure(5)]).await == SharedVerdict::Unknown }).await;
    assert_eq!(limits.passed(limit(1), 5).await, 0, "its part of the limit is used up");
    redis.run();
    wait_until(SOON, || async { limits.passes(&[secure(6)]).await }).await;
    assert_eq!(limits.passed(limit(1), 45).await, 40);
}

/// Says something to Redis.
fn say(redis: &Redis, words: &str) {
    use std::io::{Read as _, Write as _};
    let url = redis.url();
    let place = url.trim_start_matches("redis://").split('/').next().unwrap();
    let mut stream = std::net::TcpStream::connect(place).unwrap();
    stream.write_all(format!("{words}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+OK\r\n");
}

/// A replica, a full memory, a disk that fails: it answers and takes the script, but counts nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_writes_is_not_up() {
    let redis = Redis::start();
    say(&redis, "CONFIG SET min-replicas-to-write 1");
    assert!(check(&redis.url()).await.is_err());
    say(&redis, "CONFIG SET min-replicas-to-write 0");
    let limits = Limits::of(&redis).await;
    // It is found out while nobody asks.
    say(&redis, "CONFIG SET min-replicas-to-write 1");
    wait_until(SOON, || async { !limits.limits.is_up() }).await;
    say(&redis, "CONFIG SET min-replicas-to-write 0");
    wait_until(SOON, || async { limits.limits.is_up() }).await;
}
