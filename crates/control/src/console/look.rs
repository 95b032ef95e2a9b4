//! How a page looks to one browser: its theme and its time zone, each from a cookie that says nothing
//! about the person. They are preferences and never trusted with more.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
};
use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;

use super::{form::Fields, trouble::Trouble, visit::Anybody};
use crate::local_path::local;

const THEME: &str = "tollgate_theme";
const ZONE: &str = "tollgate_zone";
const SHORTCUTS: &str = "tollgate_shortcuts";
/// Bytes of the longest name of a time zone.
const ZONE_BYTES_MAX: usize = 64;

/// How a page looks to one browser.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// `light` or `dark`; `None` as the system has it.
    pub(crate) theme: Option<&'static str>,
    /// The zone that times are written in; UTC where the browser did not say.
    pub(crate) zone: TimeZone,
    /// Whether single keys are shortcuts (WCAG 2.1.4).
    pub(crate) shortcuts: bool,
}

impl Look {
    /// What the browser asks for.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            theme: cookie(headers, THEME).as_deref().and_then(theme_named),
            zone: zone(headers),
            shortcuts: cookie(headers, SHORTCUTS).as_deref() != Some("off"),
        }
    }
}

fn theme_named(name: &str) -> Option<&'static str> {
    ["light", "dark"].into_iter().find(|own| *own == name)
}

fn zone(headers: &HeaderMap) -> TimeZone {
    let name = cookie(headers, ZONE).filter(|name| name.len() <= ZONE_BYTES_MAX);
    // The database of zones is part of the binary; a name leads to no file.
    name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(own, _)| *own == name)?
        .1;
    percent_decode_str(value).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Keeps what somebody prefers.
pub(super) async fn change(visitor: Anybody, fields: Fields) -> Result<Response, Trouble> {
    let back = local(fields.text("back").unwrap_or("/"));
    let mut response = Redirect::to(&back).into_response();
    let secure = if visitor.is_secure { "; Secure" } else { "" };
    let theme = fields.text("theme").and_then(theme_named).map(|theme| (THEME, theme));
    let shortcuts =
        fields.text("shortcuts").map(|word| (SHORTCUTS, if word == "off" { "off" } else { "on" }));
    for (name, value) in theme.into_iter().chain(shortcuts) {
        let cookie = format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax{secure}");
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::Look;

    #[test]
    fn unknown_themes_and_zones_are_as_if_nothing_was_said() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", "tollgate_theme=dark; tollgate_zone=Europe%2FStockholm".parse().unwrap());
        let look = Look::of(&headers);
        assert_eq!((look.theme, look.zone.iana_name()), (Some("dark"), Some("Europe/Stockholm")));
        headers.insert("cookie", "tollgate_theme=\"><b>; tollgate_zone=../etc/passwd".parse().unwrap());
        let look = Look::of(&headers);
        assert_eq!((look.theme, look.zone.iana_name()), (None, Some("UTC")));
    }
}
