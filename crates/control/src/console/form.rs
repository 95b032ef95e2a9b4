//! Names and values of queries and of posted forms (the URL standard, `application/x-www-form-urlencoded`).

use axum::{
    extract::{FromRequest, Request},
    http::header,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::trouble::Trouble;
use crate::problem::Refused;

/// Bytes of a posted form; the TOML of a policy is the largest.
const FORM_BYTES_MAX: usize = 256 << 10;
/// Pairs of a query or a form; more are not looked at.
const PAIRS_MAX: usize = 1000;
/// What stays as it is in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The pairs of a query or a form, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads pairs. Bytes that are no UTF-8 are replaced.
    pub(crate) fn read(text: &[u8]) -> Self {
        let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).take(PAIRS_MAX);
        Self(
            pairs
                .map(|pair| {
                    let mut parts = pair.splitn(2, |byte| *byte == b'=');
                    (decoded(parts.next()), decoded(parts.next()))
                })
                .collect(),
        )
    }

    /// The first value of a name that is not empty, without the space around it.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let own = self.0.iter().filter(|(own, _)| own == name);
        own.map(|(_, value)| value.trim()).find(|value| !value.is_empty())
    }

    /// The same, or nothing.
    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// Whether the form has a field at all, empty or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// The value as it was sent; empty when there is none. For passwords and TOML.
    pub(crate) fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    /// The values of a list, one a line or between commas.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let words = self.exact(name).split(['\n', ',']).map(str::trim);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// The query with some names changed; `None` takes one away.
    pub(crate) fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let kept = self
            .0
            .iter()
            .filter(|(name, value)| !value.is_empty() && changes.iter().all(|(changed, _)| changed != name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let changed = changes.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
        let pairs: Vec<String> = kept
            .chain(changed)
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        pairs.join("&")
    }
}

fn decoded(part: Option<&[u8]>) -> String {
    let bytes: Vec<u8> =
        part.unwrap_or_default().iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&bytes).decode_utf8_lossy().into_owned()
}

/// A text as it stands in a query or in a part of a path.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Trouble;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Trouble> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refused::UnsupportedContent("application/x-www-form-urlencoded").into());
        }
        let body = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX).await;
        Ok(Self::read(&body.map_err(|_| Refused::TooLarge)?))
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn pairs_are_read_as_browsers_write_them() {
        let fields = Fields::read(b"a=1&b=x+y%26z&a=2&c=&d&e=%ff");
        assert_eq!(fields.text("a"), Some("1"));
        assert_eq!(fields.text("b"), Some("x y&z"));
        assert_eq!((fields.text("c"), fields.text("d")), (None, None));
        assert_eq!(fields.text("e"), Some("\u{fffd}"));
        assert_eq!(Fields::read(b"l=a%0d%0ab%2C+c").lines("l"), ["a", "b", "c"]);
    }

    #[test]
    fn a_query_keeps_what_is_not_changed() {
        let fields = Fields::read(b"range=6h&code=a%26b&cursor=9");
        assert_eq!(fields.with(&[("cursor", None), ("range", Some("1 h"))]), "code=a%26b&range=1%20h");
    }
}
