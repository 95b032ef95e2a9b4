//! The chunk that the client did not ask for goes; every other byte stays.

use tollgate_gateway::llm::usage_chunk::UsageChunkFilter;

use super::answers::answer;

fn filtered(stream: &[u8], size: usize) -> Vec<u8> {
    let mut filter = UsageChunkFilter::default();
    let mut out = Vec::new();
    stream.chunks(size.max(1)).for_each(|piece| filter.feed(piece, &mut out));
    filter.finish(&mut out);
    out
}

#[test]
fn the_usage_chunk_is_dropped_however_the_stream_is_cut() {
    let stream = str::from_utf8(answer("protocol-conversion/usage-only-final-chunk.sse")).unwrap();
    for end in ["\n", "\r", "\r\n"] {
        let stream = stream.replace('\n', end);
        let blank = format!("{end}{end}");
        let without: String =
            stream.split_inclusive(&blank).filter(|event| !event.contains("\"choices\":[]")).collect();
        assert!(without.len() < stream.len());
        for size in 1..stream.len() + 1 {
            let out = filtered(stream.as_bytes(), size);
            // Behind a CR the LF of the event that went may stay: an empty line, which means nothing.
            let same = String::from_utf8(out).unwrap();
            assert_eq!(same.replace("\r\n\n", "\r\n"), without, "{end:?} in pieces of {size}");
        }
    }
}

#[test]
fn streams_without_that_chunk_pass_byte_by_byte() {
    for name in [
        "protocol-conversion/deepseek-usage-null.sse",
        "protocol-conversion/openrouter-double-finish.sse",
        "protocol-conversion/empty-sse-frames.sse",
        "openai/chat-streaming.sse",
        "openai/chat-streaming-many-chunks-no-usage.sse",
        "anthropic/messages-streaming.sse",
    ] {
        for size in [1, 3, 64, 100_000] {
            assert_eq!(filtered(answer(name), size), answer(name), "{name} in pieces of {size}");
        }
    }
    let odd = b"\xEF\xBB\xBFdata: {\"choices\":[],\"usage\":null}\n\n: \"usage\"\n\ndata: x\n\ndata: {\"choices\":[],\"usage\":{";
    assert_eq!(filtered(odd, 4), odd);
}

#[test]
fn an_event_that_is_too_long_to_be_it_does_not_wait() {
    let mut filter = UsageChunkFilter::default();
    let mut out = Vec::new();
    filter.feed(b"data: {\"usage\":\"", &mut out);
    assert!(out.is_empty());
    filter.feed(&[b'x'; 100_000], &mut out);
    assert_eq!(out.len(), 100_016);
    filter.feed(b"\"}\n", &mut out);
    assert_eq!(out.len(), 100_019);
    filter.feed(b"\ndata: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n", &mut out);
    assert!(out.ends_with(b"\n\ndata: [DONE]\n\n") && out.len() == 100_020 + 14);
}
