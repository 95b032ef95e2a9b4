//! A refusal on its way to becoming an answer: `application/problem+json` (RFC 9457) and what goes
//! with it.
//!
//! Its words are for the client and hold no internals; causes go to the log.

use std::borrow::Cow;

use smallvec::SmallVec;
use tollgate_core::{
    admit::Decision, code::Code, id::DecisionId, money::price::Provider, policy::Policy,
    resource::RateHeaders,
};
use tollgate_wire::{
    codes::{Retry, entry},
    problem::{Problem, WrongRecord},
    rate::{self, LastPolicy},
    text::DecisionText,
};

use crate::{
    http::{
        answer::{Answer, AnswerHead},
        field::{FieldName, FieldValue},
        lines::Lines,
    },
    llm::error_shape::{Refusal, error_body},
    names,
};

/// Rate headers of an answer, made while the policy is at hand.
#[derive(Debug, Default)]
pub(crate) struct RateFields {
    lines: Lines,
    /// What they replace of an upstream's answer.
    names: SmallVec<[&'static FieldName; 2]>,
}

impl RateFields {
    /// The rate headers of a decision.
    pub(crate) fn of(decision: &Decision, policy: Option<&Policy>, choice: RateHeaders) -> Self {
        Self::after(&mut LastPolicy::default(), decision, policy, choice)
    }

    /// The same, where it is known what was said last of this policy.
    pub(crate) fn after(
        last: &mut LastPolicy,
        decision: &Decision,
        policy: Option<&Policy>,
        choice: RateHeaders,
    ) -> Self {
        let mut made = Self::default();
        let has_any = !decision.charged.is_empty() && choice != RateHeaders::None;
        let Some(policy) = policy.filter(|_| has_any) else { return made };
        rate::each_field(decision, policy, (choice, last), |name, write| {
            let name = names::rate_header(name);
            made.names.push(name);
            made.lines.add_text(name, write);
        });
        made
    }

    /// Puts them on an answer.
    pub(crate) fn write(self, head: &mut AnswerHead) {
        self.names.iter().for_each(|name| head.strip(name.as_str()));
        head.add_lines(self.lines);
    }
}

/// Why a request gets no further. Boxed, for every step of an allowed request hands the room for
/// one around.
#[derive(Debug)]
pub(crate) struct Denial(Box<Words>);

#[derive(Debug)]
struct Words {
    code: Code,
    detail: Cow<'static, str>,
    violated: Option<Box<str>>,
    record: Option<Flawed>,
    retry_after_s: Option<u64>,
    fields: RateFields,
}

/// The record of a batch that is wrong.
#[derive(Debug)]
struct Flawed {
    index: u64,
    path: Box<str>,
    reason: Box<str>,
}

impl Denial {
    /// A refusal with its words; empty words mean the catalogue's remedy. It says when to try again
    /// as the catalogue does.
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after_s = match entry(code).retry {
            Retry::Wait(seconds) => Some(seconds),
            Retry::Never | Retry::BackOff => None,
        };
        let detail = detail.into();
        Self(Box::new(Words {
            code,
            detail,
            violated: None,
            record: None,
            retry_after_s,
            fields: RateFields::default(),
        }))
    }

    /// The same refusal, with the nanoseconds after which it is worth trying again.
    #[must_use]
    pub(crate) fn wait_ns(mut self, wait_ns: u64) -> Self {
        self.0.retry_after_s = Some(wait_ns.div_ceil(1_000_000_000).max(1));
        self
    }

    /// The same refusal, because of one record of a batch.
    #[must_use]
    pub(crate) fn at_record(mut self, index: usize, path: String, reason: String) -> Self {
        self.0.record = Some(Flawed { index: index as u64, path: path.into(), reason: reason.into() });
        self
    }

    /// The refusal of a decision.
    pub(crate) fn of_decision(decision: &Decision, policy: Option<&Policy>, choice: RateHeaders) -> Self {
        let violated = policy.and_then(|policy| decision.violated(policy)).map(|rule| rule.name.clone());
        Self(Box::new(Words {
            code: decision.code,
            detail: decision.detail.as_deref().unwrap_or("").to_owned().into(),
            violated,
            record: None,
            retry_after_s: rate::retry_after_s(decision),
            fields: RateFields::of(decision, policy, choice),
        }))
    }

    /// Its code.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// Its words.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Seconds after which it is worth trying again.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_s
    }

    /// The answer.
    pub(crate) fn into_answer(self, id: DecisionId) -> Answer {
        let words = &*self.0;
        let problem = Problem {
            violated: words.violated.as_deref(),
            record: words.record.as_ref().map(Flawed::shown),
            ..Problem::new(words.code, &words.detail, id)
        };
        let answer = Answer::new(problem.status()).with_body(problem.to_body());
        self.dressed(answer, &names::APPLICATION_PROBLEM_JSON)
    }

    /// The answer in the error shape of a provider, so that its SDK raises its own error classes.
    pub(crate) fn into_answer_of(self, provider: Provider, id: DecisionId) -> Answer {
        let words = &*self.0;
        let entry = entry(words.code);
        let status = entry.status.number();
        let message = if words.detail.is_empty() { entry.remedy } else { &*words.detail };
        let id = DecisionText::of(id);
        let decision = std::str::from_utf8(id.as_bytes()).unwrap_or_default();
        let refusal = Refusal { status, code: entry.name, message, decision };
        let answer = Answer::new(status).with_body(error_body(provider, &refusal));
        self.dressed(answer, &names::APPLICATION_JSON)
    }

    /// The answer in the error shape of the Open Inference Protocol v2.
    pub(crate) fn into_infer_answer(self, id: DecisionId) -> Answer {
        let words = &*self.0;
        let entry = entry(words.code);
        let message = if words.detail.is_empty() { entry.remedy } else { &*words.detail };
        let id = DecisionText::of(id);
        let decision = std::str::from_utf8(id.as_bytes()).unwrap_or_default();
        let body = tollgate_wire::predict::error_body(message, entry.name, decision);
        let answer = Answer::new(entry.status.number()).with_body(body);
        self.dressed(answer, &names::APPLICATION_JSON)
    }

    /// The fields that go with a refusal.
    fn dressed(self, mut answer: Answer, kind: &FieldValue) -> Answer {
        let words = *self.0;
        let head = &mut answer.head;
        head.set(&names::CONTENT_TYPE, kind);
        head.set(&names::CACHE_CONTROL, &names::NO_STORE);
        if let Some(seconds) = words.retry_after_s {
            head.set(&names::RETRY_AFTER, &FieldValue::number(seconds));
        }
        if let Some(challenge) = challenge(words.code) {
            head.set(&names::WWW_AUTHENTICATE, challenge);
        }
        words.fields.write(head);
        answer
    }
}

impl Flawed {
    fn shown(&self) -> WrongRecord<'_> {
        WrongRecord { index: self.index, path: &self.path, reason: &self.reason }
    }
}

/// `WWW-Authenticate` (RFC 6750 §3): no error where no credential was sent.
fn challenge(code: Code) -> Option<&'static FieldValue> {
    match code {
        Code::KeyMissing | Code::SignatureMissing | Code::SignatureInvalid | Code::SignatureExpired => {
            Some(&names::BEARER)
        }
        Code::KeyMalformed | Code::KeyUnknown | Code::KeyRevoked | Code::KeyExpired => {
            Some(&names::BEARER_INVALID)
        }
        Code::ScopeMissing => Some(&names::BEARER_SCOPE),
        _ => None,
    }
}
