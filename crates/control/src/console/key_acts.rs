//! What is done to a key: rotate, finish a rotation, disable, enable, revoke, edit. Whatever breaks or
//! ends something asks first, on a page that names what it will break.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{authz::Action, id::KeyId, keyring::KeyState, time::Span};
use tollgate_store::{KeyDetail, KeyEdit, KeyView, Rotation as NewRotation};

use super::{
    consumer_form::tags,
    key::{Rotation, Traffic, recent, rotation, seen, title, traffic},
    new_key::shown_once,
    once,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit, random_secret},
};
use crate::problem::Refused;

#[derive(Template)]
#[template(path = "key_ask.html")]
struct Ask {
    shell: Shell,
    /// Where the pages of keys are.
    base: &'static str,
    act: Act,
    key: KeyView,
    title: String,
    traffic: Traffic,
    rotation: Option<Rotation>,
    /// The name of the form, for those that show a secret.
    once: String,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Rotate,
    Finish,
    Disable,
    Revoke,
}

impl Act {
    /// The verb of heading and button.
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Rotate => "Rotate",
            Self::Finish => "Finish the rotation of",
            Self::Disable => "Disable",
            Self::Revoke => "Revoke",
        }
    }

    const fn needs(self) -> Action {
        match self {
            Self::Rotate | Self::Finish => Action::RotateKeys,
            Self::Disable | Self::Revoke => Action::TendKeys,
        }
    }

    /// The last part of the path.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Rotate => "rotate",
            Self::Finish => "finish",
            Self::Disable => "disable",
            Self::Revoke => "revoke",
        }
    }
}

async fn ask(visit: Visit, id: &str, act: Act) -> Result<Response, Trouble> {
    let permit = visit.permit(act.needs())?;
    let KeyDetail { key, secrets } = seen(&visit, &permit, id).await?;
    let recent = recent(&visit, &key).await?;
    let title = title(&key);
    html(&Ask {
        traffic: traffic(&visit, &key, &recent).await?,
        rotation: rotation(secrets, &recent, visit.now_us),
        once: once::name()?,
        base: visit.keys_base(),
        shell: visit.shell(format!("{} {title}", act.verb())),
        act,
        key,
        title,
    })
}

pub(crate) async fn ask_rotate(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    ask(visit, &id, Act::Rotate).await
}

pub(crate) async fn ask_finish(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    ask(visit, &id, Act::Finish).await
}

pub(crate) async fn ask_disable(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    ask(visit, &id, Act::Disable).await
}

pub(crate) async fn ask_revoke(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    ask(visit, &id, Act::Revoke).await
}

/// Gives a key a new secret and shows it, once.
pub(crate) async fn rotate(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    once::whole(rotate_whole(id, posted)).await
}

async fn rotate_whole(id: String, posted: Posted) -> Result<Response, Trouble> {
    let permit = posted.visit.permit(Action::RotateKeys)?;
    let key = seen(&posted.visit, &permit, &id).await?.key;
    let overlap: Span = match posted.fields.text("overlap").map(str::parse) {
        None => Span::from_secs(86_400),
        Some(Ok(overlap)) => overlap,
        Some(Err(error)) => return Err(Refused::invalid("overlap", error).into()),
    };
    let first = match once::take(&posted, &format!("rotate {}", key.id)).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let visit = &posted.visit;
    let overlap_us = i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX);
    let rotation = NewRotation { id: key.id, overlap_us };
    let done = visit.store().rotate_key(&permit, rotation, &random_secret()?, visit.now_us).await;
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            let trouble = error.into();
            first.undone(visit, &trouble).await;
            return Err(trouble);
        }
    };
    visit.known_here(done.seq).await;
    first.done(visit, format!("{}/{}", visit.keys_base(), key.id)).await;
    shown_once(visit, &done.value, &key).await
}

/// Ends the older secrets of a rotation now.
pub(crate) async fn finish(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::RotateKeys)?;
    let key = seen(&visit, &permit, &id).await?.key;
    let done = visit.store().finish_rotation(&permit, key.id, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(back(&visit, key.id, "finished"))
}

pub(crate) async fn disable(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    switch(posted, &id, (Action::TendKeys, KeyState::Disabled), "disabled").await
}

pub(crate) async fn enable(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    switch(posted, &id, (Action::ChangeKeys, KeyState::Active), "enabled").await
}

/// Revokes a key for good, once its last four characters were typed.
pub(crate) async fn revoke(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let permit = posted.visit.permit(Action::TendKeys)?;
    let key = seen(&posted.visit, &permit, &id).await?.key;
    if posted.fields.text("last4") != Some(&*key.face.last4) {
        let problem = format!("type `{}`, the last four characters of this key", key.face.last4);
        return Err(Refused::invalid("last4", problem).into());
    }
    switch(posted, &id, (Action::TendKeys, KeyState::Revoked), "revoked").await
}

async fn switch(
    posted: Posted,
    id: &str,
    (action, state): (Action, KeyState),
    told: &str,
) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(action)?;
    let key = seen(&visit, &permit, id).await?.key;
    let done = visit.store().set_key_state(&permit, key.id, state, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(back(&visit, key.id, told))
}

/// Changes name, policy, expiry and tags of a key. What the form does not have stays.
pub(crate) async fn edit(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeKeys)?;
    let key = seen(&visit, &permit, &id).await?.key;
    let expires_us = match fields.text("expires") {
        None => None,
        Some(text) => Some(super::new_key::expiry(text, visit.now_us)?),
    };
    let metadata = match fields.has("metadata") {
        true => Some(tags(fields.exact("metadata")).map_err(Refused::Invalid)?),
        false => None,
    };
    let edit = KeyEdit {
        id: key.id,
        version: fields.text("version").and_then(|text| text.parse().ok()),
        name: Some(fields.owned("name")),
        policy: fields.owned("policy").map(Some),
        expires_us,
        metadata,
    };
    let done = visit.store().edit_key(&permit, edit, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(back(&visit, key.id, "saved"))
}

fn back(visit: &Visit, id: KeyId, told: &str) -> Response {
    Redirect::to(&format!("{}/{id}?done={told}", visit.keys_base())).into_response()
}
