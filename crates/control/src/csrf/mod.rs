//! Requests that somebody else's page makes a browser send are refused, before any route.
//!
//! Two walls, for everything that is not GET, HEAD or OPTIONS. The first asks the browser where the
//! request comes from: `Sec-Fetch-Site` (W3C Fetch Metadata) must be `same-origin` or `none`; where it
//! is missing, `Origin` must name this host. Programs that are no browsers send neither. The second
//! asks for the session's token: under `/api/` as the header `X-CSRF-Token`, whenever the request
//! carries the session's cookie; pages with forms send it as the field `csrf_token`, and their
//! handlers check it. The cookie itself is `SameSite=Strict`.

use axum::http::{HeaderMap, Method, Uri, header};

use crate::{
    problem::Refused,
    session::{is_csrf_token, session_token},
    state::SignInOptions,
};

/// The header with the session's token.
const TOKEN: &str = "x-csrf-token";
/// Paths that are for people who are not signed in yet; an old cookie does not keep them out.
const FOR_ANYBODY: [&str; 7] = [
    "/api/admin/v1/session",
    "/api/admin/v1/session/ldap",
    "/api/admin/v1/session/token",
    "/api/admin/v1/session/reset",
    "/api/admin/v1/session/reset/complete",
    "/api/admin/v1/session/invitation",
    "/api/admin/v1/session/invitation/view",
];

/// Refuses what a page of another site made the browser send.
pub(crate) fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    options: &SignInOptions,
) -> Result<(), Refused> {
    if method.is_safe() {
        return Ok(());
    }
    check_origin(headers, options)?;
    let for_anybody = method == Method::POST && FOR_ANYBODY.contains(&uri.path());
    if !uri.path().starts_with("/api/") || for_anybody {
        return Ok(());
    }
    let Some(token) = session_token(headers) else { return Ok(()) };
    let sent = headers.get(TOKEN).is_some_and(|sent| is_csrf_token(&token, sent.as_bytes()));
    if sent { Ok(()) } else { Err(Refused::CsrfTokenWrong) }
}

fn check_origin(headers: &HeaderMap, options: &SignInOptions) -> Result<(), Refused> {
    let own = match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        (Some(site), _) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        (None, Some(origin)) => origin.to_str().is_ok_and(|origin| is_own(origin, headers, options)),
        (None, None) => true,
    };
    if own { Ok(()) } else { Err(Refused::CrossSite) }
}

/// Whether an origin is this listener: the one it is configured to be reached at, or else the `Host`
/// of the request, which a page cannot choose.
fn is_own(origin: &str, headers: &HeaderMap, options: &SignInOptions) -> bool {
    if let Some(url) = &options.public_url {
        return origin.eq_ignore_ascii_case(url.trim_end_matches('/'));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    matches!((host, named), (Some(host), Some(named)) if host.eq_ignore_ascii_case(named))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, Method, Uri};
    use tollgate_core::secret::Secret;

    use super::check;
    use crate::{
        session::{SessionToken, csrf_token},
        state::SignInOptions,
    };

    fn ask(method: &Method, path: &str, fields: &[(&str, &str)]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let options = SignInOptions::default();
        check(method, &path.parse::<Uri>().unwrap(), &headers, &options).err().map(|refused| refused.code())
    }

    #[test]
    fn pages_of_others_change_nothing() {
        let own = [("host", "tollgate.example")];
        let with = |name, value| ask(&Method::POST, "/keys", &[own[0], (name, value)]);
        for site in ["cross-site", "same-site", "", "same-origin, none"] {
            assert_eq!(with("sec-fetch-site", site), Some("cross_site_refused"), "{site}");
        }
        for origin in
            ["https://evil.example", "null", "https://tollgate.example.evil", "tollgate.example", ""]
        {
            assert_eq!(with("origin", origin), Some("cross_site_refused"), "{origin}");
        }
        assert_eq!(with("sec-fetch-site", "same-origin"), None);
        assert_eq!(with("origin", "https://tollgate.example"), None);
        assert_eq!(with("accept", "*/*"), None, "a program that is no browser");
        let cross = [own[0], ("sec-fetch-site", "cross-site")];
        assert_eq!(ask(&Method::GET, "/keys", &cross), None, "a link leads here");
    }

    #[test]
    fn a_session_must_bring_its_own_token() {
        let token = SessionToken::new(Secret::new([7; 32]));
        let other = SessionToken::new(Secret::new([8; 32]));
        let cookie = format!("a=b; __Host-tollgate={}", token.text().expose());
        let path = "/api/admin/v1/keys";
        let with = |csrf: &str| ask(&Method::DELETE, path, &[("cookie", &cookie), ("x-csrf-token", csrf)]);
        assert_eq!(with(&csrf_token(&token)), None);
        for wrong in [csrf_token(&other).as_str(), "", "x", token.text().expose()] {
            assert_eq!(with(wrong), Some("csrf_token_wrong"), "{wrong}");
        }
        assert_eq!(ask(&Method::POST, path, &[("cookie", &cookie)]), Some("csrf_token_wrong"));
        assert_eq!(ask(&Method::GET, path, &[("cookie", &cookie)]), None);
        assert_eq!(ask(&Method::POST, "/api/admin/v1/session", &[("cookie", &cookie)]), None);
        assert_eq!(
            ask(&Method::DELETE, "/api/admin/v1/session", &[("cookie", &cookie)]),
            Some("csrf_token_wrong")
        );
    }
}
