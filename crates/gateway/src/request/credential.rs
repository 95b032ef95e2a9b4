//! The credential of a request: where it may stand, that there is exactly one, and the request
//! without it.
//!
//! Keeps I18: what was read as a credential here is stripped from what goes upstream; the caller
//! strips by [`Place`]. Nothing in this module is printed.

use std::borrow::Cow;

use crate::{
    http::{field::FieldName, head::RequestHead},
    names,
};

pub(crate) static X_GOOG_API_KEY: FieldName = FieldName::of("x-goog-api-key");
pub(crate) static API_KEY: FieldName = FieldName::of("api-key");
pub(crate) static APIKEY: FieldName = FieldName::of("apikey");

/// Where a credential stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `Authorization: Bearer`.
    Authorization,
    /// Another field.
    Field(&'static FieldName),
    /// A parameter of the query.
    Query(&'static str),
}

/// The places of a service beside `Authorization` and `X-API-Key`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    fields: Vec<&'static FieldName>,
    parameters: Vec<&'static str>,
}

impl Places {
    /// Reads the places as they are written in a service; unknown ones are refused by core and
    /// count for nothing here.
    pub(crate) fn of(written: &[String]) -> Self {
        let mut places = Self::default();
        for place in written {
            match place.as_str() {
                "x-goog-api-key" => places.fields.push(&X_GOOG_API_KEY),
                "api-key" => places.fields.push(&API_KEY),
                "apikey" => places.fields.push(&APIKEY),
                "query:api_key" => places.parameters.push("api_key"),
                "query:key" => places.parameters.push("key"),
                _ => {}
            }
        }
        places
    }

    /// The places of a service of kind `llm`: those, and where the SDKs of the providers put their keys.
    pub(crate) fn of_llm(written: &[String]) -> Self {
        let mut places = Self::of(written);
        if !places.fields.contains(&&X_GOOG_API_KEY) {
            places.fields.push(&X_GOOG_API_KEY);
        }
        if !places.parameters.contains(&"key") {
            places.parameters.push("key");
        }
        places
    }

    /// The names of the fields, for `Access-Control-Allow-Headers`.
    pub(crate) fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|name| name.as_str())
    }
}

/// One credential as it was presented.
pub(crate) struct Presented<'h> {
    /// Its bytes.
    pub(crate) secret: Cow<'h, [u8]>,
    /// Where it stood.
    pub(crate) place: Place,
}

/// There is not exactly one credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// There is none.
    Missing,
    /// There are several, equal or not.
    Ambiguous,
}

/// The one credential of a request.
pub(crate) fn extract<'h>(head: &'h RequestHead, places: &Places) -> Result<Presented<'h>, Flaw> {
    extract_with(head, head.query(), places)
}

/// The one credential of a request whose query stands elsewhere: that of the client, which a proxy
/// asks about.
pub(crate) fn extract_with<'h>(
    head: &'h RequestHead,
    query: Option<&'h str>,
    places: &Places,
) -> Result<Presented<'h>, Flaw> {
    let mut one = None;
    let mut flaw = None;
    for_each(head, query, places, |presented| {
        if one.replace(presented).is_some() {
            flaw = Some(Flaw::Ambiguous);
        }
    })?;
    match (flaw, one) {
        (Some(flaw), _) => Err(flaw),
        (None, Some(presented)) => Ok(presented),
        (None, None) => Err(Flaw::Missing),
    }
}

/// Calls `visit` with everything that stands where a credential may.
///
/// Two `Authorization` fields are ambiguous whatever their schemes: servers differ in which counts. What
/// stands elsewhere is visited all the same, for it may have to be stripped.
pub(crate) fn for_each<'h>(
    head: &'h RequestHead,
    query: Option<&'h str>,
    places: &Places,
    mut visit: impl FnMut(Presented<'h>),
) -> Result<(), Flaw> {
    let mut lines = head.values("authorization");
    let only = lines.next();
    let outcome = if lines.next().is_some() { Err(Flaw::Ambiguous) } else { Ok(()) };
    if let Some(token) = only.filter(|_| outcome.is_ok()).and_then(bearer) {
        visit(Presented { secret: Cow::Borrowed(token), place: Place::Authorization });
    }
    for name in std::iter::once(&names::X_API_KEY).chain(places.fields.iter().copied()) {
        for value in head.values(name.as_str()) {
            visit(Presented { secret: Cow::Borrowed(value), place: Place::Field(name) });
        }
    }
    if places.parameters.is_empty() {
        return outcome;
    }
    for pair in query.unwrap_or("").split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_encoding::percent_decode_str(name);
        for parameter in &places.parameters {
            if name.clone().eq(parameter.bytes()) {
                let secret = percent_encoding::percent_decode_str(value).into();
                visit(Presented { secret, place: Place::Query(parameter) });
            }
        }
    }
    outcome
}

/// The token of an `Authorization` field that is meant for us: of the scheme `Bearer`, or a bare
/// word without a scheme, which can only be a key written wrongly and must not travel on.
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let Some(end) = line.iter().position(|byte| matches!(byte, b' ' | b'\t')) else { return Some(line) };
    let (scheme, rest) = line.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| rest.trim_ascii())
}

/// The query without the parameters that decode to `name`; `None` when nothing is left.
pub(crate) fn query_without(query: &str, name: &str) -> Option<String> {
    let kept = query.split('&').filter(|pair| {
        let own = pair.split_once('=').map_or(*pair, |(own, _)| own);
        !percent_encoding::percent_decode_str(own).eq(name.bytes())
    });
    let mut rest = String::with_capacity(query.len());
    for pair in kept {
        if !rest.is_empty() {
            rest.push('&');
        }
        rest.push_str(pair);
    }
    (!rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bearer_scheme_and_bare_words_are_ours() {
        for (line, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer   abc ", Some("abc")),
            ("BEARER\tabc", Some("abc")),
            ("abc", Some("abc")),
            ("Bearer", Some("Bearer")),
            ("Basic dXNlcg==", None),
            ("Digest username=x", None),
        ] {
            assert_eq!(bearer(line.as_bytes()), token.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn a_query_loses_every_spelling_of_the_parameter_and_nothing_else() {
        for (query, rest) in [
            ("key=a", None),
            ("x=1&key=a&y=2", Some("x=1&y=2")),
            ("%6bey=a&x=%20", Some("x=%20")),
            ("key", None),
            ("keys=a&monkey=b", Some("keys=a&monkey=b")),
            ("a=1&key=x&key=y", Some("a=1")),
        ] {
            assert_eq!(query_without(query, "key").as_deref(), rest, "{query}");
        }
    }
}
