//! OpenAI's usage: cached tokens are part of the input, thoughts part of the output.
//!
//! Some who speak this API leave thoughts out of `completion_tokens` and have them in `total_tokens`
//! only; what the total has over input and output is output.

use serde::Deserialize;
use tollgate_core::money::usage::Usage;

use super::{Unreadable, count::Count, object, sum};

#[derive(Deserialize, Default)]
#[serde(default)]
struct ChatUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<InputDetails>,
    completion_tokens_details: Option<OutputDetails>,
    /// What DeepSeek calls cached tokens.
    prompt_cache_hit_tokens: Count,
    /// What Moonshot calls them.
    cached_tokens: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponsesUsage {
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    /// What some vendors call it.
    cache_creation_input_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

/// The usage of chat completions and embeddings.
pub(super) fn chat(json: &[u8]) -> Result<Usage, Unreadable> {
    let read: ChatUsage = object(json)?;
    let mut input_details = read.prompt_tokens_details.unwrap_or_default();
    for by_other_name in [read.prompt_cache_hit_tokens, read.cached_tokens] {
        if input_details.cached_tokens.said().is_none() {
            input_details.cached_tokens = by_other_name;
        }
    }
    let output_details = read.completion_tokens_details.unwrap_or_default();
    let totals = [read.prompt_tokens, read.completion_tokens, read.total_tokens];
    Ok(usage(totals, &input_details, &output_details))
}

/// The usage of responses.
pub(super) fn responses(json: &[u8]) -> Result<Usage, Unreadable> {
    let read: ResponsesUsage = object(json)?;
    let input_details = read.input_tokens_details.unwrap_or_default();
    let output_details = read.output_tokens_details.unwrap_or_default();
    Ok(usage([read.input_tokens, read.output_tokens, read.total_tokens], &input_details, &output_details))
}

fn usage(totals: [Count; 3], input_details: &InputDetails, output_details: &OutputDetails) -> Usage {
    let [input, output, total] = totals;
    // A usage without any total is none.
    let mut estimated = input.said().is_none();
    let mut count = |count: Count| count.or_zero(&mut estimated);
    let mut usage = Usage {
        input: count(input),
        output: count(output),
        cached_input: count(input_details.cached_tokens),
        input_audio: count(input_details.audio_tokens),
        input_image: count(input_details.image_tokens),
        reasoning: count(output_details.reasoning_tokens),
        output_audio: count(output_details.audio_tokens),
        output_image: count(output_details.image_tokens),
        ..Usage::default()
    };
    let hidden = count(total).saturating_sub(usage.input.saturating_add(usage.output));
    let written =
        count(input_details.cache_write_tokens).max(count(input_details.cache_creation_input_tokens));
    usage.cache_write = written;
    usage.output = sum(&[usage.output, hidden], &mut estimated);
    Usage { estimated, ..usage }
}
