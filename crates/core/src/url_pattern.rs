//! Patterns of Referer and Origin, matched part by part.
//!
//! A plain `*` over the whole text would let `https://evil.example/.example.com/` pass for
//! `https://*.example.com/*`; so scheme, host, port and path are told apart first, and a `*` in the
//! host never reaches past it. What a browser would read in another way (userinfo, escapes and
//! backslashes in the host) matches nothing but `*`.

use crate::pattern::{PATTERN_LEN_MAX, PatternError, TextPattern};

/// A pattern such as `https://*.example.com/*`, `https://app.example.com`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPattern {
    text: Box<str>,
    /// `None` matches everything.
    parts: Option<Parts>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    /// `None` is any.
    scheme: Option<Box<str>>,
    host: TextPattern,
    port: Port,
    /// `None` is any.
    path: Option<TextPattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    /// The scheme's own.
    Own,
    Any,
    Exact(Box<str>),
}

impl UrlPattern {
    /// Reads a pattern. Without a scheme any is meant, without a path any, without a port the
    /// scheme's own.
    ///
    /// # Errors
    /// When it is too long, or scheme, host or port have characters that no URL has there.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self { text: text.into(), parts: None });
        }
        if text.len() > PATTERN_LEN_MAX {
            return Err(PatternError::TooLong);
        }
        let error = || PatternError::Url(text.to_owned());
        let (scheme, rest) = match text.split_once("://") {
            Some(("*", rest)) => (None, rest),
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme.to_ascii_lowercase().into()), rest),
            Some(_) => return Err(error()),
            None => (None, text),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(TextPattern::parse(&format!("/{path}"))?)),
            None => (rest, None),
        };
        let (host, port) = split_port(authority);
        if !is_host(&host.replace('*', "a")) {
            return Err(error());
        }
        let port = match port {
            None => Port::Own,
            Some("*") => Port::Any,
            Some(port) if is_port(port) => Port::Exact(port.into()),
            Some(_) => return Err(error()),
        };
        let host = TextPattern::parse_folded(host)?;
        Ok(Self { text: text.into(), parts: Some(Parts { scheme, host, port, path }) })
    }

    /// Whether a URL (Referer) or origin matches. What is no URL matches nothing but `*`.
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        let Some(parts) = &self.parts else { return true };
        let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return false;
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let Some((authority, path)) = rest.split_at_checked(end) else { return false };
        let (host, port) = split_port(authority);
        if !is_host(host) || !port.is_none_or(is_port) {
            return false;
        }
        let path = if path.is_empty() { "/" } else { path };
        parts.scheme.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(scheme))
            && parts.port.fits(scheme, port)
            && parts.host.matches(host)
            && parts.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Port {
    fn fits(&self, scheme: &str, port: Option<&str>) -> bool {
        let own = if scheme.eq_ignore_ascii_case("https") {
            Some("443")
        } else if scheme.eq_ignore_ascii_case("http") {
            Some("80")
        } else {
            None
        };
        match self {
            Self::Any => true,
            Self::Own => port.is_none() || port == own,
            Self::Exact(wanted) => port.or(own) == Some(wanted),
        }
    }
}

/// A scheme (RFC 3986 §3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A host as browsers write it: a name in ASCII (punycode), an IPv4 address, or IPv6 in brackets.
fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    }
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits `host:port`; the colons inside `[…]` of an IPv6 address belong to the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}
