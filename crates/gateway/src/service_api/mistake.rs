//! A question that cannot be answered: no decision is made, nothing is counted.

use std::borrow::Cow;

use tollgate_core::code::Code;
use tollgate_wire::{
    codes::{Entry, TOKEN_MISSING, TOKEN_UNKNOWN, entry},
    problem::Problem,
    text::push_number,
};

use crate::{
    http::{
        answer::Answer,
        body::BodyError,
        field::{FieldName, FieldValue},
        guard::Malformed,
    },
    names,
};

static ALLOW: FieldName = FieldName::of("allow");

/// What is wrong with a question.
#[derive(Debug)]
pub(super) struct Mistake {
    entry: &'static Entry,
    detail: Cow<'static, str>,
    allow: Option<&'static str>,
    retry_after_s: Option<u64>,
}

impl Mistake {
    /// A mistake with its words; empty words mean the catalogue's remedy.
    pub(super) fn new(entry: &'static Entry, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { entry, detail: detail.into(), allow: None, retry_after_s: None }
    }

    /// A question that cannot be read.
    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(entry(Code::MalformedRequest), detail)
    }

    /// The mistake of a head that the engine refused.
    pub(super) fn of_head(why: Malformed) -> Self {
        let code = if why.is_too_large() { Code::HeadTooLarge } else { Code::MalformedRequest };
        Self::new(entry(code), why.to_string())
    }

    /// The mistake of a body that could not be read.
    pub(super) fn of_body(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge { .. } => Code::BodyTooLarge,
            BodyError::Idle
            | BodyError::TooSlow
            | BodyError::Late
            | BodyError::Malformed(_)
            | BodyError::Disconnected => Code::MalformedRequest,
        };
        Self::new(entry(code), error.to_string())
    }

    /// The same mistake, naming the methods that would do.
    #[must_use]
    pub(super) fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// The same mistake, to be tried again after so many seconds.
    #[must_use]
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The name of its code.
    pub(super) fn code(&self) -> &'static str {
        self.entry.name
    }

    /// The answer.
    pub(super) fn into_answer(self) -> Answer {
        let problem = Problem::undecided(self.entry, &self.detail);
        let mut answer = Answer::new(problem.status())
            .with(&names::CONTENT_TYPE, &names::APPLICATION_PROBLEM_JSON)
            .with(&names::CACHE_CONTROL, &names::NO_STORE)
            .with_body(problem.to_body());
        if let Some(methods) = self.allow {
            answer.head.set(&ALLOW, &FieldValue::of(methods));
        }
        if let Some(seconds) = self.retry_after_s {
            answer.head.set_text(&names::RETRY_AFTER, |out| push_number(out, seconds));
        }
        // RFC 6750 §3: no error where no token was sent.
        if self.entry == &TOKEN_MISSING {
            answer.head.set(&names::WWW_AUTHENTICATE, &names::BEARER);
        } else if self.entry == &TOKEN_UNKNOWN {
            answer.head.set(&names::WWW_AUTHENTICATE, &names::BEARER_INVALID);
        }
        answer
    }
}
