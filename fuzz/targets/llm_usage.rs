//! Any bytes as the answer of a model. What is read must not depend on how the bytes are cut, an answer that is not
//! whole is never believed, and the filter of usage chunks takes whole events out and changes nothing else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::money::usage::TOKENS_MAX;
use tollgate_gateway::llm::{
    api::{Api, Framing},
    usage::{Reading, UsageReader},
    usage_chunk::UsageChunkFilter,
};

const APIS: [Api; 5] = [
    Api::OpenAiChat,
    Api::OpenAiResponses,
    Api::OpenAiEmbeddings,
    Api::AnthropicMessages,
    Api::GeminiGenerate,
];

fuzz_target!(|data: &[u8]| {
    let [mode, size, bytes @ ..] = data else { return };
    let api = APIS[usize::from(*mode) % APIS.len()];
    let framing = if mode & 128 == 0 { Framing::EventStream } else { Framing::Json };
    let size = usize::from(*size) + 1;
    let whole = read(api, framing, [bytes]);
    assert_eq!(whole, read(api, framing, bytes.chunks(size)), "cut into pieces it means something else");
    if let Some(usage) = whole.usage {
        assert!(usage.estimated || whole.is_whole, "believed and not whole");
        assert!(usage.input <= TOKENS_MAX && usage.output <= TOKENS_MAX);
        let charged = whole.or_estimate(1_000, 1_000);
        assert!(charged.input == usage.input && charged.output >= usage.output);
    }
    assert!(whole.text_bytes <= bytes.len() as u64);
    let filtered = filter([bytes]);
    assert_eq!(filtered, filter(bytes.chunks(size)), "cut into pieces it is filtered differently");
    assert!(filtered.len() <= bytes.len());
    if filtered.len() == bytes.len() {
        assert_eq!(filtered, bytes);
    }
});

fn read<'b>(api: Api, framing: Framing, pieces: impl IntoIterator<Item = &'b [u8]>) -> Reading {
    let mut reader = UsageReader::new(api, framing);
    pieces.into_iter().for_each(|piece| reader.feed(piece));
    reader.finish()
}

fn filter<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Vec<u8> {
    let mut filter = UsageChunkFilter::default();
    let mut out = Vec::new();
    pieces.into_iter().for_each(|piece| filter.feed(piece, &mut out));
    filter.finish(&mut out);
    out
}
