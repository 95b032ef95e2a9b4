//! Clients that leave and upstreams that break off: what was used is charged all the same.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tollgate_journal::Flags;
use tollgate_testkit::wait_until;

use super::{DEADLINE, Models, chat, chat_answer, chat_events, provider::Reaction};

/// A client that has sent a streamed chat and got nothing yet.
async fn client(models: &Models, key: &str, more: &str) -> TcpStream {
    let body = format!(r#"{{"model":"m","messages":[]{more}}}"#);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(models.world.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn read_until(stream: &mut TcpStream, word: &str) {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(word) {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_stream_whose_client_left_is_read_to_its_end_and_charged_exactly() {
    let models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    models.provider.react([Reaction::events(&chat_events(100, 50)).waiting(2)]);
    let mut stream = client(&models, &key, r#","stream":true"#).await;
    read_until(&mut stream, "Hel").await;
    drop(stream);
    models.world.left_alone().await;
    models.provider.go_on();
    let record = &models.calls(1).await[0];
    assert_eq!((record.cost, record.draws[0].used), (200_000, 200_000));
    assert!(record.entry.flags.contains(Flags::ABORTED) && !record.entry.flags.contains(Flags::ESTIMATED));
    assert_eq!((models.book().spent, models.provider.ended()), (200_000, 1));
}

#[tokio::test]
async fn a_call_whose_client_left_before_the_answer_goes_on_and_is_charged_exactly() {
    for (more, reaction) in [
        ("", Reaction::json(chat_answer(100, 50))),
        (r#","stream":true"#, Reaction::Late(Box::new(Reaction::events(&chat_events(100, 50))))),
    ] {
        let models = Models::with_budget("5.00");
        let key = models.world.key("standard");
        let reaction = match reaction {
            whole @ Reaction::Whole(..) => whole.waiting(0),
            late => late,
        };
        models.provider.react([reaction]);
        let stream = client(&models, &key, more).await;
        wait_until(DEADLINE, || async { models.provider.seen().len() == 1 }).await;
        drop(stream);
        models.world.left_alone().await;
        models.provider.go_on();
        let record = &models.calls(1).await[0];
        assert_eq!((record.cost, record.draws[0].used), (200_000, 200_000), "{more}");
        assert!(record.entry.flags.contains(Flags::ABORTED), "{more}");
        assert!(!record.entry.flags.contains(Flags::ESTIMATED), "{more}");
        assert!(models.world.treasury.is_settled());
    }
}

#[tokio::test]
async fn a_stream_that_the_provider_breaks_off_is_charged_as_reserved() {
    for events in [0, 1, 3] {
        let models = Models::with_budget("5.00");
        let key = models.world.key("standard");
        models.provider.react([Reaction::events(&chat_events(100, 50)).broken_after(events)]);
        let reply = chat(r#","stream":true"#).bearer(&key).try_send(models.world.address).await;
        assert!(reply.is_err(), "the client sees that it broke off");
        let record = &models.calls(1).await[0];
        assert_eq!(record.draws[0].used, record.draws[0].reserved, "{events}");
        assert!(record.entry.flags.contains(Flags::ESTIMATED));
        assert!(models.world.treasury.is_settled());
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_its_usage_is_charged_as_reserved() {
    let models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    let events = chat_events(100, 50);
    models.provider.react([Reaction::events(&events[..2])]);
    assert_eq!(models.world.send(chat(r#","stream":true"#).bearer(&key)).await.status, 200);
    let record = &models.calls(1).await[0];
    assert_eq!(record.draws[0].used, record.draws[0].reserved);
    assert!(record.entry.flags.contains(Flags::ESTIMATED));
}

#[tokio::test]
async fn a_client_that_leaves_while_the_ledger_is_asked_costs_nothing() {
    let models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    let door = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    *models.world.treasury.door.lock().unwrap() = Some(door.clone());
    let stream = client(&models, &key, "").await;
    wait_until(DEADLINE, || async { models.world.treasury.books().len() == 1 }).await;
    drop(stream);
    let record = &models.calls(1).await[0];
    assert_eq!((record.cost, record.draws.len()), (0, 0));
    assert_eq!(models.provider.seen().len(), 0);
    assert!(models.world.treasury.is_settled());
}

#[tokio::test]
async fn a_gateway_that_ends_waits_for_calls_without_clients() {
    let mut models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    models.provider.react([Reaction::events(&chat_events(100, 50)).waiting(2)]);
    let mut stream = client(&models, &key, r#","stream":true"#).await;
    read_until(&mut stream, "Hel").await;
    drop(stream);
    models.world.left_alone().await;
    let serving = models.world.end();
    let drained = tokio::task::spawn_blocking(move || serving.drain(DEADLINE));
    models.provider.go_on();
    assert_eq!(drained.await.unwrap().cut, 0);
    let record = &models.calls(1).await[0];
    assert_eq!((record.cost, record.entry.flags.contains(Flags::ESTIMATED)), (200_000, false));
}

#[tokio::test]
async fn a_gateway_that_is_ended_at_once_charges_what_it_cannot_know() {
    let mut models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    models.provider.react([Reaction::events(&chat_events(100, 50)).waiting(2)]);
    let mut stream = client(&models, &key, r#","stream":true"#).await;
    read_until(&mut stream, "Hel").await;
    let serving = models.world.end();
    tokio::task::spawn_blocking(move || serving.drain(std::time::Duration::ZERO)).await.unwrap();
    let record = &models.calls(1).await[0];
    assert_eq!(record.draws[0].used, record.draws[0].reserved);
    assert!(record.entry.flags.contains(Flags::ESTIMATED));
    assert!(models.world.treasury.is_settled());
}
