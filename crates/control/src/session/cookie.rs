//! The cookie of a session. `__Host-` makes browsers hold it to this host, over a trustworthy
//! connection, for all paths (RFC 6265bis §4.1.3.2); loopback counts as trustworthy to them.

use axum::http::{HeaderMap, HeaderValue, header};

use super::SessionToken;

/// Its name.
const NAME: &str = "__Host-tollgate";

/// The token in the request's cookies. More than one of the name is nobody's: a browser sends one.
pub(crate) fn session_token(headers: &HeaderMap) -> Option<SessionToken> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == NAME);
    let (_, text) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    SessionToken::parse(text)
}

/// The header that gives a browser its session. It has no end of its own: the browser forgets it when
/// it is closed, the session ends by its limits.
pub(crate) fn session_cookie(token: &SessionToken) -> Option<HeaderValue> {
    let text = format!("{NAME}={}; Path=/; Secure; HttpOnly; SameSite=Strict", token.text().expose());
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header that takes the session from a browser.
pub(crate) fn clear_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-tollgate=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}
