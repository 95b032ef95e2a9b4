//! Many calls at once on a small budget, with clients that leave and a provider that breaks off: it is never
//! overspent, and what the provider bills is never more than what was settled (I7, I9; T3 in one process).

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate_testkit::{http::Call, wait_until};

use super::{DEADLINE, Models, chat_answer, chat_events, provider::Reaction};

/// Pseudo-random numbers that are the same at every run (SplitMix64).
fn roll(seed: &AtomicU64) -> u64 {
    let z = seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const LIMIT: i64 = 50_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_calls_never_overspends_a_small_budget() {
    let models = Arc::new(Models::with_budget("0.05"));
    *models.world.treasury.chunk.lock().unwrap() = 3_000_000;
    let (bill, seed) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(1)));
    let (billed, dice) = (bill.clone(), seed.clone());
    models.provider.otherwise(move |seen| {
        // The provider keeps to the limit of the request, and bills all of it.
        let limit: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        let limit = limit["max_completion_tokens"].as_u64().unwrap();
        let (input, output) = (20 + roll(&dice) % 30, roll(&dice) % (limit + 1));
        let cost = (input + 2 * output) * 1_000;
        billed.fetch_add(cost.cast_signed(), Ordering::SeqCst);
        let events = Reaction::events(&chat_events(input, output));
        match roll(&dice) % 20 {
            0 => events.broken_after(2),
            1..10 => events,
            10 => Reaction::HangUp,
            _ => Reaction::json(chat_answer(input, output)),
        }
    });
    let mut tasks = Vec::new();
    for _ in 0..60 {
        let (models, seed) = (models.clone(), seed.clone());
        let key = models.world.key("standard");
        tasks.push(tokio::spawn(async move {
            let mut refused = 0;
            while refused < 3 {
                if roll(&seed) % 10 < 3 {
                    leave(&models, &key).await;
                    continue;
                }
                let limit = 100 + roll(&seed) % 400;
                let body = format!(r#"{{"model":"m","messages":[],"max_completion_tokens":{limit}}}"#);
                let call = Call::new("POST", "/v1/chat/completions").bearer(&key).body(body);
                match call.try_send(models.world.address).await {
                    Ok(reply) if reply.status == 402 => refused += 1,
                    _ => {}
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
        let book = models.book();
        assert!(book.spent <= LIMIT && book.overrun == 0, "{book:?}");
    }
    wait_until(DEADLINE, || async { models.world.treasury.is_settled() }).await;
    // Nothing is in flight any more: what is left can be spent but for less than one call.
    let key = models.world.key("standard");
    loop {
        let body = r#"{"model":"m","messages":[],"max_completion_tokens":16}"#;
        let call = Call::new("POST", "/v1/chat/completions").bearer(&key).body(body);
        match call.try_send(models.world.address).await {
            Ok(reply) if reply.status == 402 => break,
            _ => {}
        }
    }
    wait_until(DEADLINE, || async { models.world.treasury.is_settled() }).await;
    let book = models.book();
    assert_eq!(book.spent + book.free + book.leased, LIMIT);
    assert!(bill.load(Ordering::SeqCst) <= book.spent, "billed {bill:?}, settled {}", book.spent);
    assert!(book.spent > LIMIT * 9 / 10, "the budget was not used up: {}", book.spent);
    let records = models.world.records();
    let cost: i64 = records.iter().map(|record| record.cost).sum();
    assert_eq!(cost, book.spent, "the journal tells the same");
}

/// Sends a streamed call and leaves before its end.
async fn leave(models: &Models, key: &str) {
    let body = r#"{"model":"m","messages":[],"stream":true,"max_completion_tokens":200}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(models.world.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut some = [0; 16];
    let _ = stream.read(&mut some).await;
}
