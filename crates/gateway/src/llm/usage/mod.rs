//! What an answer says was used, read as it streams by.
//!
//! [`UsageReader`] is fed the bytes of an answer's body, in any pieces, and keeps only the members that
//! say what was used: memory is bounded whatever an answer's size, and no byte waits for it. Bodies must
//! not be compressed. In the end it tells what it read, and whether that can be trusted: what is
//! missing, cut off, out of range or no number makes the usage `estimated` (I9, I11), and an explicit
//! zero is a zero.

mod anthropic;
mod count;
mod gemini;
mod openai;

use serde::Deserialize;
use tollgate_core::money::usage::{TOKENS_MAX, Usage};

use crate::llm::{
    api::{Api, Framing},
    members::{Captured, Member, Members, Wanted},
    sse::{EventStream, Events},
};

/// What was read of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What the answer says; `None` when it says nothing.
    pub usage: Option<Usage>,
    /// Bytes of what the model produced in the open, as JSON has them: never fewer than its tokens.
    pub text_bytes: u64,
    /// Whether the answer came to its own end.
    pub is_whole: bool,
    /// The model that answered, by its own word.
    pub model: Option<String>,
    /// The provider's tier that it was served in, which may have other prices.
    pub service_tier: Option<String>,
}

impl Reading {
    /// What is to be charged: what the answer says when that can be trusted; otherwise no less than it
    /// says, with what is missing counted from its text, or taken from what was asked for.
    ///
    /// Thoughts that were not shown cannot be counted. Whoever holds a reservation charges that instead
    /// where the model may think.
    #[must_use]
    pub fn or_estimate(&self, input_tokens_max: u64, output_tokens_max: u64) -> Usage {
        let counted = self.text_bytes.min(output_tokens_max);
        match self.usage {
            Some(usage) if !usage.estimated => usage,
            Some(usage) => Usage { output: usage.output.max(counted), ..usage },
            None => Usage { input: input_tokens_max, output: counted, estimated: true, ..Usage::default() },
        }
    }
}

/// Reads one answer.
#[derive(Debug)]
pub struct UsageReader {
    framing: Framing,
    stream: EventStream,
    answer: Answer,
}

impl UsageReader {
    /// A reader of an answer of `api` whose body is put together like `framing`.
    #[must_use]
    pub fn new(api: Api, framing: Framing) -> Self {
        Self {
            framing,
            stream: EventStream::default(),
            answer: Answer {
                members: Members::new(wanted(api)),
                tally: Tally::new(api, framing),
                seen: Seen::default(),
            },
        }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self.framing {
            Framing::EventStream => self.stream.feed(bytes, &mut self.answer),
            Framing::Json => self.answer.json(bytes),
        }
    }

    /// The body is over, or was cut off: tells what was read.
    #[must_use]
    pub fn finish(mut self) -> Reading {
        match self.framing {
            Framing::EventStream => self.stream.finish(&mut self.answer),
            Framing::Json => self.answer.end_of_json(),
        }
        let Answer { tally, seen, .. } = self.answer;
        let is_whole = tally.is_whole(&seen);
        let estimated = !is_whole || seen.is_flawed;
        let usage = tally.usage().map(|usage| Usage { estimated: usage.estimated || estimated, ..usage });
        Reading {
            usage,
            text_bytes: seen.text_bytes,
            is_whole,
            model: seen.model,
            service_tier: seen.service_tier,
        }
    }
}

/// The members that matter, in this order: usage, model, type, tier.
const USAGE: usize = 0;
const MODEL: usize = 1;
const TYPE: usize = 2;
const TIER: usize = 3;
/// The longest name of a model, tier or type that is kept.
const WORD_LEN_MAX: usize = 256;

const fn wanted(api: Api) -> Wanted {
    const OPENAI: [&[u8]; 4] = [b"usage", b"model", b"type", b"service_tier"];
    match api {
        Api::OpenAiChat | Api::OpenAiEmbeddings => Wanted { parent: b"", names: OPENAI },
        Api::OpenAiResponses => Wanted { parent: b"response", names: OPENAI },
        Api::AnthropicMessages => Wanted { parent: b"message", names: OPENAI },
        Api::GeminiGenerate => {
            Wanted { parent: b"", names: [b"usageMetadata", b"modelVersion", b"", b"serviceTier"] }
        }
    }
}

/// One answer, of one or many documents.
#[derive(Debug)]
struct Answer {
    members: Members,
    tally: Tally,
    seen: Seen,
}

/// What the documents said beside their usage.
#[derive(Debug, Default)]
struct Seen {
    /// The model said that it came to its end.
    ended: bool,
    /// The stream said that nothing comes any more.
    closed: bool,
    documents: u64,
    is_flawed: bool,
    text_bytes: u64,
    model: Option<String>,
    service_tier: Option<String>,
}

impl Answer {
    fn json(&mut self, bytes: &[u8]) {
        let Self { members, tally, seen } = self;
        members.feed(bytes, |captured| take(captured, tally, seen));
    }

    fn end_of_json(&mut self) {
        if !self.members.is_whole() {
            self.seen.is_flawed = true;
            self.seen.text_bytes = self.seen.text_bytes.saturating_add(self.members.unfinished().text_bytes);
        }
    }
}

impl Events for Answer {
    fn data(&mut self, piece: &[u8]) {
        self.json(piece);
    }

    fn end(&mut self, name: &[u8]) {
        // `[DONE]` is an array that holds no document, and whole.
        if !self.members.is_whole() {
            self.end_of_json();
        } else if self.members.has_begun() {
            self.seen.closed |= self.members.is_list() || name == b"message_stop";
        }
        self.members.reset();
    }
}

/// Takes one document into account.
fn take(captured: &Captured, tally: &mut Tally, seen: &mut Seen) {
    seen.documents += 1;
    seen.ended |= captured.ended;
    seen.text_bytes = seen.text_bytes.saturating_add(captured.text_bytes);
    seen.model = word(captured.member(MODEL)).or(seen.model.take());
    seen.service_tier = word(captured.member(TIER)).or(seen.service_tier.take());
    if let Some(kind) = word(captured.member(TYPE)) {
        seen.ended |=
            matches!(kind.as_str(), "response.completed" | "response.incomplete" | "response.failed");
        seen.closed |= kind == "message_stop";
    }
    match captured.member(USAGE) {
        Member::Absent => {}
        Member::TooLong => seen.is_flawed = true,
        Member::Json(json) if json.trim_ascii() == b"null" => {}
        Member::Json(json) => seen.is_flawed |= tally.take(json).is_err(),
    }
}

/// A string of JSON without its quotes; `None` when it is none or too long.
fn word(member: Member<'_>) -> Option<String> {
    match member {
        Member::Json(json) if json.len() <= WORD_LEN_MAX => serde_json::from_slice(json).ok(),
        _ => None,
    }
}

/// The numbers of a usage cannot be read.
struct Unreadable;

/// Parses an object; a list would be taken for one whose members have no names.
fn object<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Result<T, Unreadable> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Unreadable);
    }
    serde_json::from_slice(json).map_err(|_| Unreadable)
}

/// What the documents said was used, by the rules of each API.
#[derive(Debug)]
enum Tally {
    /// The last one holds.
    Chat {
        framing: Framing,
        last: Option<Usage>,
    },
    Responses {
        framing: Framing,
        last: Option<Usage>,
    },
    Embeddings {
        last: Option<Usage>,
    },
    /// Member by member, the last one that is there holds.
    Anthropic(Box<anthropic::Tally>),
    /// The last one holds.
    Gemini {
        last: Option<Usage>,
    },
}

impl Tally {
    fn new(api: Api, framing: Framing) -> Self {
        match api {
            Api::OpenAiChat => Self::Chat { framing, last: None },
            Api::OpenAiResponses => Self::Responses { framing, last: None },
            Api::OpenAiEmbeddings => Self::Embeddings { last: None },
            Api::AnthropicMessages => Self::Anthropic(Box::new(anthropic::Tally::new(framing))),
            Api::GeminiGenerate => Self::Gemini { last: None },
        }
    }

    fn take(&mut self, json: &[u8]) -> Result<(), Unreadable> {
        match self {
            Self::Chat { last, .. } | Self::Embeddings { last } => *last = Some(openai::chat(json)?),
            Self::Responses { last, .. } => *last = Some(openai::responses(json)?),
            Self::Anthropic(tally) => tally.take(json)?,
            Self::Gemini { last } => *last = Some(gemini::usage(json)?),
        }
        Ok(())
    }

    /// Whether the answer came to its own end: before it, what was said may be less than what is used.
    fn is_whole(&self, seen: &Seen) -> bool {
        match self {
            Self::Chat { framing: Framing::Json, .. }
            | Self::Responses { framing: Framing::Json, .. }
            | Self::Embeddings { .. } => seen.documents > 0,
            Self::Chat { .. } => seen.ended || seen.closed,
            Self::Responses { .. } | Self::Gemini { .. } => seen.ended,
            Self::Anthropic(tally) => tally.is_whole(seen.ended || seen.closed),
        }
    }

    fn usage(self) -> Option<Usage> {
        match self {
            Self::Chat { last, .. }
            | Self::Responses { last, .. }
            | Self::Embeddings { last }
            | Self::Gemini { last } => last,
            Self::Anthropic(tally) => tally.usage(),
        }
    }
}

/// A sum of counts; what is over the bound is cut there and makes the usage estimated.
fn sum(counts: &[u64], estimated: &mut bool) -> u64 {
    let sum = counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    *estimated |= sum > TOKENS_MAX;
    sum.min(TOKENS_MAX)
}
