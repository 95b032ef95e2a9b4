//! Answers that wait for somebody beyond this process: what was known when the question came is believed for a
//! second, and a batch ends after ten. The wait is a clock that moves while the shared limits are asked.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use smallvec::SmallVec;
use tollgate_core::{
    admit::sharing::{SharedCharge, SharedVerdict},
    counters::Standing,
    time::Now,
};
use tollgate_gateway::{options::GatewayOptions, ports::SharedLimits};
use tollgate_testkit::http::Call;

use super::world::{TOKEN, TestClock, World};

/// A local limit, and one that all nodes share.
const POLICY: &str = "[[limit]]\nname = \"own\"\namount = 100\nwindow = \"1h\"\n\
                      [[limit]]\nname = \"all\"\namount = 1000\nwindow = \"1m\"\nmode = \"shared\"";

/// Those who count shared limits: nobody, until a test says how long they take to let all pass.
pub(crate) struct TestLimits {
    clock: Arc<TestClock>,
    takes: Mutex<Option<Duration>>,
}

impl TestLimits {
    pub(crate) fn new(clock: Arc<TestClock>) -> Self {
        Self { clock, takes: Mutex::default() }
    }

    fn take(&self, takes: Duration) {
        *self.takes.lock().unwrap() = Some(takes);
    }
}

impl SharedLimits for TestLimits {
    fn take(
        &self,
        charges: SmallVec<[SharedCharge; 2]>,
        _now: Now,
    ) -> Pin<Box<dyn Future<Output = SharedVerdict> + Send>> {
        let Some(takes) = *self.takes.lock().unwrap() else {
            return Box::pin(std::future::ready(SharedVerdict::Unknown));
        };
        self.clock.advance(takes);
        let standing = Standing { remaining: 9, reset_after_ns: 0, window: None };
        let standings = charges.iter().map(|_| standing).collect();
        Box::pin(std::future::ready(SharedVerdict::Passed(standings)))
    }
}

/// What is left of the local limit; asking takes nothing and waits for nobody.
async fn left(world: &World, key: &str) -> Value {
    world.limits.take(Duration::ZERO);
    let answer = world.verify(json!({"key": key, "cost": 0})).await;
    let limits = answer["limits"].as_array().unwrap();
    limits.iter().find(|limit| limit["name"] == "own").unwrap()["remaining"].clone()
}

/// I3: the key of a question that waited for a second may have been revoked meanwhile.
#[tokio::test]
async fn what_was_known_a_second_ago_decides_nothing() {
    let world = World::start();
    let key = world.key(POLICY);
    world.limits.take(Duration::from_millis(999));
    let answer = world.verify(json!({"key": key})).await;
    assert_eq!(answer["code"], "valid", "within the second it is believed: {answer}");
    assert_eq!(left(&world, &key).await, 99);
    world.limits.take(Duration::from_secs(1));
    let answer = world.verify(json!({"key": key})).await;
    assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!("overloaded")), "{answer}");
    assert_eq!(answer["retry_after_ms"], 1000, "{answer}");
    assert_eq!(left(&world, &key).await, 99, "a refused question moves no counter");
}

/// I3: nor does what is not proven to be fresh any more when the wait ends, however short it was.
#[tokio::test]
async fn a_node_that_is_cut_off_while_a_question_waits_decides_nothing() {
    // The clock stands at a second; nothing more comes of the feed.
    let world = World::start_with(GatewayOptions::default(), 1_500_000_000);
    let key = world.key(POLICY);
    world.limits.take(Duration::from_millis(499));
    assert_eq!(world.verify(json!({"key": key})).await["code"], "valid");
    world.limits.take(Duration::from_millis(1));
    let answer = world.verify(json!({"key": key})).await;
    assert_eq!(answer["code"], "overloaded", "{answer}");
    let answer = world.verify(json!({"key": key})).await;
    assert_eq!(answer["code"], "auth_stale", "and who comes later is told why: {answer}");
}

/// Each question may wait; the batch is answered all the same, and what it had no time for is refused and counted
/// nowhere.
#[tokio::test]
async fn a_batch_decides_for_ten_seconds_and_refuses_the_rest() {
    let world = World::start();
    let key = world.key(POLICY);
    world.limits.take(Duration::from_millis(900));
    let questions = vec![json!({"key": key}); 20];
    let batch = Call::post("/v1/keys/verify-batch", &json!(questions)).bearer(TOKEN);
    let reply = world.send(batch).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answers = reply.json();
    let codes: Vec<&str> =
        answers.as_array().unwrap().iter().map(|answer| answer["code"].as_str().unwrap()).collect();
    // The twelfth begins after 9.9 seconds, the thirteenth after 10.8.
    assert_eq!(codes, [["valid"; 12].as_slice(), &["overloaded"; 8]].concat());
    let late = &answers[12];
    assert_eq!(late["detail"], "those before it in the batch took too long; try again", "{late}");
    assert_eq!(world.records().len(), 20, "each has its decision and its record");
    assert_eq!(left(&world, &key).await, 88, "what was refused moved no counter");
}
