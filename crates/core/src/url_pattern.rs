//! Patterns of Referer and Origin, matched part by part.
//!
//! A plain `*` over the whole text would let `https://evil.example/.example.com/` pass for
//! `https://*.example.com/*`; so scheme, host, port and path are told apart first, and a `*` in the
//! host never reaches past it.

use crate::pattern::{PatternError, TextPattern};

/// A pattern such as `https://*.example.com/*`, `https://app.example.com`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPattern {
    text: Box<str>,
    parts: Option<Parts>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    scheme: Option<Box<str>>,
    host: TextPattern,
    /// `None` is the scheme's own port, `*` any.
    port: Option<Box<str>>,
    path: Option<TextPattern>,
}

impl UrlPattern {
    /// Reads a pattern. Without a scheme any is meant, without a path any.
    ///
    /// # Errors
    /// When it is too long.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self { text: text.into(), parts: None });
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => ((scheme != "*").then(|| scheme.to_ascii_lowercase().into()), rest),
            None => (None, text),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(TextPattern::parse(&format!("/{path}"))?)),
            None => (rest, None),
        };
        let (host, port) = split_port(authority);
        let host = TextPattern::parse_folded(host)?;
        Ok(Self { text: text.into(), parts: Some(Parts { scheme, host, port: port.map(Into::into), path }) })
    }

    /// Whether a URL (Referer) or origin matches. What is no URL matches nothing but `*`.
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        let Some(parts) = &self.parts else { return true };
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let Some((authority, path)) = rest.split_at_checked(end) else { return false };
        if authority.is_empty() || authority.contains('@') {
            return false;
        }
        let (host, port) = split_port(authority);
        let own_port = match scheme {
            "https" => Some("443"),
            "http" => Some("80"),
            _ => None,
        };
        let port_fits = match parts.port.as_deref() {
            Some("*") => true,
            Some(wanted) => port.or(own_port) == Some(wanted),
            None => port.is_none() || port == own_port,
        };
        parts.scheme.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(scheme))
            && port_fits
            && parts.host.matches(host)
            && parts
                .path
                .as_ref()
                .is_none_or(|pattern| pattern.matches(if path.is_empty() { "/" } else { path }))
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Splits `host:port`; the colons inside `[…]` of an IPv6 address belong to the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}
