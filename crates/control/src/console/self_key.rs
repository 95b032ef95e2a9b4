//! One key on a consumer's own pages: its state, what it may do, how far its rotation is.

use askama::Template;
use axum::{extract::Path, response::Response};
use tollgate_core::{authz::Action, keyring::KeyState};
use tollgate_store::{KeyDetail, KeyView, UsageSums};

use super::{
    key::{Rotation, Traffic, policy_of, recent, rotation, seen, title, traffic, usage_of},
    policy_words::{Sentence, of_key, of_policy},
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
    words::DAY_US,
};

#[derive(Template)]
#[template(path = "own_key.html")]
struct Page {
    shell: Shell,
    key: KeyView,
    title: String,
    rotation: Option<Rotation>,
    sentences: Vec<Sentence>,
    traffic: Traffic,
    month: UsageSums,
    is_live: bool,
    may_rotate: bool,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadKeys)?;
    let KeyDetail { key, secrets } = seen(&visit, &permit, &id).await?;
    let recent = recent(&visit, &key).await?;
    let policy = match &key.policy {
        Some(policy) => policy_of(&visit, policy.id).await?,
        None => None,
    };
    let mut sentences = policy.map(|spec| of_policy(&spec)).unwrap_or_default();
    sentences.extend(of_key(&key));
    html(&Page {
        title: title(&key),
        rotation: rotation(secrets, &recent, visit.now_us),
        sentences,
        traffic: traffic(&visit, &key, &recent).await?,
        month: usage_of(&visit, &key, 30 * DAY_US).await?,
        is_live: key.state != KeyState::Revoked,
        may_rotate: visit.may(Action::RotateKeys),
        shell: visit.shell(format!("{}, key", title(&key))),
        key,
    })
}
