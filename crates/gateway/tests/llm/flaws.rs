//! Numbers that cannot be: the usage is marked, never dropped and never believed.

use tollgate_core::money::usage::{TOKENS_MAX, Usage};
use tollgate_gateway::llm::api::{Api, Framing};

use super::answers::read;

fn chat(usage: &str) -> Option<Usage> {
    let body = format!("{{\"choices\":[{{\"finish_reason\":\"stop\"}}],\"usage\":{usage}}}");
    read((Api::OpenAiChat, Framing::Json), [body.as_bytes()]).usage
}

#[test]
fn null_absent_and_zero_are_three_things() {
    assert_eq!(chat("null"), None);
    assert_eq!(read((Api::OpenAiChat, Framing::Json), [&b"{}"[..]]).usage, None);
    let zero = chat(r#"{"prompt_tokens":0,"completion_tokens":0}"#).unwrap();
    assert_eq!(zero, Usage::default());
    assert!(chat("{}").unwrap().estimated, "a usage without numbers says nothing");
    assert!(chat(r#"{"prompt_tokens":null}"#).unwrap().estimated);
}

#[test]
fn numbers_out_of_range_mark_the_usage() {
    for bad in ["-1", "1.5", "\"12\"", "1e300", "18446744073709551616", "1000000000001", "{}", "[1]", "true"]
    {
        let usage = chat(&format!(r#"{{"prompt_tokens":3,"completion_tokens":{bad}}}"#)).unwrap();
        assert!(usage.estimated && usage.input == 3 && usage.output == 0, "{bad}: {usage:?}");
    }
    let whole = chat(r#"{"prompt_tokens":3.0,"completion_tokens":1e3}"#).unwrap();
    assert_eq!(whole, Usage { input: 3, output: 1_000, ..Usage::default() });
    let most =
        chat(&format!(r#"{{"prompt_tokens":{TOKENS_MAX},"completion_tokens":{TOKENS_MAX}}}"#)).unwrap();
    assert!(!most.estimated);
}

#[test]
fn a_usage_that_is_no_object_or_twice_the_same_is_not_believed() {
    for bad in ["7", "\"none\"", "[]", r#"{"prompt_tokens":1,"prompt_tokens":2}"#] {
        let body = format!("{{\"choices\":[],\"usage\":{bad}}}");
        let reading = read((Api::OpenAiChat, Framing::Json), [body.as_bytes()]);
        assert_eq!(reading.usage, None, "{bad}");
        assert!(reading.or_estimate(9, 9).estimated);
    }
}

#[test]
fn unknown_members_and_decoys_change_nothing() {
    let body = r#"{"usage_":{"prompt_tokens":9},"x":{"usage":{"prompt_tokens":8}},"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":7}","usage":{"prompt_tokens":6}},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"new":{"a":[1,{}]}},"after":[{"usage":null}]}"#;
    let usage = read((Api::OpenAiChat, Framing::Json), body.as_bytes().chunks(1)).usage;
    assert_eq!(usage, Some(Usage { input: 1, output: 2, ..Usage::default() }));
}

#[test]
fn a_usage_larger_than_any_is_not_kept() {
    let padding = "x".repeat(70_000);
    let usage = format!(r#"{{"prompt_tokens":1,"completion_tokens":2,"padding":"{padding}"}}"#);
    assert_eq!(chat(&usage), None);
}

#[test]
fn an_aborted_stream_is_estimated() {
    let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":50,\"output_tokens\":1}}}\n\n\
                  event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"twelve bytes\"}}\n\n";
    let reading = read((Api::AnthropicMessages, Framing::EventStream), [stream.as_bytes()]);
    let usage = reading.or_estimate(1_000, 1_000);
    assert_eq!((usage.input, usage.output, usage.estimated), (50, 12, true));
}

/// A call that another model advised is not priced by its own model alone.
#[test]
fn samplings_of_another_model_mark_the_usage() {
    let body = r#"{"type":"message","content":[],"usage":{"input_tokens":10,"output_tokens":5,"iterations":[{"type":"message","input_tokens":10,"output_tokens":5},{"type":"advisor_message","model":"claude-opus-5","input_tokens":800,"output_tokens":500}]}}"#;
    let usage = read((Api::AnthropicMessages, Framing::Json), [body.as_bytes()]).usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.estimated), (810, 505, true));
}
