//! A request head: a view of what the client sent, and the list of edits to make on the way upstream.
//!
//! The view never changes, so logs, decisions and a second attempt all see the same request. Fields with
//! `_` in their name do not exist here: CGI-style servers fold `_` and `-` together, so a client could
//! otherwise spell an identity header that the strip list does not know (reliability §7.4).

use std::rc::Rc;

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use http::uri::PathAndQuery;

use super::field::{FieldName, FieldValue};
use super::lines::Lines;
use super::raw::{Kind, RawField, RawFields, RawWriter, Span};
use super::strip::{NameList, StripList};

/// Version of the client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// Where the parts of a request line stand in the buffer of the fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestLine {
    pub(super) method: Span,
    /// As sent: starts with `/`, or is `*`.
    pub(super) path: Span,
    /// Without its `?`.
    pub(super) query: Option<Span>,
    /// Of an absolute target or `:authority`; `Host` stands among the fields.
    pub(super) authority: Option<Span>,
}

/// Request line and fields of one request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub(super) line: RequestLine,
    pub(super) version: Version,
    pub(super) fields: RawFields,
    /// What of the client's does not go upstream.
    stripped: NameList,
    stripped_always: Option<Rc<StripList>>,
    /// What goes upstream besides.
    own: Lines,
    pub(super) target: Option<PathAndQuery>,
    pub(super) authority: Option<FieldValue>,
}

impl RequestHead {
    /// A head that no client sent: for health checks and other requests of our own. HTTP/1.1, no fields.
    ///
    /// # Errors
    /// [`TargetInvalid`] when `method` is not a token or `target` (path and query) is not a request target.
    pub fn originate(method: &str, target: &str) -> Result<Self, TargetInvalid> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| TargetInvalid)?;
        let target = path_and_query(target)?;
        let mut writer = RawWriter::with_room(0);
        let line = RequestLine {
            method: writer.put(method.as_str().as_bytes()),
            path: writer.put(target.path().as_bytes()),
            query: target.query().map(|query| writer.put(query.as_bytes())),
            authority: None,
        };
        Ok(Self::new(line, Version::Http11, writer.done()))
    }

    /// `line` stands in the buffer of `fields`.
    pub(super) fn new(line: RequestLine, version: Version, fields: RawFields) -> Self {
        Self {
            line,
            version,
            fields,
            stripped: NameList::default(),
            stripped_always: None,
            own: Lines::default(),
            target: None,
            authority: None,
        }
    }

    /// A head that a codec has decoded.
    pub(super) fn decoded(parts: &Parts) -> Self {
        let mut writer = RawWriter::with_room(parts.headers.len());
        let line = RequestLine {
            method: writer.put(parts.method.as_str().as_bytes()),
            path: writer.put(parts.uri.path().as_bytes()),
            query: parts.uri.query().map(|query| writer.put(query.as_bytes())),
            authority: parts.uri.authority().map(|authority| writer.put(authority.as_str().as_bytes())),
        };
        writer.put_map(&parts.headers);
        let version = match parts.version {
            http::Version::HTTP_2 => Version::Http2,
            http::Version::HTTP_10 => Version::Http10,
            _ => Version::Http11,
        };
        Self::new(line, version, writer.done())
    }

    /// The method, upper-case.
    pub fn method(&self) -> &str {
        // It is asked for often, and nearly always one of these.
        match self.line.method.bytes(&self.fields.buffer) {
            b"GET" => "GET",
            b"POST" => "POST",
            b"PUT" => "PUT",
            b"PATCH" => "PATCH",
            b"DELETE" => "DELETE",
            b"HEAD" => "HEAD",
            b"OPTIONS" => "OPTIONS",
            _ => self.line.method.text(&self.fields.buffer),
        }
    }

    /// The path as sent: starts with `/`, neither decoded nor normalised. `*` for `OPTIONS *`.
    pub fn path(&self) -> &str {
        self.line.path.text(&self.fields.buffer)
    }

    /// The query as sent, without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.line.query.map(|query| query.text(&self.fields.buffer))
    }

    /// The version the client speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Host and optional port the client addressed: `:authority`, the absolute target or `Host`, which
    /// the engine has checked to agree. `None` only with HTTP/1.0.
    pub fn authority(&self) -> Option<&str> {
        match self.line.authority {
            Some(authority) => Some(authority.text(&self.fields.buffer)),
            None => self.fields.first("host").and_then(|host| std::str::from_utf8(host).ok()),
        }
    }

    /// The first value under `name` (lower-case).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Every value under `name` (lower-case), in order.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.named(name).filter(|field| field.kind != Kind::Hidden).map(|field| field.value)
    }

    /// How many fields are named `name` (lower-case).
    pub fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// Every field, name in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.shown().map(|field| (std::str::from_utf8(field.name).unwrap_or_default(), field.value))
    }

    fn shown(&self) -> impl Iterator<Item = RawField<'_>> {
        self.fields.iter().filter(|field| field.kind != Kind::Hidden)
    }

    /// Writes every field that goes upstream but `Host` and what the engine writes itself: the client's
    /// without those that are edited away, then those that are set or added.
    pub(super) fn push_forwarded(&self, out: &mut Vec<u8>) {
        let named = self.fields.named_by_connection();
        self.fields.push_lines(out, |field| self.is_forwarded(field, &named));
        out.extend_from_slice(self.own.as_bytes());
    }

    /// As [`RequestHead::push_forwarded`], field by field.
    pub(super) fn for_each_forwarded(&self, mut write: impl FnMut(&[u8], &[u8])) {
        let named = self.fields.named_by_connection();
        let came = self.fields.iter().filter(|field| self.is_forwarded(*field, &named));
        came.for_each(|field| write(field.name, field.value));
        self.own.iter().for_each(|(name, value)| write(name, value));
    }

    fn is_forwarded(&self, RawField { name, kind, .. }: RawField<'_>, named: &[Vec<u8>]) -> bool {
        kind == Kind::Plain
            && !self.stripped.holds(name)
            && !self.stripped_always.as_ref().is_some_and(|always| always.holds(name))
            && !named.iter().any(|own| own == name)
    }

    /// The path and query that go upstream.
    pub(super) fn forwarded_target(&self) -> (&str, Option<&str>) {
        match &self.target {
            Some(target) => (target.path(), target.query()),
            None => (self.path(), self.query()),
        }
    }

    /// Does not send the client's fields of this name.
    pub fn strip(&mut self, name: &FieldName) {
        self.stripped.add(name);
    }

    /// Does not send the client's fields of this list, instead of what such a list said before. Fields set or
    /// added here are not affected.
    pub fn strip_all(&mut self, list: &Rc<StripList>) {
        self.stripped_always = Some(Rc::clone(list));
    }

    /// Sends this field instead of the client's of this name and of those set or added here before.
    /// Without effect on `Host` (see [`RequestHead::set_authority`]) and on connection and framing fields,
    /// which are the engine's.
    pub fn set(&mut self, name: &FieldName, value: &FieldValue) {
        self.clear(name);
        self.add(name, value);
    }

    /// As [`RequestHead::set`], with a text that `write` adds to what it is given. A text other than visible
    /// ASCII, spaces and tabs is not sent, and neither is the client's field.
    pub fn set_text(&mut self, name: &FieldName, write: impl FnOnce(&mut Vec<u8>)) {
        self.clear(name);
        self.add_text(name, write);
    }

    /// Sends this field besides the client's of this name; the exceptions of [`RequestHead::set`] hold.
    pub fn add(&mut self, name: &FieldName, value: &FieldValue) {
        if name.kind() == Kind::Plain {
            self.own.add(name, value);
        }
    }

    /// As [`RequestHead::add`], with a text that `write` adds to what it is given. A text other than visible
    /// ASCII, spaces and tabs is not sent.
    pub fn add_text(&mut self, name: &FieldName, write: impl FnOnce(&mut Vec<u8>)) {
        if name.kind() == Kind::Plain {
            self.own.add_text(name, write);
        }
    }

    fn clear(&mut self, name: &FieldName) {
        let bytes = name.as_str().as_bytes();
        if !self.stripped_always.as_ref().is_some_and(|always| always.holds(bytes)) {
            self.stripped.add(name);
        }
        self.own.remove(bytes);
    }

    /// Adds fields that were made ready, as [`RequestHead::add`] does.
    pub fn add_lines(&mut self, lines: &Lines) {
        self.own.add_all(lines);
    }

    /// Sends this path and query instead of the client's.
    ///
    /// # Errors
    /// [`TargetInvalid`] when `path` does not start with `/` or either holds a character that cannot be in
    /// a request target.
    pub fn set_target(&mut self, path: &str, query: Option<&str>) -> Result<(), TargetInvalid> {
        self.target = Some(match query {
            Some(query) => path_and_query(&format!("{path}?{query}"))?,
            None => path_and_query(path)?,
        });
        Ok(())
    }

    /// Sends this `Host` (`:authority`) instead of the origin's own host and port.
    ///
    /// # Errors
    /// [`TargetInvalid`] when it is not a host with an optional port.
    pub fn set_authority(&mut self, authority: &str) -> Result<(), TargetInvalid> {
        let parsed: http::uri::Authority = authority.parse().map_err(|_| TargetInvalid)?;
        if parsed.as_str().contains('@') {
            return Err(TargetInvalid);
        }
        self.authority = Some(FieldValue::parse(parsed.as_str()).map_err(|_| TargetInvalid)?);
        Ok(())
    }
}

fn path_and_query(target: &str) -> Result<PathAndQuery, TargetInvalid> {
    if !target.starts_with('/') || target.contains('#') {
        return Err(TargetInvalid);
    }
    PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(target.as_bytes())).map_err(|_| TargetInvalid)
}

/// A method, path, query or authority that cannot stand in a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot stand in a request line: percent-encode everything but visible ASCII, start the path with /")]
pub struct TargetInvalid;
