//! The members of a body that matter, with their places in it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tollgate_core::money::table::MODEL_LEN_MAX;

use super::{BodyError, Place};
use crate::llm::api::Api;

/// What a member means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Model,
    Stream,
    ServiceTier,
    /// The limit of each answer's tokens, by its present name.
    OutputLimit,
    /// The same by its older name.
    OlderOutputLimit,
    Choices,
    /// The object that [`Name::IncludeUsage`] stands in.
    StreamOptions,
    IncludeUsage,
    /// The object that Gemini's limits stand in.
    Generation,
    /// How fast an answer is to come, which has its price.
    Speed,
    /// Where on the globe a call is to be served, which has its price.
    Place,
}

const NAMES: usize = 11;

/// A spelling of a member, as documented.
type Spelling = (&'static str, Name);

/// Members at the top of a body.
const fn top(api: Api) -> &'static [Spelling] {
    match api {
        Api::OpenAiChat => &[
            ("model", Name::Model),
            ("stream", Name::Stream),
            ("service_tier", Name::ServiceTier),
            ("max_completion_tokens", Name::OutputLimit),
            ("max_tokens", Name::OlderOutputLimit),
            ("n", Name::Choices),
            ("stream_options", Name::StreamOptions),
        ],
        Api::OpenAiResponses => &[
            ("model", Name::Model),
            ("stream", Name::Stream),
            ("service_tier", Name::ServiceTier),
            ("max_output_tokens", Name::OutputLimit),
        ],
        Api::OpenAiEmbeddings => &[("model", Name::Model)],
        Api::AnthropicMessages => &[
            ("model", Name::Model),
            ("stream", Name::Stream),
            ("service_tier", Name::ServiceTier),
            ("speed", Name::Speed),
            ("inference_geo", Name::Place),
            ("max_tokens", Name::OutputLimit),
        ],
        // Its parser takes the names of the protocol buffers too.
        Api::GeminiGenerate => &[
            ("generationConfig", Name::Generation),
            ("generation_config", Name::Generation),
            ("serviceTier", Name::ServiceTier),
            ("service_tier", Name::ServiceTier),
        ],
    }
}

/// Members of an object that is a member itself.
const fn inside(name: Name) -> &'static [Spelling] {
    match name {
        Name::StreamOptions => &[("include_usage", Name::IncludeUsage)],
        Name::Generation => &[
            ("maxOutputTokens", Name::OutputLimit),
            ("max_output_tokens", Name::OutputLimit),
            ("candidateCount", Name::Choices),
            ("candidate_count", Name::Choices),
        ],
        _ => &[],
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Found<'b> {
    body: &'b [u8],
    values: [Option<&'b RawValue>; NAMES],
    /// Texts in which numbers are taken as numbers, as the parser of protocol buffers does.
    takes_texts: bool,
}

impl<'b> Found<'b> {
    /// The JSON of a member, unless it is not there or null.
    pub(super) fn json(&self, name: Name) -> Option<&'b str> {
        self.raw(name).map(RawValue::get).filter(|json| *json != "null")
    }

    /// Where a member's value stands, null included.
    pub(super) fn place(&self, name: Name) -> Option<Place> {
        let json = self.raw(name)?.get();
        let start = json.as_ptr().addr().checked_sub(self.body.as_ptr().addr())?;
        let place = start..start.checked_add(json.len())?;
        // Values are lent from the body; were one not, it would not be found there.
        (self.body.get(place.clone()) == Some(json.as_bytes())).then_some(place)
    }

    /// A whole number that is not below zero.
    pub(super) fn count(&self, name: Name) -> Result<Option<u64>, BodyError> {
        let Some(json) = self.json(name) else { return Ok(None) };
        let number = if self.takes_texts { json.trim_matches('"') } else { json };
        let error =
            BodyError::Value { member: spelling(name), wanted: "a whole number that is not below zero" };
        let whole = number.strip_suffix(".0").unwrap_or(number);
        let is_number = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
        // Larger than any model's answer is as good as the largest.
        if is_number { Ok(Some(whole.parse().unwrap_or(u64::MAX))) } else { Err(error) }
    }

    pub(super) fn flag(&self, name: Name) -> Result<Option<bool>, BodyError> {
        match self.json(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(BodyError::Value { member: spelling(name), wanted: "`true` or `false`" }),
        }
    }

    /// A name: of a model, of a tier.
    pub(super) fn text(&self, name: Name) -> Result<Option<Cow<'b, str>>, BodyError> {
        let Some(json) = self.json(name) else { return Ok(None) };
        let error = BodyError::Value {
            member: spelling(name),
            wanted: "a text of at most 256 bytes without control characters",
        };
        let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Err(error);
        };
        let text = if inner.contains('\\') {
            Cow::Owned(serde_json::from_str::<String>(json).map_err(|_| BodyError::NotJson)?)
        } else {
            Cow::Borrowed(inner)
        };
        if is_name(&text) { Ok(Some(text)) } else { Err(error) }
    }

    fn raw(&self, name: Name) -> Option<&'b RawValue> {
        self.values.get(name as usize).copied().flatten()
    }

    fn put(&mut self, name: Name, value: &'b RawValue) -> Result<(), BodyError> {
        let slot = self.values.get_mut(name as usize);
        match slot {
            Some(slot) if slot.is_none() => *slot = Some(value),
            _ => return Err(BodyError::Ambiguous(spelling(name))),
        }
        Ok(())
    }
}

/// Whether a text can stand in records and in tables of prices: no store has to refuse it later.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= MODEL_LEN_MAX && !text.chars().any(char::is_control)
}

/// The name that messages use.
const fn spelling(name: Name) -> &'static str {
    match name {
        Name::Model => "model",
        Name::Stream => "stream",
        Name::ServiceTier => "service_tier",
        Name::OutputLimit => "the limit of output tokens",
        Name::OlderOutputLimit => "max_tokens",
        Name::Choices => "the number of answers",
        Name::StreamOptions => "stream_options",
        Name::IncludeUsage => "include_usage",
        Name::Generation => "generationConfig",
        Name::Speed => "speed",
        Name::Place => "inference_geo",
    }
}

/// Finds the members of a body.
pub(super) fn find(api: Api, body: &[u8]) -> Result<Found<'_>, BodyError> {
    let text = std::str::from_utf8(body).map_err(|_| BodyError::NotJson)?;
    let takes_texts = api == Api::GeminiGenerate;
    let mut found = Found { body, values: [None; NAMES], takes_texts };
    object(text, top(api), &mut found)?;
    for name in [Name::StreamOptions, Name::Generation] {
        if let Some(json) = found.json(name) {
            object(json, inside(name), &mut found)?;
        }
    }
    Ok(found)
}

/// Puts the members of one object that have these spellings.
fn object<'b>(json: &'b str, spellings: &[Spelling], found: &mut Found<'b>) -> Result<(), BodyError> {
    let mut problem = None;
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = reader.deserialize_map(Object { spellings, found, problem: &mut problem });
    let whole = read.and_then(|()| reader.end());
    match (problem, whole) {
        (Some(problem), _) => Err(problem),
        (None, Ok(())) => Ok(()),
        (None, Err(_)) => Err(BodyError::NotJson),
    }
}

struct Object<'f, 'b, 's> {
    spellings: &'s [Spelling],
    found: &'f mut Found<'b>,
    problem: &'f mut Option<BodyError>,
}

impl<'b> Visitor<'b> for Object<'_, 'b, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(known) = map.next_key_seed(Key(self.spellings))? {
            let put = match known {
                Known::No => {
                    map.next_value::<IgnoredAny>()?;
                    Ok(())
                }
                Known::Yes(name) => self.found.put(name, map.next_value()?),
                Known::Almost(name) => Err(BodyError::Ambiguous(spelling(name))),
            };
            if let Err(problem) = put {
                *self.problem = Some(problem);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// Whether a key is one of those that matter.
enum Known {
    No,
    Yes(Name),
    /// But for upper and lower case, which some parsers do not tell apart.
    Almost(Name),
}

struct Key<'s>(&'s [Spelling]);

impl<'b> DeserializeSeed<'b> for Key<'_> {
    type Value = Known;

    fn deserialize<D: serde::Deserializer<'b>>(self, deserializer: D) -> Result<Known, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Known;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Known, E> {
        if let Some((_, name)) = self.0.iter().find(|(spelling, _)| *spelling == key) {
            return Ok(Known::Yes(*name));
        }
        let almost = self.0.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(key));
        Ok(almost.map_or(Known::No, |(_, name)| Known::Almost(*name)))
    }
}
