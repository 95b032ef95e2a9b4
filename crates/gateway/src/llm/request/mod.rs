//! What a call to a model says of itself before it is sent, and the edits of its body.
//!
//! A body is read whole, within [`BODY_BYTES_MAX`]. What is read here decides what a call may cost, so
//! it must mean the same to the provider: a member that is there twice, or spelled in two ways that
//! some parser takes for one, is refused. What is not read is not judged; the provider does that.

mod edit;
mod members;
mod survey;

use std::{borrow::Cow, ops::Range};

use thiserror::Error;
use tollgate_core::money::{
    cost::Ask,
    price::{Price, is_ordinary},
};

use crate::llm::api::Api;
pub(crate) use members::is_name;
use members::{Found, Name};
use survey::Survey;

/// The largest body of a call to a model.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The most answers that one call may ask for.
pub const CHOICES_MAX: u32 = 128;
/// What a provider may add to a prompt by itself: instructions for tools, marks around messages.
const HIDDEN_TOKENS_MAX: u64 = 2_048;
/// What one image may be in tokens, at the finest detail of the models that count them dearest.
const IMAGE_TOKENS_MAX: u64 = 50_000;

/// Why a body is refused. The text is for the client.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BodyError {
    /// Too large.
    #[error("the body is over {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// No JSON object.
    #[error("the body is not one JSON object in UTF-8, or is nested too deeply")]
    NotJson,
    /// A member that could be read in two ways.
    #[error("`{0}` is there more than once, or in two spellings; say it once")]
    Ambiguous(&'static str),
    /// A member with a value that it cannot have.
    #[error("`{member}` must be {wanted}")]
    Value {
        /// The member.
        member: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
}

/// What a call says of itself.
#[derive(Clone, Debug)]
pub struct Call<'b> {
    body: &'b [u8],
    api: Api,
    found: Found<'b>,
    survey: Survey,
    choices: u32,
    output_limit: Option<u64>,
    include_usage: Option<bool>,
    stream: bool,
    model: Option<Cow<'b, str>>,
    service_tier: Option<Cow<'b, str>>,
}

impl<'b> Call<'b> {
    /// Reads the body of a call.
    ///
    /// # Errors
    /// When it is too large, no JSON object, or says something that matters twice or wrongly.
    pub fn read(api: Api, body: &'b [u8]) -> Result<Self, BodyError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
        let found = members::find(api, body)?;
        let choices = found.count(Name::Choices)?.unwrap_or(1);
        let most = u64::from(CHOICES_MAX);
        let choices = u32::try_from(choices).ok().filter(|_| (1..=most).contains(&choices));
        let choices =
            choices.ok_or(BodyError::Value { member: "n", wanted: "a whole number from 1 to 128" })?;
        let limits = [found.count(Name::OutputLimit)?, found.count(Name::OlderOutputLimit)?];
        Ok(Self {
            survey: survey::survey(api, body)?,
            choices,
            // Whichever of two limits a provider follows: the larger one bounds the cost.
            output_limit: limits.into_iter().flatten().max(),
            include_usage: found.flag(Name::IncludeUsage)?,
            stream: found.flag(Name::Stream)?.unwrap_or(false),
            model: found.text(Name::Model)?,
            service_tier: service_tier(&found)?,
            body,
            api,
            found,
        })
    }

    /// The model that is asked for; `None` when it stands in the path, or nowhere.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The API that it is read as.
    #[must_use]
    pub const fn api(&self) -> Api {
        self.api
    }

    /// Whether the answer is to be streamed; for Gemini the path says it.
    #[must_use]
    pub const fn stream(&self) -> bool {
        self.stream
    }

    /// The tier of service that is asked for, when it is not the ordinary one: it has other prices.
    /// Anthropic's speed and place count as tiers too; several are joined by `+`.
    #[must_use]
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// The most tokens that each answer may have, when the client says so.
    #[must_use]
    pub const fn output_limit(&self) -> Option<u64> {
        self.output_limit
    }

    /// How many answers are asked for.
    #[must_use]
    pub const fn choices(&self) -> u32 {
        self.choices
    }

    /// Whether the client asks for the usage of a stream.
    #[must_use]
    pub fn includes_usage(&self) -> bool {
        self.include_usage == Some(true)
    }

    /// Whether no bound holds for the call: tools of the provider itself take part, which read what
    /// nobody knows before and have fees, or output is predicted, which is paid for when it is wrong.
    #[must_use]
    pub const fn is_unbounded(&self) -> bool {
        self.survey.is_unbounded
    }

    /// Whether models are named beside the one that is asked for. Who grants models by name must refuse
    /// such a call: it may be answered by one that was not granted.
    #[must_use]
    pub const fn names_other_models(&self) -> bool {
        self.survey.names_other_models
    }

    /// The most tokens that it can read of what is in the body; what it only refers to is not in it.
    #[must_use]
    pub fn input_bound(&self) -> u64 {
        // A token is at least one byte of the prompt, and the body is longer than the prompt.
        let images = u64::from(self.survey.images).saturating_mul(IMAGE_TOKENS_MAX);
        (self.body.len() as u64).saturating_add(images).saturating_add(HIDDEN_TOKENS_MAX)
    }

    /// What the call may use at most, for its reservation; `None` when that is not known, which is
    /// `unpriceable` under a hard budget.
    #[must_use]
    pub fn ask(&self, price: &Price) -> Option<Ask> {
        if self.survey.is_unbounded {
            return None;
        }
        let most = price.input_tokens_max;
        let counted = self.input_bound();
        let input_tokens = match (self.survey.refers_outside, most) {
            (true, most) => most?,
            (false, Some(most)) => counted.min(most),
            (false, None) => counted,
        };
        let output_tokens = match (self.api, self.output_limit, price.output_tokens_max) {
            (Api::OpenAiEmbeddings, _, _) => 0,
            (_, Some(limit), Some(most)) => limit.min(most),
            (_, limit, most) => limit.or(most)?,
        };
        Some(Ask { input_tokens, output_tokens, choices: self.choices, searches: 0 })
    }

    /// The body with the least changes that the gateway needs; `None` when it needs none.
    #[must_use]
    pub fn edited(&self, wishes: Wishes<'_>) -> Option<Vec<u8>> {
        edit::edited(self, wishes)
    }
}

/// Everything about the service that has prices of its own.
fn service_tier<'b>(found: &Found<'b>) -> Result<Option<Cow<'b, str>>, BodyError> {
    let mut tier: Option<Cow<'b, str>> = None;
    for name in [Name::ServiceTier, Name::Speed, Name::Place] {
        let said = found.text(name)?.filter(|said| !is_ordinary(said));
        tier = match (tier, said) {
            (Some(one), Some(other)) => Some(Cow::Owned(format!("{one}+{other}"))),
            (one, other) => one.or(other),
        };
    }
    Ok(tier)
}

/// What the gateway needs a body to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes<'a> {
    /// No more output than this, for each answer.
    pub output_limit: Option<u64>,
    /// The usage at a stream's end. Heeded where a provider needs to be asked: OpenAI's chat, streamed.
    pub include_usage: bool,
    /// This model instead of the one that is asked for. Heeded where the body names one.
    pub model: Option<&'a str>,
}

/// Where a value stands in the body.
type Place = Range<usize>;
