//! The price of a model: as people write it (CONTRACT §6, `[[price]]`), and compiled, with every rate
//! that was not said filled in.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    field_error::FieldError,
    money::amount::{Currency, Rate},
    money::usage::TOKENS_MAX,
    pattern::TextPattern,
};

/// Tiers that one price may have.
pub const TIERS_MAX: usize = 8;

/// Whose models they are, and whose shapes requests and answers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// OpenAI, and everything that speaks its API.
    OpenAi,
    /// Google's Gemini API.
    Gemini,
    /// Anthropic.
    Anthropic,
}

impl Provider {
    /// The word in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Gemini => "gemini",
            Self::Anthropic => "anthropic",
        }
    }
}

/// `[[price]]`. Rates are units of the currency per 1,000,000 tokens, as decimals in quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceSpec {
    /// The tenant whose calls it is for; all when not said, which only the operator on the host may write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Whose model it is.
    pub provider: Provider,
    /// The model, or a pattern with `*`: `gpt-4o-*`. An exact name wins, then the longest pattern.
    pub model: String,
    /// The provider's tier of service that it is for, such as `priority`; the ordinary one when not
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The currency; `USD` when not said.
    #[serde(default = "usd")]
    pub currency: Currency,
    /// From when on it holds, RFC 3339; always when not said. The latest that has begun wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<String>,
    /// The rates.
    #[serde(flatten)]
    pub rates: RatesSpec,
    /// For each request, in units of the currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_request: Option<Rate>,
    /// For each search or fetch of the provider's own tools, in units of the currency. Not said: a
    /// call that searched has no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_search: Option<Rate>,
    /// The most tokens that the model reads. Needed to bound the cost of what is only referred to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens_max: Option<u64>,
    /// The most tokens that the model produces. Needed to bound the cost of calls without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_max: Option<u64>,
    /// Other rates for calls with much input.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "tier")]
    pub tiers: Vec<TierSpec>,
}

const fn usd() -> Currency {
    Currency::USD
}

/// Rates of a price. One that is not said is the one that it is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatesSpec {
    /// Input.
    pub input: Rate,
    /// Output; 0 when not said, as embeddings have none.
    #[serde(default)]
    pub output: Rate,
    /// Input read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<Rate>,
    /// Input written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Rate>,
    /// Input written to a cache that lives for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Rate>,
    /// Audio read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<Rate>,
    /// Audio read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_audio: Option<Rate>,
    /// Images read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_image: Option<Rate>,
    /// Thoughts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Rate>,
    /// Audio produced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<Rate>,
    /// Images produced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_image: Option<Rate>,
}

/// The rates of calls whose whole input is more than `above` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierSpec {
    /// Tokens of input that the tier begins above.
    pub above: u64,
    /// Its rates, for all tokens of such a call.
    #[serde(flatten)]
    pub rates: RatesSpec,
}

/// Every rate of one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Input without a rate of its own.
    pub input: Rate,
    /// Read from a cache.
    pub cached_input: Rate,
    /// Audio read from a cache.
    pub cached_audio: Rate,
    /// Written to a cache.
    pub cache_write: Rate,
    /// Written to a cache that lives for an hour.
    pub cache_write_1h: Rate,
    /// Audio read.
    pub input_audio: Rate,
    /// Images read.
    pub input_image: Rate,
    /// Output without a rate of its own.
    pub output: Rate,
    /// Thoughts.
    pub reasoning: Rate,
    /// Audio produced.
    pub output_audio: Rate,
    /// Images produced.
    pub output_image: Rate,
}

impl Rates {
    fn of(spec: &RatesSpec) -> Self {
        let cached_input = spec.cached_input.unwrap_or(spec.input);
        let cache_write = spec.cache_write.unwrap_or(spec.input);
        Self {
            input: spec.input,
            cached_input,
            // Where audio costs more, cached audio has no discount unless one is said.
            cached_audio: spec.cached_audio.or(spec.input_audio).unwrap_or(cached_input),
            cache_write,
            cache_write_1h: spec.cache_write_1h.unwrap_or(cache_write),
            input_audio: spec.input_audio.unwrap_or(spec.input),
            input_image: spec.input_image.unwrap_or(spec.input),
            output: spec.output,
            reasoning: spec.reasoning.unwrap_or(spec.output),
            output_audio: spec.output_audio.unwrap_or(spec.output),
            output_image: spec.output_image.unwrap_or(spec.output),
        }
    }

    /// What a token of input costs at most.
    #[must_use]
    pub fn input_max(&self) -> Rate {
        self.input
            .max(self.cached_input)
            .max(self.cached_audio)
            .max(self.cache_write)
            .max(self.cache_write_1h)
            .max(self.input_audio)
            .max(self.input_image)
    }

    /// What a token of output costs at most.
    #[must_use]
    pub fn output_max(&self) -> Rate {
        self.output.max(self.reasoning).max(self.output_audio).max(self.output_image)
    }
}

/// A price ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// What it is in.
    pub currency: Currency,
    /// The rates of every call that no tier takes.
    pub base: Rates,
    /// Tokens of input that each tier begins above, rising, with its rates.
    pub tiers: Box<[(u64, Rates)]>,
    /// For each request.
    pub per_request: Rate,
    /// For each search; `None` when nobody said.
    pub per_search: Option<Rate>,
    /// The most tokens that the model reads.
    pub input_tokens_max: Option<u64>,
    /// The most tokens that the model produces.
    pub output_tokens_max: Option<u64>,
    /// The wall microsecond that it holds from.
    pub effective_from_us: i64,
}

impl Price {
    /// Compiles what was written.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field and remedy.
    pub fn compile(spec: &PriceSpec) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        if spec.model.is_empty() {
            errors.push(FieldError::new("model", "it is empty; name a model, or `*` for all"));
        }
        if let Err(error) = TextPattern::parse(&spec.model) {
            errors.push(FieldError::new("model", error));
        }
        if spec.service_tier.as_deref().is_some_and(is_ordinary) {
            errors.push(FieldError::new("service_tier", "this is the ordinary tier; leave it away"));
        }
        check_tiers(&spec.tiers, &mut errors);
        for (field, most) in
            [("input_tokens_max", spec.input_tokens_max), ("output_tokens_max", spec.output_tokens_max)]
        {
            if most.is_some_and(|most| !(1..=TOKENS_MAX).contains(&most)) {
                errors.push(FieldError::new(field, format!("it is outside 1 to {TOKENS_MAX} tokens")));
            }
        }
        let effective_from_us = spec.effective_from.as_deref().map_or(Ok(i64::MIN), moment);
        match effective_from_us {
            Ok(effective_from_us) if errors.is_empty() => Ok(Self {
                currency: spec.currency,
                base: Rates::of(&spec.rates),
                tiers: spec.tiers.iter().map(|tier| (tier.above, Rates::of(&tier.rates))).collect(),
                per_request: spec.per_request.unwrap_or_default(),
                per_search: spec.per_search,
                input_tokens_max: spec.input_tokens_max,
                output_tokens_max: spec.output_tokens_max,
                effective_from_us,
            }),
            Ok(_) => Err(errors),
            Err(error) => {
                errors.push(FieldError::new("effective_from", error));
                Err(errors)
            }
        }
    }
}

/// Whether a tier of service has the ordinary prices, by the words of the three providers.
#[must_use]
pub fn is_ordinary(service_tier: &str) -> bool {
    matches!(service_tier, "" | "auto" | "default" | "standard" | "standard_only" | "unspecified" | "global")
}

fn check_tiers(tiers: &[TierSpec], errors: &mut Vec<FieldError>) {
    if tiers.len() > TIERS_MAX {
        errors.push(FieldError::new(
            "tier",
            format!("{} of them; at most {TIERS_MAX} are allowed", tiers.len()),
        ));
    }
    let mut last = None;
    for (index, tier) in tiers.iter().enumerate() {
        if last.is_some_and(|last| tier.above <= last) {
            errors.push(FieldError::new(
                format!("tier[{index}].above"),
                format!("{} is not more than the tier before; write tiers in rising order", tier.above),
            ));
        }
        last = Some(tier.above);
    }
}

/// A wall microsecond as `effective_from` writes it; `None` beyond the calendar.
#[must_use]
pub fn effective_at(wall_us: i64) -> Option<String> {
    Timestamp::from_microsecond(wall_us).ok().map(|moment| moment.to_string())
}

/// A moment of RFC 3339 in wall microseconds.
fn moment(text: &str) -> Result<i64, String> {
    text.parse::<Timestamp>().map(Timestamp::as_microsecond).map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        format!("`{shown}` is not a moment; write it as `2026-01-01T00:00:00Z` (RFC 3339)")
    })
}
