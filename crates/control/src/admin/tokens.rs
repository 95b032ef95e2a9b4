//! Tokens of the service API.

use tollgate_core::id::ServiceTokenId;
use tollgate_store::{NewServiceToken, ServiceTokenView};
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call, keys::random_secret, view};
use crate::problem::Refused;

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let page = call.store().service_tokens_of(call.tenant(), &call.page()).await?;
    let items = page.items.into_iter().map(view::token).collect();
    Answer::ok(&wire::List { items, next: page.next })
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let token = visible(&call).await?;
    Answer::ok(&view::token(token))
}

async fn visible(call: &Call) -> Result<ServiceTokenView, Refused> {
    let id: ServiceTokenId = call.id()?;
    Ok(call.store().service_token_of(call.tenant(), id).await?)
}

pub(crate) async fn create(call: Call) -> Result<Answer, Refused> {
    let asked: wire::NewServiceToken = call.body()?;
    let mut services = Vec::with_capacity(asked.services.len());
    for (index, name) in asked.services.iter().enumerate() {
        let found = call.store().service_of(call.tenant(), name).await;
        let found = found.map_err(|error| match error.cause() {
            None => Refused::invalid(&format!("services[{index}]"), error),
            Some(_) => error.into(),
        })?;
        // By id: a name may be somebody else's too.
        services.push(found.id.to_string());
    }
    let name = asked.name.clone();
    let tenant = Some(call.who.tenant.name.clone());
    let new = NewServiceToken { name: asked.name, tenant, services };
    let made = call.store().create_service_token(&call.permit, new, &random_secret()?, call.now_us).await?;
    call.known_here(made.seq).await;
    let id = made.value.id.to_string();
    let token = Some(made.value.token.expose().to_owned());
    let location = format!("{BASE}/service-tokens/{id}");
    let kept = wire::CreatedServiceToken { id, name, token: None, notice: Some(view::SHOWN_ONCE.to_owned()) };
    let shown = wire::CreatedServiceToken { token, notice: None, ..kept.clone() };
    Answer::created(&shown, location)?.shown_once(&kept)
}

pub(crate) async fn revoke(call: Call) -> Result<Answer, Refused> {
    let id = visible(&call).await?.id;
    let done = call.store().revoke_service_token(&call.permit, id, call.now_us).await?;
    call.known_here(done.seq).await;
    Ok(Answer::nothing())
}
