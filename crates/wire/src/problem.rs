//! The answer of a refusal: `application/problem+json` (RFC 9457) with `code`, `decision_id` and,
//! for limits, `violated-policies` (IETF draft `ratelimit-headers`).

use tollgate_core::{admit::Decision, code::Code, id::DecisionId, policy::Policy};

use crate::{
    codes::{Entry, entry},
    text::{DecisionText, push_json_string, push_number},
};

/// One refusal, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// What the catalogue says about it.
    pub entry: &'static Entry,
    /// What was wrong this time and what helps; the catalogue's remedy when empty.
    pub detail: &'a str,
    /// The decision, where one was made.
    pub decision: Option<DecisionId>,
    /// The limit, quota or bound that is used up.
    pub violated: Option<&'a str>,
    /// The record of a batch that is wrong.
    pub record: Option<WrongRecord<'a>>,
}

/// A record of a batch that is wrong: written as the only element of `errors`.
#[derive(Clone, Copy, Debug)]
pub struct WrongRecord<'a> {
    /// Which, counted from 0.
    pub index: u64,
    /// Where in it (JSON pointer, RFC 6901); empty for the whole.
    pub path: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl<'a> Problem<'a> {
    /// The problem of a code, with its words; empty words mean the catalogue's remedy.
    #[must_use]
    pub fn new(code: Code, detail: &'a str, decision: DecisionId) -> Self {
        Self { entry: entry(code), detail, decision: Some(decision), violated: None, record: None }
    }

    /// The problem of a mistake that is no decision (see [`crate::codes::API_ENTRIES`]).
    #[must_use]
    pub const fn undecided(entry: &'static Entry, detail: &'a str) -> Self {
        Self { entry, detail, decision: None, violated: None, record: None }
    }

    /// The problem of a decision that refuses. `policy` is the one that was asked.
    #[must_use]
    pub fn of_decision(decision: &'a Decision, policy: Option<&'a Policy>, id: DecisionId) -> Self {
        Self {
            entry: entry(decision.code),
            detail: decision.detail.as_deref().unwrap_or(""),
            decision: Some(id),
            violated: policy.and_then(|policy| decision.violated(policy)).map(|rule| &*rule.name),
            record: None,
        }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.entry.status.number()
    }

    /// Writes the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"");
        self.entry.push_type(out);
        out.extend_from_slice(b"\",\"title\":\"");
        out.extend_from_slice(self.entry.title.as_bytes());
        out.extend_from_slice(b"\",\"status\":");
        push_number(out, u64::from(self.status()));
        out.extend_from_slice(b",\"detail\":");
        push_json_string(out, if self.detail.is_empty() { self.entry.remedy } else { self.detail });
        out.extend_from_slice(b",\"code\":\"");
        out.extend_from_slice(self.entry.name.as_bytes());
        out.push(b'"');
        if let Some(id) = self.decision {
            out.extend_from_slice(b",\"decision_id\":\"");
            out.extend_from_slice(DecisionText::of(id).as_bytes());
            out.push(b'"');
        }
        if let Some(name) = self.violated {
            out.extend_from_slice(b",\"violated-policies\":[");
            push_json_string(out, name);
            out.push(b']');
        }
        if let Some(WrongRecord { index, path, reason }) = self.record {
            out.extend_from_slice(b",\"errors\":[{\"index\":");
            push_number(out, index);
            out.extend_from_slice(b",\"path\":");
            push_json_string(out, path);
            out.extend_from_slice(b",\"reason\":");
            push_json_string(out, reason);
            out.extend_from_slice(b"}]");
        }
        out.push(b'}');
    }

    /// The body.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(320 + self.detail.len());
        self.write(&mut out);
        out
    }
}
