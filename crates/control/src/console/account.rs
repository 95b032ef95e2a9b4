//! Everybody's own account: password, second factor, sessions, tenants.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    id::{SessionId, TenantId},
    secret::Secret,
};
use tollgate_store::{Membership, SessionView};

use super::{
    consumer_form::Errors,
    shell::Shell,
    sign_in::signed_in,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::sign_in::{
    account::{change_password, end_other_sessions, end_session, sessions},
    caller::Caller,
    local::switch_tenant,
};

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    shell: Shell,
    name: String,
    method: String,
    signed_in_us: i64,
    sessions: Vec<SessionView>,
    present: Option<SessionId>,
    tenants: Vec<Membership>,
    tenant: TenantId,
    has_second_factor: bool,
    recovery_codes_left: u64,
    has_password: bool,
    is_fresh: bool,
    errors: Errors,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    page(visit, Errors::default()).await
}

async fn page(visit: Visit, errors: Errors) -> Result<Response, Trouble> {
    let account = visit.store().account(visit.who.user).await?;
    html(&Account {
        sessions: sessions(&visit.app, &visit.who).await?,
        present: visit.who.session.as_ref().map(|session| session.id),
        tenants: visit.store().memberships(visit.who.user).await?,
        tenant: visit.tenant(),
        has_second_factor: account.has_second_factor,
        recovery_codes_left: visit.store().recovery_codes_left(visit.who.user).await?,
        has_password: account.password_hash.is_some(),
        is_fresh: visit.who.is_fresh,
        name: visit.who.name.clone(),
        method: visit.who.method.clone(),
        signed_in_us: visit.who.signed_in_us,
        shell: visit.shell("Account"),
        errors,
    })
}

/// Ends one of the own sessions.
pub(crate) async fn end(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let id: SessionId = id.parse().map_err(|_| Trouble::absent("session"))?;
    end_session(&visit.app, &visit.who, id).await?;
    Ok(Redirect::to("/account?done=ended").into_response())
}

/// Ends all own sessions but the present one.
pub(crate) async fn end_others(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    end_other_sessions(&visit.app, &visit.who).await?;
    Ok(Redirect::to("/account?done=ended-all").into_response())
}

/// Changes the own password.
pub(crate) async fn password(caller: Caller, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let text = |name: &str| Secret::new(fields.exact(name).to_owned());
    let change = (text("current_password"), text("new_password"));
    match change_password(&visit.app, &caller, &visit.who, change).await {
        Ok(()) => Ok(Redirect::to("/account?done=password").into_response()),
        Err(refused) => page(visit, Errors::from(refused.into())?).await,
    }
}

/// Acts in another tenant from now on.
pub(crate) async fn tenant(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let token = switch_tenant(&visit.app, &visit.who, fields.exact("tenant")).await?;
    signed_in(&token, "/")
}
