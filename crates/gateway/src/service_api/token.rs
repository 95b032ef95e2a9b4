//! Whose question it is: the service token, and which services it may be about.

use std::{borrow::Cow, sync::Arc};

use subtle::ConstantTimeEq as _;
use tollgate_core::{
    id::ServiceId,
    key::Digest,
    tables::{ServiceToken, Tables},
};
use tollgate_wire::{
    codes::{TOKEN_MISSING, TOKEN_UNKNOWN},
    headers::SERVICE_TOKEN,
};

use super::mistake::Mistake;
use crate::http::head::RequestHead;

/// What every service token begins with.
const PREFIX: &[u8] = b"tgs_";
/// The longest text that is looked at as a token.
const TOKEN_LEN_MAX: usize = 128;
/// The parameter of the query that may carry the token of a proxy.
const PARAMETER: &str = "token";

/// The token in `Authorization: Bearer`.
pub(super) fn of_bearer(head: &RequestHead, tables: &Tables) -> Result<Arc<ServiceToken>, Mistake> {
    let mut lines = head.values("authorization");
    let Some(line) = lines.next() else { return Err(Mistake::new(&TOKEN_MISSING, "")) };
    if lines.next().is_some() {
        return Err(Mistake::malformed("`Authorization` is there more than once; send it once"));
    }
    let token = line.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    let Some((_, token)) = token else { return Err(Mistake::new(&TOKEN_MISSING, "")) };
    find(token.trim_ascii(), tables)
}

/// The token of a proxy, which hands over the client's own `Authorization`: the parameter `token` of
/// the query, else `X-Tollgate-Service-Token`. The query comes first because the proxy alone writes
/// it; a header may be the client's where the proxy does not overwrite it.
pub(super) fn of_proxy(head: &RequestHead, tables: &Tables) -> Result<Arc<ServiceToken>, Mistake> {
    if let Some(token) = parameter(head.query(), PARAMETER) {
        return find(token.as_bytes(), tables);
    }
    let mut values = head.values(SERVICE_TOKEN);
    match (values.next(), values.next()) {
        (Some(token), None) => find(token, tables),
        (Some(_), Some(_)) => {
            Err(Mistake::malformed("`X-Tollgate-Service-Token` is there more than once; set it in the proxy"))
        }
        (None, _) => Err(Mistake::new(
            &TOKEN_MISSING,
            "set `X-Tollgate-Service-Token: tgs_…` in the proxy, or end its address with `?token=tgs_…`",
        )),
    }
}

/// The first value of a parameter, decoded.
pub(super) fn parameter<'h>(query: Option<&'h str>, name: &str) -> Option<Cow<'h, str>> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(own, _)| *own == name)?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy())
}

/// Looked up by its SHA-256: what the time of a look-up could tell is about the digest, which says
/// nothing of the token; the whole digest is then compared in constant time.
fn find(token: &[u8], tables: &Tables) -> Result<Arc<ServiceToken>, Mistake> {
    let unknown = || Mistake::new(&TOKEN_UNKNOWN, "");
    if !token.starts_with(PREFIX) || token.len() > TOKEN_LEN_MAX {
        return Err(unknown());
    }
    let digest = Digest::of(token);
    let (stored, found) = tables.service_tokens.get_key_value(&digest).ok_or_else(unknown)?;
    let same: bool = stored.0[..].ct_eq(&digest.0[..]).into();
    if same { Ok(Arc::clone(found)) } else { Err(unknown()) }
}

/// Whether a token may ask about a service of its own tenant.
pub(super) fn covers(token: &ServiceToken, service: ServiceId) -> bool {
    token.services.is_empty() || token.services.contains(&service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_whole_and_decoded() {
        for (query, value) in [
            ("token=tgs_a", Some("tgs_a")),
            ("a=1&token=tgs%5Fa&b", Some("tgs_a")),
            ("xtoken=tgs_a", None),
            ("token", None),
            ("", None),
        ] {
            assert_eq!(parameter(Some(query), "token").as_deref(), value, "{query}");
        }
    }
}
