//! The paths of sign-in elsewhere.
//!
//! | path | does |
//! | --- | --- |
//! | `GET /sign-in/oidc` | sends the browser to the provider; `next` is where it goes on afterwards |
//! | `GET /sign-in/oidc/callback` | takes it back and begins the session |
//! | `POST /api/admin/v1/session/ldap` | login and password for the directory |
//! | `POST /api/admin/v1/session/token` | an ID token (OpenID Connect or Firebase) for a session |

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::Instant;
use tollgate_core::{id::SessionId, secret::Secret};

use super::settle;
use crate::{
    local_path::local,
    problem::{Refused, wants_page},
    providers::{
        LdapOptions, Proven,
        ldap::{self, NotProven},
        oidc::{Return, Trip},
    },
    session::{SessionToken, SignedIn, session_cookie, session_token},
    sign_in::{Body, Caller, begun},
    state::{App, random},
    throttle::Door,
};

/// The cookie of a sign-in under way. Lax, for the provider's answer comes from another site.
const TRIP: &str = "__Host-tollgate-trip";
/// The cookie with the path that the browser goes on to afterwards.
const NEXT: &str = "__Host-tollgate-next";
/// The cookie with the id of the session that is proven anew. The session's own cookie does not come along
/// when the provider sends the browser back; the id gives no right, the session must be the person's.
const PRESENT: &str = "__Host-tollgate-present";
const BODY_BYTES_MAX: usize = 32 << 10;
/// The least time that a failed sign-in in a directory takes: that of a bind, whether anybody was found or
/// not.
const FAILURE_MIN: Duration = Duration::from_millis(250);
const CALLBACK: &str = "/sign-in/oidc/callback";
/// Takes the cookies of a sign-in under way from the browser: [`TRIP`], [`NEXT`], [`PRESENT`].
const GONE: [&str; 3] = [
    "__Host-tollgate-trip=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
    "__Host-tollgate-next=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
    "__Host-tollgate-present=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
];

/// What of a path must not stand in HTML, nor in the address of a refresh, as it is.
const IN_HTML: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'\'').add(b'<').add(b'>').add(b';').add(b',').add(b'`');

/// The routes, with their whole paths.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/sign-in/oidc", get(begin))
        .route(CALLBACK, get(finish))
        .route("/api/admin/v1/session/ldap", post(directory))
        .route("/api/admin/v1/session/token", post(token))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// How a sign-in begins.
#[derive(Deserialize)]
struct Wish {
    /// Proves anew who it is: `/sign-in/oidc?fresh=1`, for what needs a fresh sign-in.
    fresh: Option<String>,
    /// The path to go on to afterwards.
    #[serde(default)]
    next: String,
}

async fn begin(State(app): State<App>, Query(wish): Query<Wish>, headers: HeaderMap) -> Response {
    let next = local(&wish.next);
    led_away(&app, &wish, &headers).await.unwrap_or_else(|refused| turned_away(&headers, &refused, &next))
}

/// What a refusal is: to programs itself, to browsers the page to sign in, which says it in words. So neither
/// the address of the provider's answer nor what it holds stays with the browser.
fn turned_away(headers: &HeaderMap, refused: &Refused, next: &str) -> Response {
    if !wants_page(headers) {
        return refused.clone().into_response();
    }
    let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
    Redirect::to(&format!("/sign-in?refused={}&next={next}", refused.code())).into_response()
}

async fn led_away(app: &App, wish: &Wish, headers: &HeaderMap) -> Result<Response, Refused> {
    let oidc = app.providers().oidc.as_ref().ok_or_else(Refused::not_found)?;
    let trip = Trip::new(random()?);
    let options = app.options();
    let age = if wish.fresh.is_some() { options.fresh } else { options.session_life };
    let url = oidc.begin(&trip, &redirect_uri(app, headers)?, age).await.map_err(unreachable)?;
    let cookie = format!("{TRIP}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600", trip.text());
    let next = utf8_percent_encode(&local(&wish.next), NON_ALPHANUMERIC).to_string();
    let next = format!("{NEXT}={next}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600");
    let present = if wish.fresh.is_some() { present(app, headers).await } else { None };
    let present = match present {
        Some(id) => format!("{PRESENT}={id}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"),
        None => GONE[2].to_owned(),
    };
    let cookies = [cookie, next, present].map(HeaderValue::try_from);
    let (Ok(url), [Ok(cookie), Ok(next), Ok(present)]) = (HeaderValue::try_from(url), cookies) else {
        return Err(Refused::Unavailable("the identity provider's address cannot be used".to_owned()));
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, url)]).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response.headers_mut().append(header::SET_COOKIE, next);
    response.headers_mut().append(header::SET_COOKIE, present);
    Ok(response)
}

/// The session of whoever asks, if it is good.
async fn present(app: &App, headers: &HeaderMap) -> Option<SessionId> {
    let token = session_token(headers)?;
    let who = SignedIn::of_token(app, &token).await.ok()?;
    who.session.map(|session| session.id)
}

async fn finish(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(back): Query<Return>,
) -> Response {
    let next = next(&headers);
    match proven_there(&app, &caller, &headers, &back).await {
        Ok(session) => arrived(&session, &next),
        Err(refused) => turned_away(&headers, &refused, &next),
    }
}

async fn proven_there(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    back: &Return,
) -> Result<SessionToken, Refused> {
    let oidc = app.providers().oidc.as_ref().ok_or_else(Refused::not_found)?;
    app.throttle().take_address(caller.address, app.mono_ns())?;
    let trip = trip(headers).ok_or(Refused::SignInFailed)?;
    let proven = oidc.finish((&trip, back), &redirect_uri(app, headers)?, app.now_us()).await;
    let proven = proven.map_err(|why| {
        tracing::warn!(why, address = %caller.address, "sign-in at the identity provider failed");
        Refused::SignInFailed
    })?;
    let present = cookie(headers, PRESENT).and_then(|text| text.parse().ok());
    settle::sign_in(app, caller, proven, present).await
}

/// A page that goes on to the console by itself. A redirect would still count as coming from the
/// provider's site, and the browser would keep the new cookie back.
fn arrived(session: &SessionToken, next: &str) -> Response {
    // A path as it stands in HTML: nothing in it ends an attribute or begins another part of it, and no
    // character reference turns it into another path.
    let next = utf8_percent_encode(next, IN_HTML).to_string().replace('&', "&amp;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tollgate</title>\
         <meta http-equiv=\"refresh\" content=\"0; url={next}\"></head>\
         <body><p>Signed in. <a href=\"{next}\">Go on</a></p></body></html>\n"
    );
    let mut response = Html(page).into_response();
    if let Some(cookie) = session_cookie(session) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    for gone in GONE {
        response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(gone));
    }
    response
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// What the person is called there.
    pub(crate) login: String,
    /// The password there.
    pub(crate) password: Secret<String>,
}

async fn directory(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Login>,
) -> Result<Response, Refused> {
    let session = by_directory(&app, &caller, body).await?;
    begun(&app, &session).await
}

/// Begins a session of somebody whom the directory knows by login and password. Without a directory there
/// is nothing here.
pub(crate) async fn by_directory(app: &App, caller: &Caller, body: Login) -> Result<SessionToken, Refused> {
    let options = app.providers().ldap.as_ref().ok_or_else(Refused::not_found)?;
    let door = (Door::Directory, body.login.as_str());
    app.throttle().take(door, caller.address, app.mono_ns()).await?;
    let began = Instant::now();
    match in_directory(app, options, (caller, &body)).await {
        Ok(proven) => {
            app.throttle().give_back(door, caller.address);
            settle::sign_in(app, caller, proven, None).await
        }
        Err(NotProven::Wrong(why)) => {
            tracing::warn!(why, address = %caller.address, "sign-in in the directory failed");
            tokio::time::sleep_until(began + FAILURE_MIN).await;
            Err(Refused::SignInFailed)
        }
        Err(NotProven::Failed(why)) => Err(unreachable(why)),
        Err(NotProven::Busy) => {
            Err(Refused::Busy("many people sign in right now; try again in a moment".to_owned()))
        }
    }
}

/// Finds somebody and lets them prove themselves. Attempts count by the entry that is found, however it
/// was typed; when there are none left, it looks like a wrong password, so that nobody learns which
/// spellings are one person.
async fn in_directory(
    app: &App,
    options: &LdapOptions,
    (caller, body): (&Caller, &Login),
) -> Result<Proven, NotProven> {
    let _place = app.providers().ldap_places.try_acquire().map_err(|_| NotProven::Busy)?;
    let typed = (body.login.as_str(), &body.password);
    let found = ldap::find(options, typed).await?;
    let entry = found.entry.clone();
    if !app.throttle().take_entry(&entry, caller.address, app.mono_ns()) {
        return Err(NotProven::Wrong("too many attempts at one entry"));
    }
    let proven = ldap::prove(options, found, typed, app.now_us()).await?;
    app.throttle().give_back_entry(&entry, caller.address);
    Ok(proven)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdToken {
    id_token: Secret<String>,
}

async fn token(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<IdToken>,
) -> Result<Response, Refused> {
    app.throttle().take_address(caller.address, app.mono_ns())?;
    let who = settle::bearer(&app, body.id_token.expose()).await.map_err(|refused| match refused {
        Refused::SignInMissing => Refused::SignInFailed,
        other => other,
    })?;
    // A session begins where the person proved who they are, not where an old token lies around.
    if !who.is_fresh {
        return Err(Refused::SignInNotFresh);
    }
    let tenant = who.tenant.id.to_string();
    let session = crate::sign_in::start(
        &app,
        &caller,
        (who.user, None, Some(&tenant)),
        (&who.method, who.signed_in_us),
    )
    .await?;
    begun(&app, &session).await
}

fn trip(headers: &HeaderMap) -> Option<Trip> {
    Trip::parse(cookie(headers, TRIP)?)
}

/// The path to go on to.
fn next(headers: &HeaderMap) -> String {
    let text = cookie(headers, NEXT).unwrap_or_default();
    local(&percent_decode_str(text).decode_utf8_lossy())
}

/// A cookie of this name. More than one of the name is nobody's: a browser sends one.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(own, _)| *own == name);
    let (_, text) = found.next()?;
    if found.next().is_some() { None } else { Some(text) }
}

/// Where the provider sends the browser back to: exactly this, whatever the request says, where the
/// address is configured.
fn redirect_uri(app: &App, headers: &HeaderMap) -> Result<String, Refused> {
    if let Some(url) = &app.options().public_url {
        return Ok(format!("{}{CALLBACK}", url.trim_end_matches('/')));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.ok_or_else(|| Refused::Malformed("the request has no `Host`".to_owned()))?;
    Ok(format!("http://{host}{CALLBACK}"))
}

/// What is wrong goes to the log; the person is told who can help.
fn unreachable(why: String) -> Refused {
    tracing::warn!(why, "an identity provider does not do what it should");
    Refused::Unavailable(
        "the identity provider does not answer as it should; try again, or tell an administrator".to_owned(),
    )
}
