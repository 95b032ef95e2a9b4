//! What an endpoint is: a row of the table that router and document are made from.

use std::{future::Future, pin::Pin};

use axum::routing::MethodFilter;
use tollgate_core::authz::Action;

use super::{answer::Answer, call::Call};
use crate::problem::Refused;

/// What a handler gives.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Answer, Refused>> + Send>>;
/// Answers calls of one endpoint.
pub(crate) type Handler = fn(Call) -> Answering;

/// The methods that endpoints have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub(crate) const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    /// As the document writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) doc: &'static str,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Words, at most so many bytes.
    Text(usize),
    /// Words of this pattern, which handlers hold them to; at most so many bytes.
    Pattern(usize, &'static str),
    /// `true` or `false`.
    Flag,
    /// A whole number, from and to.
    Number(u32, u32),
    /// One of these.
    Word(&'static [&'static str]),
    /// Some of these, separated by commas.
    Words(&'static [&'static str]),
    /// RFC 3339, or how long ago: `24h`.
    Moment,
}

/// What an endpoint answers when all is well.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gives {
    /// A schema, with this status.
    One(u16, &'static str),
    /// A page of a schema.
    List(&'static str),
    /// Nothing: 204.
    Nothing,
    /// Another type of content beside the schema.
    Or(&'static str, &'static str),
    /// Lines of JSON of this schema.
    Lines(&'static str),
}

/// Whether a change needs `If-Match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// It does not look at it.
    None,
    /// Without one: 428.
    Required,
}

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// Below [`super::BASE`].
    pub(crate) path: &'static str,
    /// What the caller must be allowed.
    pub(crate) action: Action,
    pub(crate) handler: Handler,
    pub(crate) summary: &'static str,
    /// More about it; may be empty.
    pub(crate) about: &'static str,
    pub(crate) query: &'static [&'static [Param]],
    /// The schema of the body; `None` for none.
    pub(crate) body: Option<&'static str>,
    pub(crate) gives: Gives,
    pub(crate) precondition: Precondition,
    /// Whether the answer has an `ETag`.
    pub(crate) tagged: bool,
}

impl Endpoint {
    /// An endpoint that takes nothing and answers with one schema.
    pub(crate) const fn new(
        method: Method,
        path: &'static str,
        action: Action,
        handler: Handler,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            action,
            handler,
            summary,
            about: "",
            query: &[],
            body: None,
            gives: Gives::Nothing,
            precondition: Precondition::None,
            tagged: false,
        }
    }

    pub(crate) const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    pub(crate) const fn query(self, query: &'static [&'static [Param]]) -> Self {
        Self { query, ..self }
    }

    pub(crate) const fn takes(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    pub(crate) const fn gives(self, gives: Gives) -> Self {
        Self { gives, ..self }
    }

    /// The answer has an `ETag`.
    pub(crate) const fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    /// It needs `If-Match`.
    pub(crate) const fn guarded(self) -> Self {
        Self { precondition: Precondition::Required, ..self }
    }

    /// All parameters of the query.
    pub(crate) fn params(&self) -> impl Iterator<Item = &'static Param> {
        self.query.iter().flat_map(|part| part.iter())
    }

    /// Its name in the document: `get_keys_id`.
    pub(crate) fn operation(&self) -> String {
        let words: String = self
            .path
            .chars()
            .map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '_' })
            .filter(|sign| *sign != '{' && *sign != '}')
            .collect();
        let words: Vec<&str> = words.split('_').filter(|word| !word.is_empty()).collect();
        format!("{}_{}", self.method.name(), words.join("_"))
    }
}
