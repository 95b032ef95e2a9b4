//! A request head: a view of what the client sent, and the list of edits to make on the way upstream.
//!
//! The view never changes, so logs, decisions and a second attempt all see the same request. Fields with
//! `_` in their name do not exist here: CGI-style servers fold `_` and `-` together, so a client could
//! otherwise spell an identity header that the strip list does not know (reliability §7.4).

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::field::{FieldName, FieldValue};

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

/// One change to make when the head is sent upstream. Changes apply in order of kind: strip and set remove
/// what the client sent, then set and add append.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Strip(FieldName),
    StripPrefix(&'static str),
    Set(FieldName, FieldValue),
    Add(FieldName, FieldValue),
}

/// Request line and fields of one request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) fields: HeaderMap,
    pub(super) edits: Vec<Edit>,
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
        let uri = Uri::from(path_and_query(target)?);
        Ok(Self::new(method, uri, Version::Http11, HeaderMap::new()))
    }

    pub(super) fn new(method: Method, uri: Uri, version: Version, fields: HeaderMap) -> Self {
        Self { method, uri, version, fields, edits: Vec::new(), target: None, authority: None }
    }

    /// The method, upper-case.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// The path as sent: starts with `/`, neither decoded nor normalised. `*` for `OPTIONS *`.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The query as sent, without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The version the client speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Host and optional port the client addressed: `:authority`, the absolute target or `Host`, which
    /// the engine has checked to agree. `None` only with HTTP/1.0.
    pub fn authority(&self) -> Option<&str> {
        match self.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => self.fields.get(http::header::HOST).and_then(|host| host.to_str().ok()),
        }
    }

    /// The first value under `name` (lower-case).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        if name.contains('_') {
            return None;
        }
        self.fields.get(name).map(HeaderValue::as_bytes)
    }

    /// Every value under `name` (lower-case), in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let hidden = name.contains('_');
        self.fields.get_all(name).into_iter().filter(move |_| !hidden).map(HeaderValue::as_bytes)
    }

    /// How many fields are named `name` (lower-case).
    pub fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// Every field, name in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .filter(|(name, _)| !name.contains('_'))
    }

    /// Does not send the client's fields of this name.
    pub fn strip(&mut self, name: FieldName) {
        self.edit(Edit::Strip(name));
    }

    /// Does not send the client's fields whose names start with `prefix` (lower-case). Fields set or added
    /// here are not affected.
    pub fn strip_prefix(&mut self, prefix: &'static str) {
        self.edit(Edit::StripPrefix(prefix));
    }

    /// Sends this field instead of the client's of this name. A second `set` of a name replaces the first.
    /// Without effect on `Host` (see [`RequestHead::set_authority`]) and on connection and framing fields,
    /// which are the engine's.
    pub fn set(&mut self, name: FieldName, value: FieldValue) {
        let name = match self.find_set(&name) {
            Some(slot) => {
                *slot = value;
                return;
            }
            None => name,
        };
        self.edit(Edit::Set(name, value));
    }

    /// Sends this field besides the client's of this name; the exceptions of [`RequestHead::set`] hold.
    pub fn add(&mut self, name: FieldName, value: FieldValue) {
        self.edit(Edit::Add(name, value));
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

    fn edit(&mut self, edit: Edit) {
        if self.edits.is_empty() {
            // One allocation for the dozen identity headers a request gets.
            self.edits.reserve(16);
        }
        self.edits.push(edit);
    }

    fn find_set(&mut self, name: &FieldName) -> Option<&mut FieldValue> {
        self.edits.iter_mut().find_map(|edit| match edit {
            Edit::Set(there, value) if there == name => Some(value),
            _ => None,
        })
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
