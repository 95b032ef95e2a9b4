//! The upstream of the bench of model calls: two nginx that answer every call as OpenAI's chat completions do, one
//! with a whole answer, one with a stream.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::nginx;
use crate::bench::places::{Folder, LOAD_CPU, free_address};
use crate::bench::server::Server;
use crate::command::Outcome;

/// The model that is asked for; Tollgate ships with its price.
pub(in crate::bench) const MODEL: &str = "gpt-5-mini";
/// Chunks of text in the stream.
const CHUNKS: usize = 20;
const USAGE: &str = r#""usage":{"prompt_tokens":61,"completion_tokens":20,"total_tokens":81,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#;

/// A running upstream.
pub(in crate::bench) struct Models {
    pub(in crate::bench) plain: SocketAddr,
    pub(in crate::bench) streamed: SocketAddr,
    _servers: [Server; 2],
}

/// Starts both on the load's CPU.
pub(in crate::bench) fn start(folder: &Folder) -> Outcome<Models> {
    let (one, plain) = constant(folder, "models-plain", "application/json", &whole())?;
    let (two, streamed) = constant(folder, "models-streamed", "text/event-stream", &stream())?;
    Ok(Models { plain, streamed, _servers: [one, two] })
}

fn constant(folder: &Folder, name: &str, media_type: &str, body: &str) -> Outcome<(Server, SocketAddr)> {
    let address = free_address()?;
    folder.write(&format!("{name}.body"), body)?;
    // nginx refuses to POST to a file, and an error page is fetched with GET. Looking for includes in the stream
    // makes it chunked, as streams are.
    let http = format!(
        "server {{ listen {address} reuseport; default_type {media_type}; open_file_cache max=8; \
         ssi on; ssi_types text/event-stream; \
         location / {{ root {}; error_page 405 =200 /{name}.body; try_files /{name}.body =404; }} }}",
        folder.path().display()
    );
    Ok((nginx::launch(folder, name, LOAD_CPU, &http, address)?, address))
}

fn whole() -> String {
    let words = "A toll gate stands on the road and counts who passes. ".repeat(6);
    format!(
        r#"{{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion","created":1741569952,"model":"{MODEL}-2025-08-07","choices":[{{"index":0,"message":{{"role":"assistant","content":"{words}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],{USAGE},"service_tier":"default"}}"#
    )
}

fn stream() -> String {
    let head = format!(
        r#"data: {{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,"model":"{MODEL}-2025-08-07","service_tier":"default","system_fingerprint":null,"#
    );
    let mut text = String::new();
    for _ in 0..CHUNKS {
        let choice =
            r#""choices":[{"index":0,"delta":{"content":" gate"},"logprobs":null,"finish_reason":null}]"#;
        let _ = write!(text, "{head}{choice},\"usage\":null}}\n\n");
    }
    let end = r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#;
    let _ = write!(text, "{head}{end}\n\n{head}\"choices\":[],{USAGE}}}\n\ndata: [DONE]\n\n");
    text
}
