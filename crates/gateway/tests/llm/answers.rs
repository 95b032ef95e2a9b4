//! Recorded answers give the right numbers, however they are cut into pieces (see `answers/NOTICE.md`).

use tollgate_core::money::usage::Usage;
use tollgate_gateway::llm::{
    api::{Api, Framing},
    usage::{Reading, UsageReader},
};

macro_rules! answers {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("answers/", $name)))),+]
    };
}

/// Every file of `answers/`.
pub(crate) const ANSWERS: &[(&str, &[u8])] = answers![
    "anthropic/messages-basic.json",
    "anthropic/messages-streaming.sse",
    "anthropic/messages-streaming-with-cache.sse",
    "anthropic/messages-streaming-with-tool-use.sse",
    "anthropic/messages-with-cache.json",
    "gemini/blocked.json",
    "gemini/generate-modalities.json",
    "gemini/generate-thoughts.json",
    "gemini/stream-array.json",
    "gemini/stream.sse",
    "openai/chat-basic.json",
    "openai/chat-streaming.sse",
    "openai/chat-streaming-many-chunks-no-usage.sse",
    "openai/chat-streaming-no-usage.sse",
    "openai/chat-streaming-with-cache.sse",
    "openai/embeddings-list.json",
    "openai/null-details.json",
    "openai/null-usage.json",
    "openai/responses-basic.json",
    "openai/responses-streaming.sse",
    "openai/responses-streaming-with-cache.sse",
    "openai/responses-with-cache.json",
    "protocol-conversion/deepseek-usage-null.sse",
    "protocol-conversion/empty-sse-frames.sse",
    "protocol-conversion/openrouter-double-finish.sse",
    "protocol-conversion/usage-only-final-chunk.sse",
    "vendors/anthropic-compaction.json",
    "vendors/anthropic-hour-cache-and-search.json",
    "vendors/anthropic-restated-input.sse",
    "vendors/chat-cache-hit-by-other-name.json",
    "vendors/chat-hidden-thoughts.json",
    "vendors/chat-zero.json",
    "vendors/responses-incomplete.sse",
];

pub(super) fn answer(name: &str) -> &'static [u8] {
    ANSWERS.iter().find(|(known, _)| *known == name).unwrap().1
}

/// The API and framing of an answer, by its name.
pub(crate) fn kind(name: &str) -> (Api, Framing) {
    let framing = if name.ends_with(".sse") { Framing::EventStream } else { Framing::Json };
    let api = match name {
        name if name.contains("anthropic") => Api::AnthropicMessages,
        name if name.contains("gemini") => Api::GeminiGenerate,
        name if name.contains("responses") => Api::OpenAiResponses,
        name if name.contains("embeddings") => Api::OpenAiEmbeddings,
        _ => Api::OpenAiChat,
    };
    (api, framing)
}

pub(super) fn read<'b>(kind: (Api, Framing), pieces: impl IntoIterator<Item = &'b [u8]>) -> Reading {
    let mut reader = UsageReader::new(kind.0, kind.1);
    pieces.into_iter().for_each(|piece| reader.feed(piece));
    reader.finish()
}

fn plain(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

/// What each of them says; those that say nothing are not here.
fn expected(name: &str) -> Option<Usage> {
    Some(match name {
        "anthropic/messages-basic.json" | "anthropic/messages-streaming.sse" => plain(10, 8),
        "anthropic/messages-streaming-with-cache.sse" | "anthropic/messages-with-cache.json" => {
            Usage { cached_input: 200, cache_write: 100, ..plain(350, 30) }
        }
        "anthropic/messages-streaming-with-tool-use.sse" => plain(20, 5),
        "gemini/blocked.json" => plain(9, 0),
        "gemini/generate-modalities.json" => {
            Usage { cached_input: 260, cached_audio: 40, input_audio: 60, input_image: 258, ..plain(725, 40) }
        }
        "gemini/generate-thoughts.json" => Usage { reasoning: 5, ..plain(10, 17) },
        "gemini/stream-array.json" | "gemini/stream.sse" => Usage { reasoning: 31, ..plain(8, 34) },
        "openai/chat-basic.json" => plain(23, 8),
        "openai/chat-streaming.sse" => plain(10, 8),
        "openai/chat-streaming-with-cache.sse" => {
            Usage { cached_input: 10, cache_write: 5, reasoning: 7, ..plain(30, 15) }
        }
        "openai/embeddings-list.json" => plain(8, 0),
        "openai/null-details.json" => plain(10, 5),
        "openai/responses-basic.json" | "openai/responses-streaming.sse" => plain(10, 5),
        "openai/responses-streaming-with-cache.sse" => {
            Usage { cached_input: 10, reasoning: 3, ..plain(20, 5) }
        }
        "openai/responses-with-cache.json" => Usage { cached_input: 12, reasoning: 8, ..plain(40, 20) },
        "protocol-conversion/deepseek-usage-null.sse" => plain(5, 2),
        "protocol-conversion/empty-sse-frames.sse" => plain(3, 1),
        "protocol-conversion/openrouter-double-finish.sse" => plain(8, 2),
        "protocol-conversion/usage-only-final-chunk.sse" => plain(10, 5),
        "vendors/anthropic-hour-cache-and-search.json" => {
            Usage { cache_write: 10, cache_write_1h: 100, reasoning: 20, searches: 2, ..plain(117, 50) }
        }
        "vendors/anthropic-compaction.json" => plain(203_000, 4_500),
        "vendors/chat-cache-hit-by-other-name.json" => Usage { cached_input: 64, ..plain(80, 3) },
        "vendors/anthropic-restated-input.sse" => Usage { cached_input: 30_464, ..plain(34_347, 120) },
        "vendors/chat-hidden-thoughts.json" => Usage { reasoning: 100, ..plain(20, 101) },
        "vendors/chat-zero.json" => plain(0, 0),
        "vendors/responses-incomplete.sse" => Usage { reasoning: 64, ..plain(11, 64) },
        _ => return None,
    })
}

#[test]
fn every_recorded_answer_gives_the_right_numbers() {
    for (name, bytes) in ANSWERS {
        let reading = read(kind(name), [*bytes]);
        assert_eq!(reading.usage, expected(name), "{name}");
        // One recording stops before its end.
        assert_eq!(reading.is_whole, !name.contains("many-chunks"), "{name}");
    }
    let silent = [
        "openai/chat-streaming-many-chunks-no-usage.sse",
        "openai/chat-streaming-no-usage.sse",
        "openai/null-usage.json",
    ];
    let said_nothing = ANSWERS.iter().filter(|(name, _)| expected(name).is_none());
    assert_eq!(said_nothing.map(|(name, _)| *name).collect::<Vec<_>>(), silent);
}

#[test]
fn every_answer_means_the_same_cut_at_every_byte() {
    for (name, bytes) in ANSWERS {
        let whole = read(kind(name), [*bytes]);
        for cut in 0..=bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(read(kind(name), [one, two]), whole, "{name} cut at {cut}");
        }
        for size in [1, 2, 3, 7] {
            assert_eq!(read(kind(name), bytes.chunks(size)), whole, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn event_streams_mean_the_same_with_every_end_of_line_and_a_byte_order_mark() {
    for (name, bytes) in ANSWERS.iter().filter(|(name, _)| name.ends_with(".sse")) {
        let text = str::from_utf8(bytes).unwrap().replace("\r\n", "\n");
        let whole = read(kind(name), [*bytes]);
        for end in ["\n", "\r", "\r\n"] {
            let other = format!("\u{feff}{}", text.replace('\n', end));
            for size in [1, 2, 5, other.len()] {
                let reading = read(kind(name), other.as_bytes().chunks(size));
                assert_eq!(reading, whole, "{name} with {end:?} in pieces of {size}");
            }
        }
    }
}

/// I9: what was cut off is estimated, or is exactly what the whole says.
#[test]
fn an_answer_cut_off_is_never_taken_for_whole() {
    for (name, bytes) in ANSWERS {
        let whole = read(kind(name), [*bytes]);
        for end in 0..bytes.len() {
            let reading = read(kind(name), [&bytes[..end]]);
            let Some(usage) = reading.usage else { continue };
            assert!(usage.estimated || Some(usage) == whole.usage, "{name} cut off at {end}: {usage:?}");
        }
    }
}

#[test]
fn the_model_and_the_tier_that_answered_are_told() {
    let reading =
        read(kind("vendors/responses-incomplete.sse"), [answer("vendors/responses-incomplete.sse")]);
    assert_eq!(
        (reading.model.as_deref(), reading.service_tier.as_deref()),
        (Some("gpt-5"), Some("priority"))
    );
    let reading = read(kind("gemini/stream.sse"), [answer("gemini/stream.sse")]);
    assert_eq!(reading.model.as_deref(), Some("gemini-2.5-flash"));
    let reading =
        read(kind("anthropic/messages-streaming.sse"), [answer("anthropic/messages-streaming.sse")]);
    assert_eq!(reading.model.as_deref(), Some("claude-3-5-sonnet-20241022"));
}

#[test]
fn without_usage_the_text_is_counted_and_marked() {
    let name = "openai/chat-streaming-no-usage.sse";
    let reading = read(kind(name), [answer(name)]);
    assert!(reading.text_bytes > 0);
    let usage = reading.or_estimate(50, 1_000);
    assert_eq!((usage.input, usage.output, usage.estimated), (50, reading.text_bytes, true));
    assert_eq!(reading.or_estimate(50, 1).output, 1, "no more than was asked for");
    let zero = read(kind("vendors/chat-zero.json"), [answer("vendors/chat-zero.json")]);
    assert_eq!(zero.or_estimate(50, 1_000), Usage::default(), "an explicit zero is data");
}
