//! Recognising that a request carries an API key or a service token, in any of the places the
//! gateway would take one from. Nothing is looked up: the shape alone turns it away.

use axum::http::{HeaderMap, Uri, header};
use tollgate_core::key::check_shape;

/// Headers that carry nothing but keys.
const KEY_HEADERS: [&str; 4] = ["x-api-key", "x-goog-api-key", "api-key", "apikey"];
/// Parameters of the query that carry nothing but keys.
const KEY_PARAMETERS: [&str; 2] = ["api_key", "key"];
/// What tokens of the service API begin with.
const SERVICE_TOKEN_PREFIX: &[u8] = b"tgs_";

/// Whether the request carries an API key or a service token.
pub(crate) fn carries_key(headers: &HeaderMap, uri: &Uri) -> bool {
    let in_own_header = KEY_HEADERS.iter().any(|name| headers.contains_key(*name))
        || headers.contains_key("x-tollgate-service-token");
    let in_authorization = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .any(|value| value.as_bytes().split(|byte| b" \t,".contains(byte)).any(is_credential));
    let in_query = uri.query().is_some_and(|query| {
        query.split('&').any(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Whatever the parameter is called, its value may still be a key.
            KEY_PARAMETERS.iter().any(|own| own.eq_ignore_ascii_case(name)) || is_credential(value.as_bytes())
        })
    });
    in_own_header || in_authorization || in_query
}

fn is_credential(text: &[u8]) -> bool {
    text.starts_with(SERVICE_TOKEN_PREFIX) || check_shape(text).is_ok()
}
