//! Gemini's usage: cached tokens are part of `promptTokenCount`, thoughts are outside of
//! `candidatesTokenCount`, and what tools put into the prompt is outside of both. Every chunk of a
//! stream may say it; the last one holds.

use serde::Deserialize;
use tollgate_core::money::usage::Usage;

use super::{Unreadable, count::Count, object, sum};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    tool_use_prompt_token_count: Count,
    total_token_count: Count,
    prompt_tokens_details: Option<Vec<Modality>>,
    cache_tokens_details: Option<Vec<Modality>>,
    candidates_tokens_details: Option<Vec<Modality>>,
    tool_use_prompt_tokens_details: Option<Vec<Modality>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Modality {
    modality: String,
    token_count: Count,
}

pub(super) fn usage(json: &[u8]) -> Result<Usage, Unreadable> {
    let read: Metadata = object(json)?;
    let mut estimated = read.prompt_token_count.said().is_none();
    let mut of = |details: &Option<Vec<Modality>>, name: &str| {
        let counts = details.iter().flatten().filter(|detail| detail.modality == name);
        counts.fold(0u64, |sum, detail| sum.saturating_add(detail.token_count.or_zero(&mut estimated)))
    };
    let cached_audio = of(&read.cache_tokens_details, "AUDIO");
    let cached_image = of(&read.cache_tokens_details, "IMAGE");
    let mut read_of = |name: &str, cached: u64| {
        let prompt = of(&read.prompt_tokens_details, name).saturating_sub(cached);
        prompt.saturating_add(of(&read.tool_use_prompt_tokens_details, name))
    };
    let input_audio = read_of("AUDIO", cached_audio);
    let input_image = read_of("IMAGE", cached_image);
    let output_audio = of(&read.candidates_tokens_details, "AUDIO");
    let output_image = of(&read.candidates_tokens_details, "IMAGE");
    let mut count = |count: Count| count.or_zero(&mut estimated);
    let inputs = [count(read.prompt_token_count), count(read.tool_use_prompt_token_count)];
    let reasoning = count(read.thoughts_token_count);
    let outputs = [count(read.candidates_token_count), reasoning];
    let cached = count(read.cached_content_token_count);
    let total = count(read.total_token_count);
    let input = sum(&inputs, &mut estimated);
    let output = sum(&outputs, &mut estimated);
    // What the total has over its parts was produced, under a name that is not known here.
    let hidden = total.saturating_sub(input.saturating_add(output));
    let output = sum(&[output, hidden], &mut estimated);
    Ok(Usage {
        input,
        cached_input: cached.saturating_sub(cached_audio),
        cached_audio,
        input_audio,
        input_image,
        output,
        reasoning,
        output_audio,
        output_image,
        estimated,
        ..Usage::default()
    })
}
