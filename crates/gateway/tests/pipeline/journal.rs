//! One record for each answer, before its last byte (I12, I17).

use tollgate_core::id::DecisionId;
use tollgate_journal::Options;
use tollgate_testkit::http::{Call, Connection};

use super::world::{DEADLINE, Plan, TILES, World};

#[tokio::test]
async fn the_journal_holds_one_record_for_each_answer_with_its_id() {
    let world = World::tiles();
    let good = world.key("standard");
    let mut connection = Connection::open(world.address).await.unwrap();
    let mut answers = Vec::new();
    for turn in 0..60 {
        let call = match turn % 5 {
            0 => Call::get("/tiles/1").bearer(&good),
            1 => Call::get("/nowhere").bearer(&good),
            2 => Call::get("/tiles/1"),
            3 => Call::get("/tiles/status/500").bearer(&good),
            _ => Call::get("/tiles/1").header("x-api-key", "x"),
        };
        let reply = connection.send(call).await.unwrap();
        // Already there: the record was written before the last byte was sent.
        assert_eq!(world.records().len(), turn + 1);
        let id: DecisionId = reply.header("x-request-id").unwrap().parse().unwrap();
        answers.push((id.number, reply.status.as_u16()));
    }
    let records: Vec<_> =
        world.records().iter().map(|record| (record.decision, record.entry.status)).collect();
    assert_eq!(records, answers);
}

#[tokio::test]
async fn a_request_that_cannot_be_counted_is_refused_before_any_work() {
    let mut plan = Plan::new(TILES);
    plan.journal = Options { segment_bytes: 64 * 1024, bytes_max: 128 * 1024, ..Options::default() };
    let world = plan.start();
    let key = world.key("standard");
    let mut connection = Connection::open(world.address).await.unwrap();
    let mut allowed = 0_usize;
    let refused = loop {
        let reply = connection.send(Call::get("/tiles/1").bearer(&key)).await.unwrap();
        if reply.status != 200 {
            break reply;
        }
        allowed += 1;
        assert!(allowed < 100_000, "the journal never fills");
    };
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"));
    assert!(refused.header("retry-after").is_some() && refused.header("x-request-id").is_some());
    assert_eq!(world.upstream.count(), allowed as u64);
    assert_eq!(world.records().len(), allowed);
}

#[tokio::test]
async fn what_the_upstream_saw_is_what_was_let_through_one_to_one() {
    let world = World::tiles();
    let (good, bad) = (world.key("standard"), world.fresh_text());
    let calls = (0..100).map(|number| {
        let key = if number % 3 == 0 { &bad } else { &good };
        let call = Call::get(&format!("/tiles/{number}")).bearer(key);
        let address = world.address;
        tokio::spawn(async move { call.send(address).await })
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        tokio::time::timeout(DEADLINE, call).await.unwrap().unwrap();
    }
    let records = world.records_of(100).await;
    let mut allowed: Vec<_> =
        records.iter().filter(|record| record.entry.code == 0).map(|record| record.path.clone()).collect();
    let mut seen: Vec<_> = world.upstream.seen().iter().map(|seen| seen.target.clone()).collect();
    allowed.sort();
    seen.sort();
    assert_eq!(seen, allowed);
    assert_eq!(seen.len(), 66);
}

#[tokio::test]
async fn lanes_share_limits_and_number_their_decisions_apart() {
    let limited = format!("{TILES}\n[[policy.limit]]\nname = \"burst\"\namount = 30\nwindow = \"1h\"\n");
    let mut plan = Plan::new(&limited);
    plan.lanes = 2;
    let world = plan.start();
    let key = world.key("standard");
    let mut ids = std::collections::HashSet::new();
    let mut lanes = std::collections::HashSet::new();
    let mut allowed = 0;
    for _ in 0..60 {
        let reply = world.get("/tiles/1", &key).await;
        let id: DecisionId = reply.header("x-request-id").unwrap().parse().unwrap();
        assert!(ids.insert((id.lane, id.number)));
        lanes.insert(id.lane);
        allowed += usize::from(reply.status == 200);
    }
    assert_eq!(allowed, 30);
    assert_eq!(lanes.len(), 2, "60 connections all went to one lane");
    assert_eq!(world.records().len(), 60);
}
