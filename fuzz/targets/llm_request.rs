//! Any bytes as the body of a call to a model. What is accepted is JSON to another parser too, means the same there,
//! and an edited body is accepted again and says what was wished for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_gateway::llm::{
    api::Api,
    request::{Call, Wishes},
};

const APIS: [Api; 5] = [
    Api::OpenAiChat,
    Api::OpenAiResponses,
    Api::OpenAiEmbeddings,
    Api::AnthropicMessages,
    Api::GeminiGenerate,
];

fuzz_target!(|data: &[u8]| {
    let [mode, limit, body @ ..] = data else { return };
    let api = APIS[usize::from(*mode) % APIS.len()];
    let Ok(call) = Call::read(api, body) else { return };
    let value: serde_json::Value = serde_json::from_slice(body).expect("another parser refuses it");
    assert_eq!(
        call.model(),
        value.get("model").and_then(|model| model.as_str()).filter(|_| api != Api::GeminiGenerate)
    );
    let limit = u64::from(*limit);
    let wishes = Wishes { output_limit: Some(limit), include_usage: true, ..Wishes::default() };
    let Some(edited) = call.edited(wishes) else { return };
    let again = Call::read(api, &edited).expect("an edited body is refused");
    assert!(again.output_limit().is_some_and(|said| said <= limit) || api == Api::OpenAiEmbeddings);
    assert!(again.includes_usage() || api != Api::OpenAiChat || !again.stream());
    assert_eq!(
        (again.model(), again.choices(), again.stream()),
        (call.model(), call.choices(), call.stream())
    );
    assert_eq!(again.edited(wishes), None, "edited twice it changes again");
});
