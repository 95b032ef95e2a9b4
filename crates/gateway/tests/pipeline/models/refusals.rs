//! Refusals in the words of the provider whose SDK reads them, and grants of models.

use serde_json::{Value, json};
use tollgate_testkit::http::Call;

use super::{Models, chat, chat_answer, provider::Reaction};

fn calls() -> [(&'static str, Call); 3] {
    let anthropic = r#"{"model":"m","max_tokens":5,"messages":[]}"#;
    [
        ("openai", chat("")),
        ("anthropic", Call::new("POST", "/anthropic/v1/messages").body(anthropic)),
        ("gemini", Call::new("POST", "/v1beta/models/m:generateContent").body(r#"{"contents":[]}"#)),
    ]
}

/// The code of a refusal, wherever a provider has it.
fn code(provider: &str, body: &Value) -> String {
    let code = match provider {
        "gemini" => &body["error"]["details"][0]["reason"],
        _ => &body["error"]["code"],
    };
    code.as_str().unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn refusals_have_the_shape_of_the_provider() {
    let policy = "[[policy]]\nproject = \"maps\"\nname = \"none\"\nservices = []\n\
                  [[policy]]\nproject = \"maps\"\nname = \"one\"\nservices = [\"*\"]\n\
                  limit = [{ name = \"burst\", amount = 1, window = \"1h\" }]\n";
    for (index, (provider, call)) in calls().into_iter().enumerate() {
        let models = Models::start(policy);
        models.provider.otherwise(|_| Reaction::error(400));
        let refused = models.world.send(call.clone()).await;
        assert_eq!((refused.status.as_u16(), &*code(provider, &refused.json())), (401, "key_missing"));
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        assert_eq!(refused.header("content-type"), Some("application/json"));
        assert!(refused.text().contains(refused.header("x-request-id").unwrap()));
        let none = models.world.key("none");
        let refused = models.world.send(call.clone().bearer(&none)).await;
        assert_eq!(
            (refused.status.as_u16(), &*code(provider, &refused.json())),
            (403, "service_not_granted")
        );
        let one = models.world.key("one");
        assert_eq!(models.world.send(call.clone().bearer(&one)).await.status, 400);
        let refused = models.world.send(call.clone().bearer(&one)).await;
        assert_eq!((refused.status.as_u16(), &*code(provider, &refused.json())), (429, "rate_limited"));
        assert!(refused.header("retry-after").is_some());
        let shape = &refused.json()["error"];
        let word = [&shape["type"], &shape["type"], &shape["status"]][index];
        let words = ["rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"];
        assert_eq!(word, words[index]);
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_judged_is_refused_before_anything_is_counted() {
    let models = Models::start("");
    let key = models.world.key("standard");
    let post = |body: &str| Call::new("POST", "/v1/chat/completions").bearer(&key).body(body.to_owned());
    for (call, status, code) in [
        (post("not json"), 400, "malformed_request"),
        (post(r#"{"model":"m","model":"n","messages":[]}"#), 400, "malformed_request"),
        (post(r#"{"messages":[]}"#), 400, "malformed_request"),
        (post(r#"{"model":"a\u0000b","messages":[]}"#), 400, "malformed_request"),
        (post(r#"{"model":"m"}"#).header("content-encoding", "gzip"), 415, "unsupported_content"),
    ] {
        let reply = models.world.send(call).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"]["code"].as_str()), (status, Some(code)));
    }
    let long = format!("/v1beta/models/{}:generateContent", "m".repeat(257));
    let reply = models.world.send(Call::new("POST", &long).bearer(&key).body(r#"{"contents":[]}"#)).await;
    assert_eq!((reply.status.as_u16(), code("gemini", &reply.json())), (400, "malformed_request".to_owned()));
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n",
        33 << 20
    );
    let limit = std::time::Duration::from_secs(2);
    let answer = tollgate_testkit::raw::exchange_within(models.world.address, head.as_bytes(), limit).await;
    assert_eq!(answer.status(), Some(413), "{}", answer.text());
    assert!(answer.text().contains("body_too_large"));
    assert_eq!(models.provider.seen().len(), 0);
}

#[tokio::test]
async fn a_key_without_grant_makes_nobody_read_its_body() {
    let policy = "[[policy]]\nproject = \"maps\"\nname = \"none\"\nservices = []\n";
    let models = Models::start(policy);
    let key = models.world.key("none");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: 1000\r\n\r\n"
    );
    let answer = tollgate_testkit::raw::exchange_within(
        models.world.address,
        head.as_bytes(),
        std::time::Duration::from_secs(2),
    )
    .await;
    assert_eq!(answer.status(), Some(403), "{}", answer.text());
}

const GRANTS: &str =
    "[[policy]]\nproject = \"maps\"\nname = \"grants\"\nservices = [\"*\"]\nmodels = [\"m\", \"m-*\"]\n";

#[tokio::test]
async fn models_that_are_not_granted_are_refused_wherever_they_are_named() {
    let models = Models::start(GRANTS);
    let key = models.world.key("grants");
    models.provider.otherwise(|_| Reaction::json(chat_answer(1, 1)));
    let post = |target: &str, body: &str| Call::new("POST", target).bearer(&key).body(body.to_owned());
    for call in [
        post("/v1/chat/completions", r#"{"model":"other","messages":[]}"#),
        post("/v1/chat/completions", r#"{"model":"m","models":["m","other"],"messages":[]}"#),
        post("/anthropic/v1/messages", r#"{"model":"other","max_tokens":5,"messages":[]}"#),
        post("/v1beta/models/other:generateContent", r#"{"contents":[]}"#),
        post("/v1/images/generations", r#"{"model":"other","prompt":"a"}"#),
    ] {
        let reply = models.world.send(call).await;
        assert_eq!(reply.status, 403, "{}", reply.text());
        assert!(reply.text().to_lowercase().contains("model_not_allowed"), "{}", reply.text());
    }
    assert_eq!(models.provider.seen().len(), 0);
    for model in ["m", "m-small"] {
        let body = json!({"model": model, "messages": []}).to_string();
        assert_eq!(models.world.send(post("/v1/chat/completions", &body)).await.status, 200);
    }
}

#[tokio::test]
async fn lists_of_models_hold_the_granted_ones_only() {
    let models = Models::start(GRANTS);
    let (narrow, wide) = (models.world.key("grants"), models.world.key("standard"));
    let openai = r#"{"object":"list","data":[{"id":"m"},{"id":"other"},{"id":"m-small"}]}"#;
    let gemini = r#"{"models":[{"name":"models/other"},{"name":"models/m"}]}"#;
    for (target, list, left) in [
        ("/v1/models", openai, r#"{"data":[{"id":"m"},{"id":"m-small"}],"object":"list"}"#),
        ("/v1beta/models", gemini, r#"{"models":[{"name":"models/m"}]}"#),
    ] {
        models.provider.otherwise(move |_| Reaction::json(list));
        assert_eq!(models.world.get(target, &wide).await.text(), list);
        let reply = models.world.get(target, &narrow).await;
        let (found, left): (Value, Value) = (reply.json(), serde_json::from_str(left).unwrap());
        assert_eq!(found, left);
        models.provider.otherwise(|_| Reaction::json("no list"));
        assert_eq!(
            models.world.get(target, &narrow).await.status,
            502,
            "what cannot be read is not passed on"
        );
    }
}
