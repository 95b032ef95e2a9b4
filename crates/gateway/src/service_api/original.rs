//! The client's request, as a proxy that asks about it describes it.
//!
//! The fields are believed because who asks holds a service token. A field that is missing, or there
//! twice, is an error of the proxy's configuration and refuses: nothing is guessed. Spellings with
//! `_` do not exist (see [`crate::http::head`]).

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;
use smallvec::SmallVec;
use tollgate_core::{address::client_address, code::Code};

use super::verify::one_spelling;
use crate::{denial::Denial, http::head::RequestHead, names, request::bare_host};

/// A client's request.
pub(super) struct Original<'h> {
    pub(super) method: &'h str,
    /// Without port.
    pub(super) host: Option<&'h str>,
    /// In its one spelling.
    pub(super) path: Cow<'h, str>,
    pub(super) query: Option<&'h str>,
}

/// The names of the fields that describe the request.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    method: &'static str,
    uri: &'static str,
    host: &'static str,
    /// Whether `X-Real-IP` can say who the client is.
    has_real_ip: bool,
}

/// What Traefik's ForwardAuth and Caddy's `forward_auth` send.
pub(super) const FORWARD: Fields = Fields {
    method: "x-forwarded-method",
    uri: "x-forwarded-uri",
    host: "x-forwarded-host",
    has_real_ip: false,
};

/// What the configuration for nginx in `docs/service-api.md` sends.
pub(super) const NGINX: Fields = Fields {
    method: "x-original-method",
    uri: "x-original-uri",
    host: "x-forwarded-host",
    has_real_ip: true,
};

impl<'h> Original<'h> {
    /// Reads the fields.
    pub(super) fn read(head: &'h RequestHead, fields: Fields) -> Result<Self, Denial> {
        let method = needed(head, fields.method)?;
        let uri = needed(head, fields.uri)?;
        let host = single(head, fields.host)?.map(bare_host);
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        Ok(Self { method, host, path: one_spelling(path)?, query })
    }
}

/// The client's address: the right-most hop of `X-Forwarded-For` that is no trusted proxy, the
/// right-most of all being what the asking proxy saw. For nginx `X-Real-IP` counts where there is no
/// `X-Forwarded-For`; where both are there they must agree, for a configuration may write only one
/// of them and the other is the client's then. Traefik and Caddy always write `X-Forwarded-For` and
/// let a client's `X-Real-IP` through. `None` when it is not known, and a restriction refuses then.
pub(super) fn address(head: &RequestHead, fields: Fields, trusted: &[IpNet]) -> Option<IpAddr> {
    let lines: SmallVec<[&str; 4]> = head
        .values(names::X_FORWARDED_FOR.as_str())
        .map(|line| std::str::from_utf8(line).unwrap_or("?"))
        .collect();
    let seen = lines.last().and_then(|line| line.rsplit(',').next()).map(parse);
    let told = match head.count(names::X_REAL_IP.as_str()) {
        _ if !fields.has_real_ip => None,
        0 => None,
        1 => Some(
            head.header(names::X_REAL_IP.as_str()).and_then(|line| parse(std::str::from_utf8(line).ok()?)),
        ),
        _ => return None,
    };
    match (seen, told) {
        (Some(seen), None) => Some(client_address(seen?, trusted, lines.into_iter())),
        (Some(seen), Some(told)) if seen == told => Some(client_address(seen?, trusted, lines.into_iter())),
        (None, Some(told)) => told,
        (Some(_), Some(_)) | (None, None) => None,
    }
}

fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

fn needed<'h>(head: &'h RequestHead, name: &'static str) -> Result<&'h str, Denial> {
    single(head, name)?.ok_or_else(|| misconfigured(name, "is missing; set it in the proxy"))
}

/// The only value of a field as text.
fn single<'h>(head: &'h RequestHead, name: &'static str) -> Result<Option<&'h str>, Denial> {
    let mut values = head.values(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(misconfigured(name, "is there more than once; let the proxy overwrite the client's"));
    }
    std::str::from_utf8(value).map(Some).map_err(|_| misconfigured(name, "is not UTF-8"))
}

fn misconfigured(name: &str, problem: &str) -> Denial {
    Denial::new(Code::MalformedRequest, format!("`{name}` {problem}"))
}
