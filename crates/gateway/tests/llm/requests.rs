//! Bodies of calls: what they say, what they may use at most, and their edits.

use proptest::prelude::*;
use tollgate_core::money::price::{Price, PriceSpec, Provider};
use tollgate_gateway::llm::{
    api::{Api, GeminiTarget, api_of, gemini_target},
    request::{BODY_BYTES_MAX, BodyError, Call, Wishes},
};

fn call(api: Api, body: &str) -> Call<'_> {
    Call::read(api, body.as_bytes()).unwrap()
}

fn edited(api: Api, body: &str, wishes: Wishes<'_>) -> String {
    let edited = call(api, body).edited(wishes);
    edited.map_or_else(|| body.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
}

fn price(lines: &str) -> Price {
    let text = format!("provider = 'openai'\nmodel = 'm'\ninput = '1'\noutput = '2'\n{lines}");
    Price::compile(&toml::from_str::<PriceSpec>(&text).unwrap()).unwrap()
}

#[test]
fn paths_name_their_api() {
    for (provider, path, api) in [
        (Provider::OpenAi, "/v1/chat/completions", Some(Api::OpenAiChat)),
        (Provider::OpenAi, "/v1/responses", Some(Api::OpenAiResponses)),
        (Provider::OpenAi, "/v1/embeddings", Some(Api::OpenAiEmbeddings)),
        (Provider::OpenAi, "/v1/images/generations", None),
        (Provider::Anthropic, "/v1/messages", Some(Api::AnthropicMessages)),
        (Provider::Anthropic, "/v1/messages/count_tokens", None),
        (Provider::Anthropic, "/v1/chat/completions", None),
        (Provider::Gemini, "/v1beta/models/gemini-2.5-flash:generateContent", Some(Api::GeminiGenerate)),
        (Provider::Gemini, "/v1beta/models/gemini-2.5-flash:embedContent", None),
        (Provider::Gemini, "/v1beta/models/:generateContent", None),
    ] {
        assert_eq!(api_of(provider, path), api, "{path}");
    }
    let path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent";
    assert_eq!(gemini_target(path), Some(GeminiTarget { model: "gemini-2.5-pro", stream: true }));
}

#[test]
fn what_a_call_says_is_read() {
    let body = r#"{"model":"gpt-4o","stream":true,"n":2,"max_tokens":9,"max_completion_tokens":7,"service_tier":"flex","stream_options":{"include_usage":true},"messages":[]}"#;
    let chat = call(Api::OpenAiChat, body);
    assert_eq!((chat.model(), chat.stream(), chat.choices()), (Some("gpt-4o"), true, 2));
    assert_eq!(
        (chat.output_limit(), chat.service_tier()),
        (Some(9), Some("flex")),
        "the larger limit bounds"
    );
    assert!(chat.includes_usage());
    let escaped =
        call(Api::AnthropicMessages, r#"{"mod\u0065l":"claude\u002d3","max_tokens":5.0,"stream":null}"#);
    assert_eq!((escaped.model(), escaped.output_limit()), (Some("claude-3"), Some(5)));
    let gemini =
        call(Api::GeminiGenerate, r#"{"generation_config":{"maxOutputTokens":"64","candidate_count":3}}"#);
    assert_eq!((gemini.output_limit(), gemini.choices()), (Some(64), 3));
}

/// What is granted is a model by its name; another one in the same body is no way around it.
#[test]
fn models_beside_the_one_asked_for_are_told() {
    for (api, body, wanted) in [
        (Api::OpenAiChat, r#"{"model":"cheap","models":["cheap","dear"]}"#, true),
        (Api::OpenAiChat, r#"{"model":"cheap","fallbacks":[{"model":"dear"}]}"#, true),
        (Api::OpenAiResponses, r#"{"tools":[{"type":"image_generation","model":"gpt-image-1"}]}"#, true),
        (Api::AnthropicMessages, r#"{"tools":[{"type":"advisor_20260301","model":"claude-opus-5"}]}"#, true),
        (Api::AnthropicMessages, r#"{"model":"claude","messages":[{"content":"model"}]}"#, false),
    ] {
        let call = call(api, body);
        assert_eq!((call.names_other_models(), call.is_unbounded()), (wanted, wanted), "{body}");
    }
}

/// I9: what makes a call dearer is never taken for the ordinary service.
#[test]
fn everything_that_has_a_price_of_its_own_is_told() {
    for (api, body, wanted) in [
        (Api::OpenAiChat, r#"{"service_tier":"priority"}"#, Some("priority")),
        (Api::OpenAiChat, r#"{"service_tier":"auto"}"#, None),
        (Api::OpenAiResponses, r#"{"service_tier":null}"#, None),
        (Api::AnthropicMessages, r#"{"speed":"fast","service_tier":"standard_only"}"#, Some("fast")),
        (Api::AnthropicMessages, r#"{"inference_geo":"us"}"#, Some("us")),
        (Api::AnthropicMessages, r#"{"inference_geo":"global","speed":"standard"}"#, None),
        (Api::AnthropicMessages, r#"{"inference_geo":"us","speed":"fast"}"#, Some("fast+us")),
        (Api::GeminiGenerate, r#"{"serviceTier":"priority"}"#, Some("priority")),
    ] {
        assert_eq!(call(api, body).service_tier(), wanted, "{body}");
    }
}

/// What two parsers could read differently is no way around a limit.
#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let ambiguous =
        |api, body: &str| matches!(Call::read(api, body.as_bytes()), Err(BodyError::Ambiguous(_)));
    assert!(ambiguous(Api::OpenAiChat, r#"{"model":"a","model":"b"}"#));
    assert!(ambiguous(Api::OpenAiChat, r#"{"model":"a","mod\u0065l":"b"}"#));
    assert!(ambiguous(Api::OpenAiChat, r#"{"model":"a","Model":"b"}"#));
    assert!(ambiguous(Api::OpenAiChat, r#"{"MAX_TOKENS":1}"#));
    assert!(ambiguous(Api::OpenAiChat, r#"{"n":null,"n":9}"#));
    assert!(ambiguous(Api::GeminiGenerate, r#"{"generationConfig":{},"generation_config":{}}"#));
    assert!(ambiguous(
        Api::GeminiGenerate,
        r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}"#
    ));
    assert!(!ambiguous(
        Api::OpenAiChat,
        r#"{"x":{"model":"a","model":"b"},"messages":[{"model":1},{"model":2}]}"#
    ));
}

#[test]
fn what_is_no_call_is_refused() {
    for body in ["", "[]", "null", "{", "{}x", "\u{feff}{}", r#"{"a":1,}"#, "{'a':1}"] {
        assert_eq!(Call::read(Api::OpenAiChat, body.as_bytes()).unwrap_err(), BodyError::NotJson, "{body}");
    }
    assert_eq!(Call::read(Api::OpenAiChat, b"{\"a\":\"\xFF\"}").unwrap_err(), BodyError::NotJson);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
    assert_eq!(Call::read(Api::OpenAiChat, deep.as_bytes()).unwrap_err(), BodyError::NotJson);
    let large = vec![b' '; BODY_BYTES_MAX + 1];
    assert_eq!(Call::read(Api::OpenAiChat, &large).unwrap_err(), BodyError::TooLarge);
    for body in [
        r#"{"model":5}"#,
        r#"{"stream":"true"}"#,
        r#"{"max_tokens":-1}"#,
        r#"{"max_tokens":1e3}"#,
        r#"{"max_tokens":"9"}"#,
        r#"{"n":0}"#,
        r#"{"n":1000}"#,
    ] {
        assert!(
            matches!(Call::read(Api::OpenAiChat, body.as_bytes()), Err(BodyError::Value { .. })),
            "{body}"
        );
    }
    assert_eq!(Call::read(Api::OpenAiChat, br#"{"stream_options":[]}"#).unwrap_err(), BodyError::NotJson);
}

/// What no store would take is refused before it is written anywhere (I1).
#[test]
fn names_have_no_control_characters_and_an_end() {
    let long = "m".repeat(257);
    for (api, member) in [
        (Api::OpenAiChat, "model"),
        (Api::OpenAiChat, "service_tier"),
        (Api::AnthropicMessages, "speed"),
        (Api::AnthropicMessages, "inference_geo"),
        (Api::GeminiGenerate, "serviceTier"),
    ] {
        for name in [r"a\u0000b", r"a\n", "a\u{7f}", r"\u0085", &long] {
            let body = format!(r#"{{"{member}":"{name}"}}"#);
            let refused = Call::read(api, body.as_bytes());
            assert!(matches!(refused, Err(BodyError::Value { .. })), "{body}: {refused:?}");
        }
        let body = format!(r#"{{"{member}":"{}"}}"#, "m".repeat(256));
        assert!(Call::read(api, body.as_bytes()).is_ok(), "{member}");
    }
}

#[test]
fn a_call_is_bounded_by_what_it_says_and_by_its_model() {
    let body = r#"{"messages":[{"role":"user","content":"hello"}],"max_tokens":100}"#;
    let bytes = body.len() as u64;
    let ask = call(Api::OpenAiChat, body).ask(&price("")).unwrap();
    assert!(ask.input_tokens >= bytes && ask.output_tokens == 100);
    let sized = price("input_tokens_max = 50\noutput_tokens_max = 60");
    let ask = call(Api::OpenAiChat, body).ask(&sized).unwrap();
    assert_eq!((ask.input_tokens, ask.output_tokens), (50, 60));
    assert_eq!(call(Api::OpenAiChat, "{}").ask(&price("")), None, "no limit and no bound of the model");
    assert_eq!(call(Api::OpenAiChat, "{}").ask(&sized).unwrap().output_tokens, 60);
    assert_eq!(call(Api::OpenAiEmbeddings, r#"{"input":"x"}"#).ask(&price("")).unwrap().output_tokens, 0);
}

/// I9: what a provider turns into more tokens than it has bytes never slips under the bound.
#[test]
fn images_files_and_tools_of_the_provider_are_seen() {
    let limited = |body: &str| {
        body.replacen(
            '{',
            "{\"max_tokens\":1,\"max_output_tokens\":1,\"generationConfig\":{\"maxOutputTokens\":1},",
            1,
        )
    };
    let ask = |api, body: &str| call(api, &limited(body)).ask(&price("input_tokens_max = 1000000"));
    let image = r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}"#;
    assert!(ask(Api::OpenAiChat, image).unwrap().input_tokens > 50_000);
    let inline = r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}]}"#;
    assert!(ask(Api::GeminiGenerate, inline).unwrap().input_tokens > 50_000);
    for (api, body) in [
        (Api::OpenAiChat, r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#),
        (Api::OpenAiResponses, r#"{"previous_response_id":"resp_1"}"#),
        (Api::OpenAiResponses, r#"{"conversation":{"id":"c"}}"#),
        (Api::OpenAiResponses, r#"{"prompt":{"id":"p"}}"#),
        (
            Api::AnthropicMessages,
            r#"{"messages":[{"content":[{"type":"document","source":{"type":"url"}}]}]}"#,
        ),
        (Api::GeminiGenerate, r#"{"contents":[{"parts":[{"fileData":{"fileUri":"gs://x"}}]}]}"#),
        (Api::GeminiGenerate, r#"{"cachedContent":"cachedContents/1"}"#),
        (
            Api::GeminiGenerate,
            r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"application/pdf"}}]}]}"#,
        ),
    ] {
        assert_eq!(ask(api, body).unwrap().input_tokens, 1_000_000, "{body}");
        assert_eq!(call(api, &limited(body)).ask(&price("")), None, "{body}: nobody knows a bound");
    }
    for (api, body) in [
        (Api::OpenAiResponses, r#"{"tools":[{"type":"web_search"}]}"#),
        (Api::OpenAiChat, r#"{"web_search_options":{}}"#),
        (Api::OpenAiChat, r#"{"prediction":{"type":"content","content":"x"}}"#),
        (Api::AnthropicMessages, r#"{"mcp_servers":[{"type":"url","url":"https://x"}]}"#),
        (Api::AnthropicMessages, r#"{"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#),
        (Api::GeminiGenerate, r#"{"tools":[{"google_search":{}}]}"#),
        (Api::AnthropicMessages, r#"{"context_management":{"edits":[{"type":"compact_20260112"}]}}"#),
    ] {
        assert!(call(api, &limited(body)).is_unbounded(), "{body}");
        assert_eq!(ask(api, body), None, "{body}");
    }
    let function = r#"{"tools":[{"type":"function","function":{"name":"web_search","parameters":{"type":"object","properties":{"file_id":{"type":"string"},"type":{"type":"string"}}}}}]}"#;
    let own = ask(Api::OpenAiChat, function).unwrap();
    assert!(own.input_tokens < 5_000, "the client's own functions are bytes like any other");
}

/// I9: a tool that nobody here knows may have fees, and read what nobody can bound.
#[test]
fn only_tools_whose_work_the_client_does_are_bounded() {
    let (chat, responses) = (Api::OpenAiChat, Api::OpenAiResponses);
    let (anthropic, gemini) = (Api::AnthropicMessages, Api::GeminiGenerate);
    for (api, tools, wanted) in [
        (chat, r#"[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{}}]"#, false),
        (responses, r#"[{"type":"function","name":"f"},{"type":"local_shell"}]"#, false),
        (responses, r#"[{"type":"apply_patch"}]"#, false),
        (responses, r#"[{"type":"web_search_2025_08_26"}]"#, true),
        (responses, r#"[{"type":"web_search_preview_2025_03_11"}]"#, true),
        (responses, r#"[{"type":"function","name":"f"},{"type":"shell"}]"#, true),
        (responses, r#"[{"type":"function","type":"mcp"}]"#, true),
        (responses, r#"[{"type":"of_tomorrow"}]"#, true),
        (responses, r#"{"type":"of_tomorrow"}"#, true),
        (chat, r#"[{"type":"of_tomorrow"}]"#, true),
        (anthropic, r#"[{"name":"f","input_schema":{"type":"object"}},{"type":"custom"}]"#, false),
        (anthropic, r#"[{"type":"bash_20250124"},{"type":"text_editor_20250728"}]"#, false),
        (anthropic, r#"[{"type":"computer_20250124"},{"type":"memory_20250818"}]"#, false),
        (anthropic, r#"[{"type":"web_fetch_20260101"}]"#, true),
        (anthropic, r#"[{"type":"of_tomorrow_20270101"}]"#, true),
        (gemini, r#"[{"functionDeclarations":[{"name":"googleSearch","parameters":{}}]}]"#, false),
        (gemini, r#"{"function_declarations":{"name":"f"}}"#, false),
        (gemini, r#"[{"functionDeclarations":[],"googleSearch":null}]"#, false),
        (gemini, r#"{"googleSearch":{}}"#, true),
        (gemini, r#"[{"google_search":{}}]"#, true),
        (gemini, r#"[{"ofTomorrow":{}}]"#, true),
    ] {
        let body = format!(r#"{{"tools":{tools}}}"#);
        assert_eq!(call(api, &body).is_unbounded(), wanted, "{body}");
    }
    let empty = call(anthropic, r#"{"tools":[],"mcp_servers":[]}"#);
    assert!(!empty.is_unbounded());
}

#[test]
fn usage_is_asked_for_with_the_least_change() {
    let wishes = Wishes { include_usage: true, ..Wishes::default() };
    for (body, wanted) in [
        (r#"{ "stream": true }"#, r#"{"stream_options":{"include_usage":true}, "stream": true }"#),
        (
            r#"{"stream":true,"stream_options":{}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream":true,"stream_options": { "x" : 1}}"#,
            r#"{"stream":true,"stream_options": {"include_usage":true, "x" : 1}}"#,
        ),
        (
            r#"{"stream_options":{"include_usage" : false},"stream":true}"#,
            r#"{"stream_options":{"include_usage" : true},"stream":true}"#,
        ),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (r#"{"stream":false}"#, r#"{"stream":false}"#),
    ] {
        assert_eq!(edited(Api::OpenAiChat, body, wishes), wanted);
    }
    assert_eq!(edited(Api::OpenAiResponses, r#"{"stream":true}"#, wishes), r#"{"stream":true}"#);
}

#[test]
fn output_limits_are_lowered_and_never_raised() {
    let wishes = Wishes { include_usage: false, output_limit: Some(50), ..Wishes::default() };
    for (api, body, wanted) in [
        (Api::OpenAiChat, r#"{"max_tokens": 90 }"#, r#"{"max_tokens": 50 }"#),
        (
            Api::OpenAiChat,
            r#"{"max_tokens":90,"max_completion_tokens":10}"#,
            r#"{"max_tokens":50,"max_completion_tokens":10}"#,
        ),
        (Api::OpenAiChat, r#"{"max_tokens":10}"#, r#"{"max_tokens":10}"#),
        (Api::OpenAiChat, "{}", r#"{"max_completion_tokens":50}"#),
        (Api::OpenAiChat, r#"{"max_completion_tokens":null}"#, r#"{"max_completion_tokens":50}"#),
        (Api::OpenAiResponses, r#"{"a":1}"#, r#"{"max_output_tokens":50,"a":1}"#),
        (Api::AnthropicMessages, r#"{"max_tokens":64000}"#, r#"{"max_tokens":50}"#),
        (Api::GeminiGenerate, "{}", r#"{"generationConfig":{"maxOutputTokens":50}}"#),
        (
            Api::GeminiGenerate,
            r#"{"generation_config":{"topK":1}}"#,
            r#"{"generation_config":{"maxOutputTokens":50,"topK":1}}"#,
        ),
        (
            Api::GeminiGenerate,
            r#"{"generationConfig":{"max_output_tokens":"70"}}"#,
            r#"{"generationConfig":{"max_output_tokens":50}}"#,
        ),
        (Api::OpenAiEmbeddings, r#"{"input":"x"}"#, r#"{"input":"x"}"#),
    ] {
        assert_eq!(edited(api, body, wishes), wanted);
    }
    let both = Wishes { include_usage: true, output_limit: Some(5), ..Wishes::default() };
    let edited = edited(Api::OpenAiChat, r#"{"stream":true,"messages":[]}"#, both);
    let again = call(Api::OpenAiChat, &edited);
    assert!(again.includes_usage() && again.output_limit() == Some(5), "{edited}");
}

proptest! {
    /// Whatever is edited is read again as what was wished for, and nothing else has changed.
    #[test]
    fn an_edited_body_says_what_was_wished(limit in 1u64..1_000_000, said in proptest::option::of(0u64..2_000_000), space in "[ \t\r\n]{0,3}", note in "\\PC{0,20}", stream in any::<bool>()) {
        let mut body = serde_json::json!({"note": note, "stream": stream, "messages": [{"content": note}]});
        if let Some(said) = said {
            body["max_tokens"] = said.into();
        }
        let text = serde_json::to_string_pretty(&body).unwrap();
        let text = format!("{space}{text}{space}");
        let out = edited(Api::OpenAiChat, &text, Wishes { include_usage: true, output_limit: Some(limit), ..Wishes::default() });
        let after = call(Api::OpenAiChat, &out);
        prop_assert_eq!(after.output_limit(), Some(said.map_or(limit, |said| said.min(limit))));
        prop_assert_eq!(after.includes_usage(), stream);
        let mut value: serde_json::Value = serde_json::from_str(&out).unwrap();
        for added in ["max_completion_tokens", "max_tokens", "stream_options"] {
            value.as_object_mut().unwrap().remove(added);
            body.as_object_mut().unwrap().remove(added);
        }
        prop_assert_eq!(value, body);
    }
}
