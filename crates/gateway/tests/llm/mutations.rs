//! Recorded answers and bodies with anything done to them: read the same however they are cut, never
//! believed when they are not whole. The fuzz targets `llm_usage` and `llm_request` go further.

use proptest::{prelude::*, sample::Index};
use tollgate_core::money::usage::TOKENS_MAX;
use tollgate_gateway::llm::{
    api::Api,
    request::{Call, Wishes},
    usage_chunk::UsageChunkFilter,
};

use super::answers::{ANSWERS, kind, read};

/// One change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Put(Index, Vec<u8>),
    Set(Index, u8),
    Cut(Index, usize),
    Copy(Index, Index, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let signs = proptest::sample::select(b"{}[]\":,\\\r\n 0129-e.nul\xEF\xBB\xBF".to_vec());
    let change = prop_oneof![
        (any::<Index>(), proptest::collection::vec(signs.clone(), 1..4))
            .prop_map(|(at, put)| Change::Put(at, put)),
        (any::<Index>(), signs).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), 1usize..40).prop_map(|(at, len)| Change::Cut(at, len)),
        (any::<Index>(), any::<Index>(), 1usize..200).prop_map(|(from, to, len)| Change::Copy(from, to, len)),
    ];
    proptest::collection::vec(change, 0..6)
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        let len = bytes.len() + 1;
        let span = |at: &Index, size: usize| {
            let start = at.index(len);
            start..(start + size).min(len - 1)
        };
        match change {
            Change::Put(at, put) => drop(bytes.splice(span(at, 0), put.iter().copied())),
            Change::Set(at, byte) => drop(bytes.splice(span(at, 1), [*byte])),
            Change::Cut(at, size) => drop(bytes.drain(span(at, *size))),
            Change::Copy(from, to, size) => {
                let part = bytes[span(from, *size)].to_vec();
                drop(bytes.splice(span(to, 0), part));
            }
        }
    }
    bytes
}

fn filtered<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Vec<u8> {
    let mut filter = UsageChunkFilter::default();
    let mut out = Vec::new();
    pieces.into_iter().for_each(|piece| filter.feed(piece, &mut out));
    filter.finish(&mut out);
    out
}

const BODIES: [(Api, &str); 4] = [
    (
        Api::OpenAiChat,
        r#"{"model":"gpt-4o","stream":true,"stream_options":{"x":1},"max_tokens":90,"messages":[{"role":"user","content":"hi"}]}"#,
    ),
    (Api::OpenAiResponses, r#"{"model":"gpt-5","max_output_tokens":null,"input":"x","stream":false}"#),
    (Api::AnthropicMessages, r#"{"model":"claude","max_tokens":5.0,"messages":[],"system":"s"}"#),
    (
        Api::GeminiGenerate,
        r#"{"generation_config":{"candidateCount":2,"maxOutputTokens":"64"},"contents":[]}"#,
    ),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_changed_answer_means_the_same_however_it_is_cut(which in any::<Index>(), changes in changes(), size in 1usize..80) {
        let (name, bytes) = ANSWERS[which.index(ANSWERS.len())];
        let bytes = changed(bytes, &changes);
        let whole = read(kind(name), [bytes.as_slice()]);
        prop_assert_eq!(&read(kind(name), bytes.chunks(size)), &whole);
        if let Some(usage) = whole.usage {
            prop_assert!(usage.estimated || whole.is_whole);
            prop_assert!(usage.input <= TOKENS_MAX && usage.output <= TOKENS_MAX);
            prop_assert!(whole.or_estimate(1_000, 1_000).output >= usage.output);
        }
        prop_assert!(whole.text_bytes <= bytes.len() as u64);
        let passed = filtered([bytes.as_slice()]);
        prop_assert_eq!(&filtered(bytes.chunks(size)), &passed);
        prop_assert!(passed.len() < bytes.len() || passed == bytes);
    }

    #[test]
    fn a_changed_body_is_refused_or_means_what_another_parser_says(which in any::<Index>(), changes in changes(), limit in 0u64..200) {
        let (api, body) = BODIES[which.index(BODIES.len())];
        let body = changed(body.as_bytes(), &changes);
        let Ok(call) = Call::read(api, &body) else { return Ok(()) };
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let model = value.get("model").and_then(|model| model.as_str());
        prop_assert_eq!(call.model(), model.filter(|_| api != Api::GeminiGenerate));
        let wishes = Wishes { output_limit: Some(limit), include_usage: true, ..Wishes::default() };
        let Some(edited) = call.edited(wishes) else { return Ok(()) };
        let again = Call::read(api, &edited).unwrap();
        prop_assert!(again.output_limit().is_some_and(|said| said <= limit));
        prop_assert!(again.includes_usage() || api != Api::OpenAiChat || !again.stream());
        prop_assert_eq!((again.model(), again.choices(), again.stream()), (call.model(), call.choices(), call.stream()));
        prop_assert_eq!(again.edited(wishes), None);
    }
}
