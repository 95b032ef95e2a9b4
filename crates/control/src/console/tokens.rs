//! Tokens of the service API: listed, made, revoked. A whole token is in the answer that made it.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{authz::Action, id::ServiceTokenId};
use tollgate_store::{NewServiceToken, ServiceTokenView};

use super::{
    consumer_form::Errors,
    once,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit, random_secret},
};

#[derive(Template)]
#[template(path = "tokens.html")]
struct Page {
    shell: Shell,
    tokens: Vec<ServiceTokenView>,
    older: Option<String>,
    may_change: bool,
    once: String,
    name: String,
    services: String,
    errors: Errors,
}

/// The one page with a whole token.
#[derive(Template)]
#[template(path = "token_created.html")]
struct Created<'a> {
    shell: Shell,
    name: &'a str,
    id: ServiceTokenId,
    secret: &'a str,
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    page(&visit, (String::new(), String::new()), Errors::default()).await
}

async fn page(visit: &Visit, typed: (String, String), errors: Errors) -> Result<Response, Trouble> {
    visit.permit(Action::ReadServiceTokens)?;
    let found = visit.store().service_tokens_of(visit.tenant(), &visit.rows()).await?;
    html(&Page {
        tokens: found.items,
        older: visit.older(found.next.as_deref()),
        may_change: visit.may_all(Action::ChangeServiceTokens),
        once: once::name()?,
        name: typed.0,
        services: typed.1,
        errors,
        shell: visit.shell("Service tokens"),
    })
}

/// Makes a token and shows it, once.
pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    once::whole(create_whole(posted)).await
}

async fn create_whole(posted: Posted) -> Result<Response, Trouble> {
    let permit = posted.visit.permit(Action::ChangeServiceTokens)?;
    let name = posted.fields.owned("name").unwrap_or_default();
    let typed = posted.fields.exact("services").to_owned();
    let first = match once::take(&posted, &format!("token {name}")).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let visit = &posted.visit;
    let made = async {
        let mut services = Vec::new();
        for service in posted.fields.lines("services") {
            // By id: a name may be somebody else's too.
            services.push(visit.store().service_of(visit.tenant(), &service).await?.id.to_string());
        }
        let tenant = Some(visit.who.tenant.name.clone());
        let new = NewServiceToken { name: name.clone(), tenant, services };
        let random = random_secret()?;
        Ok::<_, Trouble>(visit.store().create_service_token(&permit, new, &random, visit.now_us).await?)
    };
    match made.await {
        Ok(made) => {
            visit.known_here(made.seq).await;
            first.done(visit, "/settings/tokens".to_owned()).await;
            let shell = visit.shell("Service token");
            html(&Created { shell, name: &name, id: made.value.id, secret: made.value.token.expose() })
        }
        Err(trouble) => {
            first.undone(visit, &trouble).await;
            page(visit, (name, typed), Errors::from(trouble)?).await
        }
    }
}

/// Revokes a token for good.
pub(crate) async fn revoke(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeServiceTokens)?;
    let id: ServiceTokenId = id.parse().map_err(|_| Trouble::absent("service token"))?;
    let token = visit.store().service_token_of(visit.tenant(), id).await?;
    let done = visit.store().revoke_service_token(&permit, token.id, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(Redirect::to("/settings/tokens?done=token-revoked").into_response())
}
