//! Changes a body in as few places as can be; every other byte stays as it is.

use super::{Call, Place, Wishes, members::Name};
use crate::llm::api::Api;

/// Bytes that take a place in the body.
struct Edit {
    place: Place,
    text: String,
}

/// The body as it is wished for; `None` when it says so already.
pub(super) fn edited(call: &Call<'_>, wishes: Wishes<'_>) -> Option<Vec<u8>> {
    let mut edits = Vec::new();
    if let Some(limit) = wishes.output_limit {
        limit_output(call, limit, &mut edits);
    }
    if wishes.include_usage && call.api == Api::OpenAiChat && call.stream {
        include_usage(call, &mut edits);
    }
    if let (Some(model), Some(place)) = (wishes.model, call.found.place(Name::Model)) {
        edits.push(Edit { place, text: serde_json::Value::from(model).to_string() });
    }
    if edits.is_empty() {
        return None;
    }
    edits.sort_by_key(|edit| edit.place.start);
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut body = Vec::with_capacity(call.body.len() + added);
    let mut at = 0;
    for edit in edits {
        body.extend_from_slice(call.body.get(at..edit.place.start).unwrap_or_default());
        body.extend_from_slice(edit.text.as_bytes());
        at = edit.place.end;
    }
    body.extend_from_slice(call.body.get(at..).unwrap_or_default());
    Some(body)
}

/// Lowers every limit that is there and larger; adds one where none is.
fn limit_output(call: &Call<'_>, limit: u64, edits: &mut Vec<Edit>) {
    if call.api == Api::OpenAiEmbeddings {
        return;
    }
    let mut is_said = false;
    for name in [Name::OutputLimit, Name::OlderOutputLimit] {
        let said = call.found.count(name).ok().flatten();
        is_said |= said.is_some();
        if said.is_some_and(|said| said > limit)
            && let Some(place) = call.found.place(name)
        {
            edits.push(Edit { place, text: limit.to_string() });
        }
    }
    if is_said {
        return;
    }
    if let Some(place) = call.found.place(Name::OutputLimit) {
        edits.push(Edit { place, text: limit.to_string() });
        return;
    }
    let name = match call.api {
        Api::OpenAiChat => "max_completion_tokens",
        Api::OpenAiResponses => "max_output_tokens",
        Api::AnthropicMessages | Api::OpenAiEmbeddings => "max_tokens",
        Api::GeminiGenerate => "maxOutputTokens",
    };
    if call.api == Api::GeminiGenerate {
        into_object(call, Name::Generation, "generationConfig", &format!("\"{name}\":{limit}"), edits);
    } else {
        edits.extend(into_top(call, &format!("\"{name}\":{limit}")));
    }
}

fn include_usage(call: &Call<'_>, edits: &mut Vec<Edit>) {
    if call.includes_usage() {
        return;
    }
    match call.found.place(Name::IncludeUsage) {
        Some(place) => edits.push(Edit { place, text: "true".to_owned() }),
        None => {
            into_object(call, Name::StreamOptions, "stream_options", "\"include_usage\":true", edits);
        }
    }
}

/// Adds a member to an object of the body, and the object where it is not there or null.
fn into_object(call: &Call<'_>, object: Name, spelling: &str, member: &str, edits: &mut Vec<Edit>) {
    match (call.found.json(object), call.found.place(object)) {
        (Some(_), Some(place)) => edits.extend(first_member(call.body, place.start, member)),
        (None, Some(place)) => edits.push(Edit { place, text: format!("{{{member}}}") }),
        (_, None) => edits.extend(into_top(call, &format!("\"{spelling}\":{{{member}}}"))),
    }
}

/// Adds a member to the body's own object.
fn into_top(call: &Call<'_>, member: &str) -> Option<Edit> {
    let start = call.body.iter().position(|byte| *byte == b'{')?;
    first_member(call.body, start, member)
}

/// Puts a member behind the brace at `start`.
fn first_member(body: &[u8], start: usize, member: &str) -> Option<Edit> {
    let rest = body.get(start + 1..)?;
    let next = rest.iter().find(|byte| !byte.is_ascii_whitespace())?;
    let comma = if *next == b'}' { "" } else { "," };
    Some(Edit { place: start + 1..start + 1, text: format!("{member}{comma}") })
}
