//! Anthropic's usage: cache reads and writes are outside of `input_tokens`, thoughts inside of
//! `output_tokens`.
//!
//! A stream says it twice: at its start, and in a delta near its end that is cumulative. Member by
//! member the last one that is said holds; null and absent say nothing. Vendors that speak this API
//! restate the input in the delta, and that holds too.
//!
//! A call may be several samplings. The totals leave out those that compact the conversation, and those
//! of another model that advises: these stand in `iterations` only, and are billed.

use serde::Deserialize;
use tollgate_core::money::usage::Usage;

use super::{Unreadable, count::Count, object, sum};
use crate::llm::api::Framing;

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
struct Said {
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    output_tokens: Count,
    cache_creation: Option<Writes>,
    server_tool_use: Option<Tools>,
    output_tokens_details: Option<OutputDetails>,
    iterations: Option<Vec<Iteration>>,
}

/// One sampling of a call.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
struct Iteration {
    #[serde(rename = "type")]
    kind: Option<String>,
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    output_tokens: Count,
    cache_creation: Option<Writes>,
}

#[derive(Deserialize, Clone, Copy, Debug, Default)]
#[serde(default)]
struct Writes {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

/// Searches have a fee each; fetches have none.
#[derive(Deserialize, Clone, Copy, Debug, Default)]
#[serde(default)]
struct Tools {
    web_search_requests: Count,
}

#[derive(Deserialize, Clone, Copy, Debug, Default)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

/// What was said so far.
#[derive(Debug)]
pub(super) struct Tally {
    framing: Framing,
    said: Said,
    /// How often a usage was said: the last one of a stream is its second at the earliest.
    times: u32,
}

impl Tally {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, said: Said::default(), times: 0 }
    }

    pub(super) fn take(&mut self, json: &[u8]) -> Result<(), Unreadable> {
        let new: Said = object(json)?;
        let said = &mut self.said;
        replace(&mut said.input_tokens, new.input_tokens);
        replace(&mut said.cache_creation_input_tokens, new.cache_creation_input_tokens);
        replace(&mut said.cache_read_input_tokens, new.cache_read_input_tokens);
        replace(&mut said.output_tokens, new.output_tokens);
        said.cache_creation = new.cache_creation.or(said.cache_creation);
        said.server_tool_use = new.server_tool_use.or(said.server_tool_use);
        said.output_tokens_details = new.output_tokens_details.or(said.output_tokens_details);
        said.iterations = new.iterations.or(said.iterations.take());
        self.times = self.times.saturating_add(1);
        Ok(())
    }

    /// Whether the numbers are final. At a stream's start the output is not known yet.
    pub(super) fn is_whole(&self, has_ended: bool) -> bool {
        match self.framing {
            Framing::Json => self.times > 0 || has_ended,
            Framing::EventStream => self.times > 1 && has_ended,
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        if self.times == 0 {
            return None;
        }
        let said = &self.said;
        let mut estimated = said.input_tokens.said().is_none() || said.output_tokens.said().is_none();
        let mut sampled = vec![Sampled {
            plain: said.input_tokens.or_zero(&mut estimated),
            cached: said.cache_read_input_tokens.or_zero(&mut estimated),
            output: said.output_tokens.or_zero(&mut estimated),
            ..Sampled::written(said.cache_creation_input_tokens, said.cache_creation, &mut estimated)
        }];
        for iteration in said.iterations.iter().flatten() {
            match iteration.kind.as_deref() {
                Some("message") => continue,
                Some("compaction") => {}
                // Another model's, with prices of its own.
                _ => estimated = true,
            }
            sampled.push(Sampled {
                plain: iteration.input_tokens.or_zero(&mut estimated),
                cached: iteration.cache_read_input_tokens.or_zero(&mut estimated),
                output: iteration.output_tokens.or_zero(&mut estimated),
                ..Sampled::written(
                    iteration.cache_creation_input_tokens,
                    iteration.cache_creation,
                    &mut estimated,
                )
            });
        }
        let mut all =
            |part: fn(&Sampled) -> u64| sum(&sampled.iter().map(part).collect::<Vec<_>>(), &mut estimated);
        let (cached_input, output) = (all(|one| one.cached), all(|one| one.output));
        let (cache_write, cache_write_1h) = (all(|one| one.short), all(|one| one.long));
        let plain = all(|one| one.plain);
        let mut count = |count: Count| count.or_zero(&mut estimated);
        let reasoning = count(said.output_tokens_details.unwrap_or_default().thinking_tokens).min(output);
        let searches = count(said.server_tool_use.unwrap_or_default().web_search_requests);
        let input = sum(&[plain, cache_write, cache_write_1h, cached_input], &mut estimated);
        Some(Usage {
            input,
            cached_input,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            searches,
            estimated,
            ..Usage::default()
        })
    }
}

/// The tokens of one sampling, in no two parts.
#[derive(Clone, Copy, Debug, Default)]
struct Sampled {
    plain: u64,
    cached: u64,
    short: u64,
    long: u64,
    output: u64,
}

impl Sampled {
    /// What was written to caches. The sum is the older member; the parts may be missing, and the sum
    /// may be.
    fn written(sum: Count, parts: Option<Writes>, estimated: &mut bool) -> Self {
        let parts = parts.unwrap_or_default();
        let long = parts.ephemeral_1h_input_tokens.or_zero(estimated);
        let short = parts.ephemeral_5m_input_tokens.or_zero(estimated);
        let written = sum.or_zero(estimated).max(short.saturating_add(long));
        Self { short: written - long.min(written), long: long.min(written), ..Self::default() }
    }
}

/// The last one that is said holds; a bad one is said too.
fn replace(old: &mut Count, new: Count) {
    if !matches!(new, Count::Absent | Count::Null) {
        *old = new;
    }
}
