//! Sign-in and the own account as JSON, under `/api/admin/v1/session` and `/api/admin/v1/sessions`.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, Serialize};
use tollgate_core::{authz::Action, id::SessionId, secret::Secret};

use super::{
    account,
    caller::Caller,
    json::Body,
    links,
    local::{self, Attempt},
};
use crate::{
    problem::Refused,
    session::{SessionToken, SignedIn, clear_cookie, session_cookie},
    state::App,
};

/// The largest body of any of these calls.
const BODY_BYTES_MAX: usize = 16 << 10;

/// The routes, with their whole paths.
pub(crate) fn router() -> Router<App> {
    let at = |path: &str| format!("/api/admin/v1/{path}");
    Router::new()
        .route(&at("session"), get(show).post(sign_in).delete(sign_out))
        .route(&at("session/fresh"), post(refresh))
        .route(&at("session/tenant"), post(switch_tenant))
        .route(&at("session/password"), post(change_password))
        .route(&at("session/second-factor"), post(begin_factor).delete(remove_factor))
        .route(&at("session/second-factor/confirm"), post(confirm_factor))
        .route(&at("session/invitation"), post(accept))
        .route(&at("session/invitation/view"), post(view_invitation))
        .route(&at("session/invitation/join"), post(join))
        .route(&at("session/reset"), post(request_reset))
        .route(&at("session/reset/complete"), post(complete_reset))
        .route(&at("sessions"), get(list).delete(end_others))
        .route(&at("sessions/{id}"), delete(end))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Who is signed in, as JSON.
#[derive(Serialize)]
struct Session {
    user: User,
    tenant: Tenant,
    role: &'static str,
    method: String,
    /// RFC 3339.
    signed_in_at: String,
    /// RFC 3339; `None` for ID tokens.
    ends_at: Option<String>,
    /// Whether the sign-in is fresh enough for what needs it.
    fresh: bool,
    /// For the header `X-CSRF-Token`; `None` for ID tokens.
    csrf_token: Option<String>,
    /// All tenants the person belongs to.
    tenants: Vec<Membership>,
    second_factor: bool,
    recovery_codes_left: u64,
}

#[derive(Serialize)]
struct User {
    id: String,
    email: String,
    name: String,
}

#[derive(Serialize)]
struct Tenant {
    id: String,
    name: String,
}

#[derive(Serialize)]
struct Membership {
    id: String,
    name: String,
    role: &'static str,
}

async fn describe(app: &App, who: SignedIn) -> Result<Session, Refused> {
    let memberships = app.store().memberships(who.user).await?;
    let account = app.store().account(who.user).await?;
    let (ends_at, csrf_token) = match who.session {
        Some(session) => (Some(rfc3339(session.ends_us)), Some(session.csrf_token)),
        None => (None, None),
    };
    Ok(Session {
        user: User { id: who.user.to_string(), email: who.email, name: who.name },
        tenant: Tenant { id: who.tenant.id.to_string(), name: who.tenant.name },
        role: who.role.name(),
        method: who.method,
        signed_in_at: rfc3339(who.signed_in_us),
        ends_at,
        fresh: who.is_fresh,
        csrf_token,
        tenants: memberships
            .into_iter()
            .map(|membership| Membership {
                id: membership.tenant.id.to_string(),
                name: membership.tenant.name,
                role: membership.role.name(),
            })
            .collect(),
        second_factor: account.has_second_factor,
        recovery_codes_left: app.store().recovery_codes_left(who.user).await?,
    })
}

/// The session of a new token, with its cookie.
pub(crate) async fn begun(app: &App, token: &SessionToken) -> Result<Response, Refused> {
    let who = SignedIn::of_token(app, token).await?;
    let mut response = Json(describe(app, who).await?).into_response();
    let cookie = session_cookie(token)
        .ok_or_else(|| Refused::Unavailable("the session could not be handed over".to_owned()))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

async fn show(State(app): State<App>, who: SignedIn) -> Result<Json<Session>, Refused> {
    Ok(Json(describe(&app, who).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    email: String,
    password: Secret<String>,
    code: Option<Secret<String>>,
    tenant: Option<String>,
}

async fn sign_in(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<SignIn>,
) -> Result<Response, Refused> {
    let SignIn { email, password, code, tenant } = body;
    let token = local::sign_in(&app, &caller, Attempt { email, password, code, tenant }).await?;
    begun(&app, &token).await
}

async fn sign_out(State(app): State<App>, who: SignedIn) -> Result<Response, Refused> {
    if let Some(session) = &who.session {
        account::end_session(&app, &who, session.id).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::SET_COOKIE, clear_cookie());
    // The browser forgets what pages of this host left with it.
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\", \"storage\""));
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    password: Secret<String>,
    code: Option<Secret<String>>,
}

async fn refresh(
    State(app): State<App>,
    who: SignedIn,
    caller: Caller,
    Body(body): Body<Proof>,
) -> Result<Response, Refused> {
    let token = local::refresh(&app, &caller, &who, (body.password, body.code)).await?;
    begun(&app, &token).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchTenant {
    tenant: String,
}

async fn switch_tenant(
    State(app): State<App>,
    who: SignedIn,
    Body(body): Body<SwitchTenant>,
) -> Result<Response, Refused> {
    let token = local::switch_tenant(&app, &who, &body.tenant).await?;
    begun(&app, &token).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    current_password: Secret<String>,
    new_password: Secret<String>,
}

async fn change_password(
    State(app): State<App>,
    who: SignedIn,
    caller: Caller,
    Body(body): Body<NewPassword>,
) -> Result<StatusCode, Refused> {
    account::change_password(&app, &caller, &who, (body.current_password, body.new_password)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn begin_factor(State(app): State<App>, who: SignedIn) -> Result<Response, Refused> {
    let enrolment = account::begin_second_factor(&app, &who).await?;
    let body = serde_json::json!({
        "secret": enrolment.secret.expose(), "otpauth_url": enrolment.otpauth_url.expose(),
    });
    Ok(Json(body).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: Secret<String>,
}

async fn confirm_factor(
    State(app): State<App>,
    who: SignedIn,
    caller: Caller,
    Body(body): Body<Code>,
) -> Result<Response, Refused> {
    let codes = account::confirm_second_factor(&app, &caller, &who, &body.code).await?;
    let codes: Vec<&String> = codes.iter().map(Secret::expose).collect();
    Ok(Json(serde_json::json!({ "recovery_codes": codes })).into_response())
}

async fn remove_factor(State(app): State<App>, who: SignedIn) -> Result<StatusCode, Refused> {
    account::remove_second_factor(&app, &who).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkToken {
    token: Secret<String>,
}

async fn view_invitation(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<LinkToken>,
) -> Result<Response, Refused> {
    let seen = links::invitation(&app, &caller, &body.token).await?;
    let body = serde_json::json!({
        "tenant": seen.tenant.name, "email": seen.email, "role": seen.role.name(),
        "has_account": seen.has_account, "expires_at": rfc3339(seen.expires_us),
    });
    Ok(Json(body).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    token: Secret<String>,
    #[serde(default)]
    name: String,
    password: Secret<String>,
}

async fn accept(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Accept>,
) -> Result<Response, Refused> {
    let token = links::accept(&app, &caller, &body.token, (body.name, body.password)).await?;
    begun(&app, &token).await
}

async fn join(
    State(app): State<App>,
    who: SignedIn,
    caller: Caller,
    Body(body): Body<LinkToken>,
) -> Result<Response, Refused> {
    let token = links::join(&app, &caller, &who, &body.token).await?;
    begun(&app, &token).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    email: String,
}

async fn request_reset(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Reset>,
) -> Result<StatusCode, Refused> {
    links::request_reset(&app, &caller, body.email)?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteReset {
    token: Secret<String>,
    password: Secret<String>,
}

async fn complete_reset(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<CompleteReset>,
) -> Result<StatusCode, Refused> {
    links::complete_reset(&app, &caller, (&body.token, body.password)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(State(app): State<App>, who: SignedIn) -> Result<Response, Refused> {
    let present = who.session.as_ref().map(|session| session.id);
    let sessions = account::sessions(&app, &who).await?;
    let items: Vec<_> = sessions
        .into_iter()
        .map(|session| {
            serde_json::json!({
                "id": session.id, "current": Some(session.id) == present, "method": session.method,
                "created_at": rfc3339(session.created_us), "used_at": rfc3339(session.used_us),
                "ends_at": rfc3339(session.ends_us), "address": session.address,
                "user_agent": session.user_agent,
            })
        })
        .collect();
    Ok(Json(serde_json::json!({ "items": items })).into_response())
}

async fn end(State(app): State<App>, who: SignedIn, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    who.permit(Action::UseOwnAccount)?;
    let id: SessionId =
        id.parse().map_err(|_| Refused::NotFound("there is no such session; list them".to_owned()))?;
    account::end_session(&app, &who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end_others(State(app): State<App>, who: SignedIn) -> Result<Response, Refused> {
    let ended = account::end_other_sessions(&app, &who).await?;
    Ok(Json(serde_json::json!({ "ended": ended })).into_response())
}

/// A moment as RFC 3339.
fn rfc3339(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| String::new(), |moment| moment.to_string())
}
