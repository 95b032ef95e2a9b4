//! Retries and fallbacks: each attempt reserves for itself, and the budget holds over all of them.

use serde_json::Value;
use tollgate_journal::Flags;

use super::{CREDENTIAL, Models, SERVICES, budget, chat, chat_answer, provider::Reaction};

/// `openai` with a fallback to another model, and one to another upstream.
fn with_fallbacks(more: &str) -> Models {
    let second = r#"
    [[service.fallback]]
    model = "m-small"

    [[service]]
    project = "maps"
    name = "anthropic""#;
    let first = "[[service]]\n    project = \"maps\"\n    name = \"anthropic\"";
    let services = SERVICES.replacen(first, second.trim_start(), 1);
    let price = "[[price]]\nprovider = \"openai\"\nmodel = \"m-small\"\ninput = \"0.5\"\noutput = \"1\"\noutput_tokens_max = 1000\n";
    Models::with(&format!("{services}\n{price}\n{more}"))
}

#[tokio::test]
async fn a_fallback_answers_with_its_own_model_and_reservation() {
    let models = with_fallbacks(&budget("5.00"));
    let key = models.world.key("standard");
    models.provider.react([Reaction::error(429), Reaction::json(chat_answer(100, 50))]);
    let reply = models.world.send(chat("").bearer(&key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-tollgate-cost"), Some("0.0001"));
    let asked: Vec<Value> =
        models.provider.seen().iter().map(|seen| serde_json::from_str(&seen.body).unwrap()).collect();
    assert_eq!((&asked[0]["model"], &asked[1]["model"]), (&"m".into(), &"m-small".into()));
    assert!(models.provider.seen().iter().all(|seen| seen.head.contains(CREDENTIAL)));
    let record = &models.calls(1).await[0];
    let opened = models.reservations();
    assert_eq!((record.draws.len(), opened.len()), (2, 2));
    assert_eq!((record.draws[0].used, record.draws[1].used), (0, 100_000));
    assert_eq!((record.cost, record.model.as_str()), (100_000, "m-small"));
    assert!(record.entry.flags.contains(Flags::RETRIED));
    for (draw, opened) in record.draws.iter().zip(&opened) {
        assert_eq!((draw.reservation, opened.draws.len()), (opened.decision, 1));
    }
    assert_eq!(models.book().spent, 100_000);
}

#[tokio::test]
async fn when_every_route_fails_the_last_answer_is_given() {
    let models = with_fallbacks(&budget("5.00"));
    let key = models.world.key("standard");
    models.provider.react([Reaction::error(429), Reaction::error(503)]);
    assert_eq!(models.world.send(chat("").bearer(&key)).await.status, 503);
    models.provider.react([Reaction::error(400)]);
    assert_eq!(models.world.send(chat("").bearer(&key)).await.status, 400, "another attempt would not help");
    assert_eq!((models.book().spent, models.provider.seen().len()), (0, 3));
}

#[tokio::test]
async fn a_fallback_whose_model_is_not_granted_is_not_tried() {
    let policy = "[[policy]]\nproject = \"maps\"\nname = \"narrow\"\nservices = [\"*\"]\nmodels = [\"m\"]\n";
    let models = with_fallbacks(policy);
    let key = models.world.key("narrow");
    models.provider.react([Reaction::error(429)]);
    assert_eq!(models.world.send(chat("").bearer(&key)).await.status, 429);
    assert_eq!(models.provider.seen().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_passed_over_and_costs_nothing() {
    let dead = format!("http://{}", tollgate_testkit::free_address());
    let services = SERVICES.replacen(
        "upstreams = [\"{provider}\"]",
        &format!("upstreams = [\"{dead}\", \"{{provider}}\"]\n    retries = 1"),
        1,
    );
    let models = Models::with(&format!("{services}\n{}", budget("5.00")));
    let key = models.world.key("standard");
    models.provider.otherwise(|_| Reaction::json(chat_answer(100, 50)));
    for _ in 0..4 {
        assert_eq!(models.world.send(chat("").bearer(&key)).await.status, 200);
    }
    assert_eq!(models.book().spent, 4 * 200_000);
    let records = models.calls(4).await;
    let tried_twice = records.iter().filter(|record| record.draws.len() == 2).count();
    assert!(tried_twice > 0, "the dead upstream was never tried");
    assert!(records.iter().all(|record| record.draws.iter().filter(|draw| draw.used > 0).count() == 1));
}

#[tokio::test]
async fn an_attempt_that_may_have_been_served_is_charged_and_not_repeated() {
    let models = with_fallbacks(&budget("5.00"));
    let key = models.world.key("standard");
    models.provider.react([Reaction::HangUp]);
    let reply = models.world.send(chat("").bearer(&key)).await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.json()["error"]["code"], "upstream_unreachable");
    let record = &models.calls(1).await[0];
    assert_eq!((record.draws.len(), record.draws[0].used), (1, record.draws[0].reserved));
    assert!(record.entry.flags.contains(Flags::ESTIMATED));
    assert_eq!(models.provider.seen().len(), 1);
}

/// A proxy in front of the model did not wait for its answer, which the provider may bill.
#[tokio::test]
async fn an_attempt_that_a_proxy_gave_up_on_is_charged_and_not_repeated() {
    for status in [408, 504] {
        let models = with_fallbacks(&budget("5.00"));
        let key = models.world.key("standard");
        models.provider.react([Reaction::error(status)]);
        assert_eq!(models.world.send(chat("").bearer(&key)).await.status, status);
        let record = &models.calls(1).await[0];
        assert_eq!((record.draws.len(), record.draws[0].used), (1, record.draws[0].reserved));
        assert!(record.draws[0].used > 0 && record.entry.flags.contains(Flags::ESTIMATED));
        assert_eq!((models.book().spent, models.provider.seen().len()), (record.cost, 1));
    }
}

#[tokio::test]
async fn gemini_falls_back_by_its_path() {
    let second = "[[service.fallback]]\n    model = \"m-2.5-small\"\n\n    [[policy]]";
    let services = SERVICES.replacen("[[policy]]", second, 1);
    let models = Models::with(&services);
    let key = models.world.key("standard");
    models.provider.react([Reaction::error(503), Reaction::error(400)]);
    let call = tollgate_testkit::http::Call::new("POST", "/v1beta/models/m:generateContent")
        .body(r#"{"contents":[]}"#);
    assert_eq!(models.world.send(call.bearer(&key)).await.status, 400);
    let lines: Vec<String> = models.provider.seen().into_iter().map(|seen| seen.line).collect();
    assert!(lines[0].contains("/v1beta/models/m:generateContent "), "{lines:?}");
    assert!(lines[1].contains("/v1beta/models/m-2.5-small:generateContent "), "{lines:?}");
}

/// I8: a quota is taken once for all attempts of a call, and so the journal has it held once.
#[tokio::test]
async fn attempts_of_one_call_hold_its_token_quota_once() {
    let policy = "[[policy]]\nproject = \"maps\"\nname = \"tokens\"\nservices = [\"*\"]\n\
                  quota = [{ name = \"daily\", unit = \"tokens\", amount = 400000, period = \"day\" }]\n";
    let models = with_fallbacks(&format!("{}\n{policy}", budget("5.00")));
    let key = models.world.key("tokens");
    models.provider.react([Reaction::error(429), Reaction::json(chat_answer(100, 50))]);
    let reply = models.world.send(chat("").bearer(&key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let call = &models.calls(1).await[0];
    assert_eq!((call.charges.len(), call.charges[0].amount), (1, 150));
    assert!(call.entry.flags.contains(Flags::HELD));
    let opened = models.reservations();
    assert_eq!((opened.len(), opened[0].held_for, opened[1].held_for), (2, Some(call.decision), None));
    assert_eq!((opened[0].charges.len(), opened[1].charges.len()), (1, 0));
    assert!(opened[0].charges[0].amount > 2_000, "{:?}", opened[0].charges);
}
