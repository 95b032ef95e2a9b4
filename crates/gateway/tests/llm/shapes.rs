//! Denials and lists of models as the providers' SDKs read them.

use serde_json::{Value, json};
use tollgate_core::money::price::Provider;
use tollgate_gateway::llm::{
    error_shape::{Refusal, error_body},
    models::{filtered, is_model_list},
};

fn refused(provider: Provider, status: u16, code: &str) -> Value {
    let refusal = Refusal { status, code, message: "say \"why\"", decision: "dec_1" };
    serde_json::from_slice(&error_body(provider, &refusal)).unwrap()
}

#[test]
fn denials_have_the_shape_of_their_provider() {
    assert_eq!(
        refused(Provider::OpenAi, 429, "rate_limited"),
        json!({"error": {"message": "say \"why\"", "type": "rate_limit_error", "param": null,
               "code": "rate_limited", "decision_id": "dec_1"}})
    );
    assert_eq!(
        refused(Provider::Anthropic, 402, "budget_exhausted"),
        json!({"type": "error", "request_id": "dec_1",
               "error": {"type": "billing_error", "message": "say \"why\"", "code": "budget_exhausted"}})
    );
    let gemini = refused(Provider::Gemini, 403, "model_not_allowed");
    assert_eq!(gemini["error"]["code"], 403);
    assert_eq!(gemini["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(gemini["error"]["details"][0]["reason"], "MODEL_NOT_ALLOWED");
    for provider in [Provider::OpenAi, Provider::Anthropic, Provider::Gemini] {
        for status in [400, 401, 402, 403, 404, 413, 415, 429, 431, 502, 503, 504] {
            let error = &refused(provider, status, "x")["error"];
            let kind = error.get("type").or(error.get("status")).and_then(Value::as_str).unwrap();
            assert_eq!(
                kind.contains("invalid") || kind.contains("INVALID"),
                matches!(status, 400 | 415 | 431)
                    || (matches!(status, 404 | 413) && provider == Provider::OpenAi)
                    || (status == 413 && provider == Provider::Gemini),
                "{provider:?} {status}: {kind}"
            );
        }
    }
}

#[test]
fn a_list_shows_only_what_may_be_used() {
    let may =
        |name: &str| name.starts_with("gemini-2.5") || name == "gpt-4o" || name.starts_with("claude-sonnet");
    let list = |provider, body: Value| {
        let out = filtered(provider, body.to_string().as_bytes(), may);
        out.map(|out| serde_json::from_slice::<Value>(&out).unwrap())
    };
    assert_eq!(
        list(
            Provider::OpenAi,
            json!({"object": "list", "data": [{"id": "gpt-4o", "x": 1}, {"id": "o3"}, {}]})
        ),
        Some(json!({"object": "list", "data": [{"id": "gpt-4o", "x": 1}]}))
    );
    assert_eq!(
        list(
            Provider::Gemini,
            json!({"models": [{"name": "models/gemini-2.5-pro"}, {"name": "models/veo-3"}]})
        ),
        Some(json!({"models": [{"name": "models/gemini-2.5-pro"}]}))
    );
    let page = |has_more: bool| {
        json!({"data": [{"id": "claude-opus-5"}, {"id": "claude-sonnet-5"}, {"id": "claude-haiku-5"}],
               "first_id": "claude-opus-5", "last_id": "claude-haiku-5", "has_more": has_more})
    };
    let last = list(Provider::Anthropic, page(false)).unwrap();
    assert_eq!((&last["first_id"], &last["last_id"]), (&json!("claude-sonnet-5"), &json!("claude-sonnet-5")));
    let more = list(Provider::Anthropic, page(true)).unwrap();
    assert_eq!(more["last_id"], "claude-haiku-5", "the next page is asked for behind it");
    for body in [json!([]), json!({}), json!({"data": {}}), json!("x")] {
        assert_eq!(list(Provider::OpenAi, body), None, "what is no list is not passed on");
    }
    assert_eq!(filtered(Provider::OpenAi, b"{", may), None);
    assert!(
        is_model_list(Provider::Gemini, "/v1beta/models") && is_model_list(Provider::OpenAi, "/v1/models")
    );
    assert!(!is_model_list(Provider::OpenAi, "/v1/models/gpt-4o"));
}
