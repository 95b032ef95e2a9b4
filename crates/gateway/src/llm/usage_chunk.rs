//! Takes the usage that was asked for on the client's behalf out of its stream again.
//!
//! OpenAI tells what a streamed chat used only when asked (`stream_options.include_usage`), in one more
//! chunk with no choices. Where the gateway asked and the client did not, that chunk is dropped; every
//! other byte passes as it came. An event waits until it is whole, for only then is it known what it is.

use memchr::{memchr2, memmem};
use serde::{Deserialize, de::IgnoredAny};

/// The longest event that is held: the chunk in question takes some hundred bytes. A longer one passes.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Filters one stream.
#[derive(Debug, Default)]
pub struct UsageChunkFilter {
    /// The event that is not whole yet.
    held: Vec<u8>,
    /// The present line has no byte so far.
    line_has_bytes: bool,
    /// The last line ended with CR: an LF that comes next belongs to it.
    after_cr: bool,
    /// The present event is too long to be the chunk in question.
    passes: bool,
}

impl UsageChunkFilter {
    /// Takes the next bytes of the stream; adds those that may go on to `out`.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let end = memchr2(b'\r', b'\n', bytes);
            let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            self.hold(part, out);
            if end.is_some() {
                self.end_of_line(part, out);
            } else {
                (self.line_has_bytes, self.after_cr) = (true, false);
            }
            bytes = rest;
        }
    }

    /// The stream is over: what is held goes on, for no client would take an event without its end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    fn hold(&mut self, part: &[u8], out: &mut Vec<u8>) {
        if !self.passes && self.held.len() + part.len() > EVENT_BYTES_MAX {
            self.passes = true;
            out.append(&mut self.held);
        }
        let place = if self.passes { out } else { &mut self.held };
        place.extend_from_slice(part);
    }

    /// `line` is the last part of a line, with the sign that ends it.
    fn end_of_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let rest_of_crlf = self.after_cr && line == b"\n";
        self.after_cr = line.ends_with(b"\r");
        let is_blank = !self.line_has_bytes && line.len() == 1;
        self.line_has_bytes = false;
        if rest_of_crlf || !is_blank {
            return;
        }
        if std::mem::take(&mut self.passes) || !is_usage_chunk(&self.held) {
            out.append(&mut self.held);
        }
        self.held.clear();
    }
}

/// What matters of a chunk.
#[derive(Deserialize)]
struct Chunk {
    choices: Vec<IgnoredAny>,
    usage: Option<IgnoredAny>,
}

/// Whether a whole event is the chunk with the usage and nothing else: no choices, and a usage that is
/// not null.
fn is_usage_chunk(event: &[u8]) -> bool {
    if memmem::find(event, b"\"usage\"").is_none() {
        return false;
    }
    let mut lines = event.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty());
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Some(data) = line.strip_prefix(b"data:") else { return false };
    serde_json::from_slice::<Chunk>(data).is_ok_and(|chunk| chunk.choices.is_empty() && chunk.usage.is_some())
}
