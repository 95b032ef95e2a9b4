//! The rules of event streams (HTML, "Server-sent events") that usage depends on.

use tollgate_core::money::usage::Usage;
use tollgate_gateway::llm::api::{Api, Framing};

use super::answers::read;

const CHAT: (Api, Framing) = (Api::OpenAiChat, Framing::EventStream);

fn output(stream: &str) -> Option<u64> {
    let whole = read(CHAT, [stream.as_bytes()]);
    assert_eq!(read(CHAT, stream.as_bytes().chunks(1)), whole, "{stream:?}");
    whole.usage.map(|usage| usage.output)
}

#[test]
fn lines_fields_and_comments_are_read_by_the_rules() {
    let usage = "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":7}}";
    let done = "data: [DONE]\n\n";
    for (stream, wanted) in [
        (format!("data: {usage}\n\n{done}"), Some(7)),
        (format!("data:{usage}\n\n{done}"), Some(7)),
        (format!(": comment\n\ndata: {usage}\n\n{done}"), Some(7)),
        (format!(":data: {usage}\n\n{done}"), None),
        (format!("dat: {usage}\n\n{done}"), None),
        (format!("datas: {usage}\n\n{done}"), None),
        (format!(" data: {usage}\n\n{done}"), None),
        (format!("id: 1\nretry: 3\nevent: chunk\ndata: {usage}\nid: 2\n\n{done}"), Some(7)),
        (
            format!(
                "data: {{\"choices\":[],\ndata:\"usage\":{{\"prompt_tokens\":1,\ndata: \"completion_tokens\":7}}}}\n\n{done}"
            ),
            Some(7),
        ),
        (format!("data\n\ndata: {usage}\n\n{done}"), Some(7)),
        (format!("data: {usage}"), Some(7)),
        (format!("data: {usage}\n"), Some(7)),
        (String::new(), None),
    ] {
        assert_eq!(output(&stream), wanted, "{stream:?}");
    }
}

#[test]
fn a_number_split_over_lines_is_not_joined() {
    let stream = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1\ndata: 2}}\n\ndata: [DONE]\n\n";
    assert_eq!(read(CHAT, [stream.as_bytes()]).usage, None, "a line's end separates tokens");
}

#[test]
fn an_event_that_is_no_json_flaws_the_numbers() {
    let good = "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":7}}\n\n";
    let usage = read(CHAT, [format!("data: {{\"choices\":[\n\n{good}").as_bytes()]).usage.unwrap();
    assert_eq!(usage, Usage { input: 1, output: 7, estimated: true, ..Usage::default() });
    assert!(!read(CHAT, [good.as_bytes()]).usage.unwrap().estimated);
}

#[test]
fn an_event_of_any_size_takes_no_memory() {
    let mut reader = tollgate_gateway::llm::usage::UsageReader::new(CHAT.0, CHAT.1);
    reader.feed(b"data: {\"choices\":[{\"delta\":{\"content\":\"");
    for _ in 0..10_000 {
        reader.feed(&[b'x'; 1_000]);
    }
    reader.feed(
        b"\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":7}}\n\n",
    );
    assert!(size_of_val(&reader) < 2_048);
    let reading = reader.finish();
    assert_eq!((reading.usage.unwrap().output, reading.text_bytes), (7, 10_000_000));
}
