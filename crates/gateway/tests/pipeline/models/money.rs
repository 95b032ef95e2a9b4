//! Budgets and token limits: what is reserved, limited, refused and given back.

use std::sync::atomic::Ordering;

use serde_json::Value;
use tollgate_journal::{Charge, Flags};
use tollgate_testkit::http::Call;

use super::{Models, budget, chat, chat_answer, provider::Reaction};
use crate::treasury::Book;

/// What the input of [`chat`] may cost at most: its bytes, and what a provider may add.
fn input_bound(call_body: usize) -> i64 {
    (i64::try_from(call_body).unwrap() + 2_048) * 1_000
}

const CHAT_BYTES: usize = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#.len();

#[tokio::test]
async fn output_is_limited_to_what_is_affordable_and_the_client_is_told() {
    let input = input_bound(CHAT_BYTES);
    // Enough for the input and 100 tokens.
    let amount = format!("0.00{}", input + 200_000 + 1_999);
    let models = Models::with_budget(&amount);
    let key = models.world.key("standard");
    models.provider.react([Reaction::json(chat_answer(10, 100))]);
    let reply = models.world.send(chat("").bearer(&key)).await;
    assert_eq!(reply.status, 200, "{amount}: {}", reply.text());
    assert_eq!(reply.header("x-tollgate-output-limit"), Some("100"));
    let sent: Value = serde_json::from_str(&models.provider.last().body).unwrap();
    assert_eq!(sent["max_completion_tokens"], 100);
    assert_eq!(models.book().spent, 210_000);
}

#[tokio::test]
async fn a_budget_that_is_used_up_refuses_with_402_and_nothing_is_sent_or_counted() {
    let policy = "[[policy]]\nproject = \"maps\"\nname = \"counted\"\nservices = [\"*\"]\n\
                  quota = [{ name = \"calls\", amount = 1, period = \"day\" }]\n";
    let models = Models::start(&format!("{}\n{policy}", budget("0.0001")));
    let key = models.world.key("counted");
    for _ in 0..2 {
        let reply = models.world.send(chat("").bearer(&key)).await;
        assert_eq!(reply.status, 402, "{}", reply.text());
        let error = &reply.json()["error"];
        assert_eq!(
            (&error["code"], &error["type"]),
            (&"budget_exhausted".into(), &"insufficient_quota".into())
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("the budget of project project of 0.0001 USD has 0.0001 left"), "{message}");
    }
    assert_eq!(models.provider.seen().len(), 0);
    assert_eq!(models.reservations().len(), 0);
    let book = models.book();
    assert_eq!((book.spent, book.free + book.leased), (0, 100_000));
    for record in models.calls(2).await {
        assert!(record.charges.is_empty(), "the quota of one call a day is not touched");
    }
}

#[tokio::test]
async fn every_budget_pays_or_none() {
    let more = format!(
        "{}\n[[budget]]\nproject = \"maps\"\nconsumer = \"team\"\ncurrency = \"USD\"\namount = \"0.0001\"\nperiod = \"once\"\n",
        budget("1.00")
    );
    let models = Models::start(&more);
    let key = models.world.key("standard");
    let reply = models.world.send(chat("").bearer(&key)).await;
    assert_eq!(reply.status, 402);
    assert!(reply.text().contains("budget of consumer"), "{}", reply.text());
    for book in models.world.treasury.books() {
        assert_eq!((book.spent, book.free + book.leased), (0, book.limit));
    }
    assert_eq!(models.budgets().len(), 2);
}

#[tokio::test]
async fn what_has_no_price_is_refused_under_a_hard_budget_and_passes_where_it_is_observed() {
    let other = r#"{"model":"unheard-of","messages":[]}"#;
    let tools = r#"{"model":"m","input":"Hi","tools":[{"type":"web_search"}]}"#;
    let calls = || {
        [
            Call::new("POST", "/v1/chat/completions").body(other),
            Call::new("POST", "/v1/responses").body(tools),
            Call::new("POST", "/v1/batches").body("{}"),
        ]
    };
    let models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    for call in calls() {
        let reply = models.world.send(call.bearer(&key)).await;
        assert_eq!(reply.status, 403, "{}", reply.text());
        assert_eq!(reply.json()["error"]["code"], "unpriceable");
    }
    assert_eq!(models.provider.seen().len(), 0);
    let observed = Models::start(&format!("{}mode = \"observe\"\n", budget("5.00")));
    observed.provider.otherwise(|_| Reaction::json(chat_answer(1, 1)));
    let key = observed.world.key("standard");
    for call in calls() {
        assert_eq!(observed.world.send(call.bearer(&key)).await.status, 200);
    }
}

#[tokio::test]
async fn reading_and_counting_tokens_costs_nothing_and_passes_hard_budgets() {
    let models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    models.provider.otherwise(|_| Reaction::json(r#"{"object":"list","data":[]}"#));
    let count =
        Call::new("POST", "/anthropic/v1/messages/count_tokens").body(r#"{"model":"m","messages":[]}"#);
    for call in [Call::get("/v1/models"), Call::get("/v1/files"), count] {
        let reply = models.world.send(call.bearer(&key)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[tokio::test]
async fn a_budget_that_observes_counts_beyond_its_amount() {
    let models = Models::start(&format!("{}mode = \"observe\"\n", budget("0.0001")));
    let key = models.world.key("standard");
    models.provider.otherwise(|_| Reaction::json(chat_answer(100, 50)));
    for _ in 0..2 {
        assert_eq!(models.world.send(chat("").bearer(&key)).await.status, 200);
    }
    assert_eq!(models.book().spent, 400_000);
}

#[tokio::test]
async fn a_ledger_that_gives_no_answer_denies_and_nothing_is_sent() {
    let models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    models.world.treasury.silent.store(true, Ordering::SeqCst);
    let reply = models.world.send(chat("").bearer(&key)).await;
    assert_eq!((reply.status.as_u16(), reply.json()["error"]["code"].as_str()), (503, Some("overloaded")));
    assert_eq!(models.provider.seen().len(), 0);
}

#[tokio::test]
async fn what_a_lease_holds_is_spent_without_asking_the_ledger_again() {
    let models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    *models.world.treasury.chunk.lock().unwrap() = 1_000_000_000;
    models.provider.otherwise(|_| Reaction::json(chat_answer(100, 50)));
    for _ in 0..20 {
        assert_eq!(models.world.send(chat("").bearer(&key)).await.status, 200);
    }
    assert_eq!(models.world.treasury.asked.load(Ordering::SeqCst), 1);
    assert_eq!(models.book().spent, 20 * 200_000);
}

#[tokio::test]
async fn errors_of_the_provider_pass_and_cost_nothing() {
    let models = Models::with_budget("5.00");
    let key = models.world.key("standard");
    for status in [400, 401, 404, 422, 429, 500, 529] {
        models.provider.react([Reaction::error(status)]);
        let reply = models.world.send(chat("").bearer(&key)).await;
        assert_eq!((reply.status.as_u16(), reply.text().contains("not now")), (status, true));
    }
    let Book { spent, free, leased, limit, .. } = models.book();
    assert_eq!((spent, free + leased), (0, limit));
    for record in models.calls(7).await {
        assert_eq!((record.cost, record.draws[0].used), (0, 0));
    }
}

#[tokio::test]
async fn token_limits_take_the_bound_and_get_the_rest_back() {
    let policy = "[[policy]]\nproject = \"maps\"\nname = \"tokens\"\nservices = [\"*\"]\n\
                  limit = [{ name = \"tpm\", unit = \"tokens\", amount = 3300, window = \"1m\" }]\n\
                  quota = [{ name = \"daily\", unit = \"tokens\", amount = 4000, period = \"day\" }]\n";
    let models = Models::start(policy);
    let key = models.world.key("tokens");
    models.provider.otherwise(|_| Reaction::json(chat_answer(100, 50)));
    for _ in 0..3 {
        let reply = models.world.send(chat(r#","max_tokens":500"#).bearer(&key)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("x-tollgate-output-limit"), None);
    }
    for record in models.calls(3).await {
        assert_eq!((record.charges.len(), record.charges[0].amount), (1, 150));
        assert_eq!(record.entry.units, 0, "tokens are no units");
        assert!(record.entry.flags.contains(Flags::HELD), "what it held ends with it");
    }
    // Before each was sent, the journal had what it holds of the quota: should the process die, that is used.
    let bound = u64::try_from(input_bound(CHAT_BYTES + r#","max_tokens":500"#.len()) / 1_000).unwrap() + 500;
    let calls = models.calls(3).await;
    for (reservation, call) in models.reservations().iter().zip(&calls) {
        assert_eq!((reservation.held_for, reservation.charges.len()), (Some(call.decision), 1));
        let held = Charge { amount: bound, ..call.charges[0] };
        assert_eq!((reservation.charges[0], reservation.draws.len()), (held, 0), "no budget, no draw");
        assert!(reservation.position < call.position);
    }
    assert_eq!(models.reservations().len(), 3);
    // 450 are used, and a call that may use more than the rest is limited to it by the quota.
    models.provider.otherwise(|_| Reaction::json(chat_answer(2_200, 1_300)));
    let large = models.world.send(chat(r#","max_tokens":100000"#).bearer(&key)).await;
    assert_eq!(large.status, 429, "{}", large.text());
    assert!(large.header("retry-after").is_some());
    models.world.clock.advance(std::time::Duration::from_secs(60));
    let large = models.world.send(chat(r#","max_tokens":1000"#).bearer(&key)).await;
    assert_eq!(large.status, 200, "{}", large.text());
    assert!(models.calls(5).await[4].charges.iter().all(|charge| charge.amount == 3_500));
    models.world.clock.advance(std::time::Duration::from_secs(120));
    let none_left = models.world.send(chat("").bearer(&key)).await;
    assert_eq!(none_left.json()["error"]["code"], "quota_exhausted", "{}", none_left.text());
}
