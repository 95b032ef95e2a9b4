//! The query of a request, held to what the endpoint takes: a parameter it does not know, or one that
//! stands twice, is an error and not overlooked.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use tollgate_core::field_error::FieldError;

use super::{
    endpoint::{Endpoint, Kind, Param},
    moment::Moment,
};
use crate::problem::Refused;

/// Parameters that a query may have; the longest list of an endpoint is far shorter.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a query, checked.
#[derive(Debug, Default)]
pub(crate) struct Query(BTreeMap<&'static str, String>);

impl Query {
    /// Reads the query of a request to an endpoint.
    pub(crate) fn read(endpoint: &Endpoint, text: &str) -> Result<Self, Refused> {
        let mut found = BTreeMap::new();
        let mut errors = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()).take(PARAMETERS_MAX) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Refused::Malformed("the query is no UTF-8; encode it with percent signs".into()));
            };
            match endpoint.params().find(|param| param.name == name) {
                None => errors.push(unknown(endpoint, &name)),
                Some(param) => match check(param, &value) {
                    Some(problem) => errors.push(FieldError::new(param.name, problem)),
                    None if found.insert(param.name, value).is_some() => {
                        errors.push(FieldError::new(param.name, "it stands twice; leave one away"));
                    }
                    None => {}
                },
            }
        }
        if errors.is_empty() { Ok(Self(found)) } else { Err(Refused::Invalid(errors)) }
    }

    /// The words of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The words of a parameter, to keep.
    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// Whether a flag is set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }

    /// A moment of the past, wall microseconds.
    pub(crate) fn moment_us(&self, name: &str, now_us: i64) -> Option<i64> {
        Some(self.text(name)?.parse::<Moment>().ok()?.ago_us(now_us))
    }

    /// The parts of a list.
    pub(crate) fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.text(name).into_iter().flat_map(|text| text.split(',')).filter(|word| !word.is_empty())
    }
}

fn unknown(endpoint: &Endpoint, name: &str) -> FieldError {
    let names: Vec<&str> = endpoint.params().map(|param| param.name).collect();
    let problem = if names.is_empty() {
        "this call takes no parameters; leave it away".to_owned()
    } else {
        format!("this call does not take it; it takes {}", names.join(", "))
    };
    FieldError::new(name.chars().take(64).collect::<String>(), problem)
}

/// What is wrong with a value, if anything.
fn check(param: &Param, value: &str) -> Option<String> {
    match param.kind {
        Kind::Text(bytes_max) | Kind::Pattern(bytes_max, _)
            if value.is_empty() || value.len() > bytes_max =>
        {
            Some(format!("it must have 1 to {bytes_max} bytes"))
        }
        Kind::Text(_) | Kind::Pattern(..) => {
            value.contains('\0').then(|| "it has a NUL; leave it away".to_owned())
        }
        Kind::Flag => (!matches!(value, "true" | "false")).then(|| "write `true` or `false`".to_owned()),
        Kind::Number(least, most) => {
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit())
                && value.parse::<u32>().is_ok_and(|number| (least..=most).contains(&number));
            (!is_number).then(|| format!("write a whole number from {least} to {most}"))
        }
        Kind::Word(words) => (!words.contains(&value)).then(|| format!("write one of {}", words.join(", "))),
        Kind::Words(words) => {
            let parts: Vec<&str> = value.split(',').collect();
            let is_list = parts.iter().enumerate().all(|(index, part)| {
                words.contains(part) && !parts.iter().skip(index + 1).any(|other| other == part)
            });
            (!is_list).then(|| format!("write some of {}, separated by commas, each once", words.join(", ")))
        }
        Kind::Moment => value.parse::<Moment>().err().map(|error| error.to_string()),
    }
}

/// As forms are encoded (WHATWG URL §5.1).
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}
