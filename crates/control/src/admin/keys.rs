//! Keys. The whole key is in the answers of create and rotate and nowhere else (I6).

use tollgate_core::{
    authz::Action,
    id::{ConsumerId, KeyId},
    key::Environment,
    keyring::KeyState,
    secret::Secret,
    time::Span,
};
use tollgate_store::{Committed, KeyDetail, KeyEdit, KeyFilter, KeyView, NewKey, Rotation, Waited};
use tollgate_wire::admin as wire;

use super::{
    BASE,
    answer::Answer,
    call::Call,
    moment::{expiry_us, micros},
    view,
};
use crate::problem::Refused;

/// How long the present secret stays valid after a rotation, when it is not said.
const OVERLAP: Span = Span::from_secs(86_400);

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let mut filter = filter_of(&call, call.query.text("project")).await?;
    let query = &call.query;
    filter.consumer = query.owned("consumer");
    filter.policy = query.owned("policy");
    filter.state = query.text("state").and_then(state_named);
    filter.environment = query.text("environment").and_then(|text| text.parse().ok());
    filter.search = query.owned("search");
    filter.expires_before_us = query.text("expires_before").and_then(|text| {
        // A length of time looks ahead here: what expires within 30d.
        expiry_us(text, call.now_us).ok().flatten()
    });
    filter.job = match query.text("job").map(str::parse) {
        None => None,
        Some(Ok(job)) => Some(job),
        Some(Err(_)) => return Err(Refused::invalid("job", "it is the id of no job")),
    };
    filter.metadata = match query.text("metadata").map(|text| text.split_once('=')) {
        None => None,
        Some(Some((name, value))) => Some((name.to_owned(), value.to_owned())),
        Some(None) => return Err(Refused::invalid("metadata", "write `name=value`")),
    };
    let page = call.store().list_keys(&filter, &call.page()).await?;
    let items = page.items.into_iter().map(|key| view::key(key, call.now_us)).collect();
    Answer::ok(&wire::List { items, next: page.next })
}

/// The keys that whoever calls may see, of one project where it is named.
pub(crate) async fn filter_of(call: &Call, project: Option<&str>) -> Result<KeyFilter, Refused> {
    let mut filter = KeyFilter {
        tenant: Some(call.tenant()),
        consumers: call.permit.consumers().map(<[ConsumerId]>::to_vec),
        ..KeyFilter::default()
    };
    if let Some(project) = project {
        filter.project = Some(full_name(call, project).await?);
    }
    Ok(filter)
}

/// The project's name with that of its tenant, which is never ambiguous.
async fn full_name(call: &Call, project: &str) -> Result<String, Refused> {
    let found = call.store().project_of(call.scope(), project).await?;
    Ok(format!("{}/{}", call.who.tenant.name, found.name))
}

fn state_named(name: &str) -> Option<KeyState> {
    [KeyState::Active, KeyState::Disabled, KeyState::Blocked, KeyState::Revoked]
        .into_iter()
        .find(|state| state.name() == name)
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let detail = visible(&call).await?;
    let version = u64::from(detail.key.version);
    Ok(Answer::ok(&view::key_detail(detail, call.now_us))?.version(version))
}

/// The key of the path, if whoever calls may see it.
async fn visible(call: &Call) -> Result<KeyDetail, Refused> {
    let id: KeyId = call.id()?;
    let detail = call.store().key_of(call.tenant(), id).await?;
    let is_own = call.permit.consumers().is_none_or(|own| own.contains(&detail.key.consumer.id));
    if is_own {
        return Ok(detail);
    }
    Err(Refused::NotFound(format!("there is no key `{id}`; list them, or correct the id")))
}

pub(crate) async fn create(call: Call) -> Result<Answer, Refused> {
    let asked: wire::NewKey = call.body()?;
    let new = new_key(&call, asked).await?;
    // Whoever may give any policy does so by that right; others by what their consumers hold.
    let permit = call.right(Action::ChangeKeys).unwrap_or_else(|_| call.permit.clone());
    let made = call.store().create_key(&permit, new, &random_secret()?, call.now_us).await?;
    call.known_here(made.seq).await;
    let (shown, kept) = view::created_key(&made.value);
    Answer::created(&shown, format!("{BASE}/keys/{}", made.value.id))?.version(1).shown_once(&kept)
}

pub(crate) async fn create_many(call: Call) -> Result<Answer, Refused> {
    let asked: wire::NewKeys = call.body()?;
    if asked.keys.len() > tollgate_store::KEYS_AT_ONCE_MAX {
        let problem = format!("at most {} at once; send several requests", tollgate_store::KEYS_AT_ONCE_MAX);
        return Err(Refused::invalid("keys", problem));
    }
    let mut new = Vec::with_capacity(asked.keys.len());
    for (index, key) in asked.keys.into_iter().enumerate() {
        let key = new_key(&call, key).await.map_err(|refused| of_key(index, refused))?;
        new.push((key, random_secret()?));
    }
    let made = call.store().create_keys(&call.permit, new, call.now_us).await?;
    call.known_here(made.seq).await;
    let (shown, kept) = made.value.iter().map(view::created_key).unzip();
    let location = format!("{BASE}/keys");
    Answer::created(&wire::CreatedKeys { items: shown }, location)?
        .shown_once(&wire::CreatedKeys { items: kept })
}

fn of_key(index: usize, refused: Refused) -> Refused {
    match refused {
        Refused::Invalid(mut errors) => {
            for error in &mut errors {
                error.field = format!("keys[{index}].{}", error.field);
            }
            Refused::Invalid(errors)
        }
        other => other,
    }
}

async fn new_key(call: &Call, asked: wire::NewKey) -> Result<NewKey, Refused> {
    let environment = match asked.environment.as_deref() {
        None => Environment::Live,
        Some(text) => text.parse().map_err(|_| Refused::invalid("environment", "write `live` or `test`"))?,
    };
    let expires_us = match &asked.expires {
        None => None,
        Some(text) => expiry_us(text, call.now_us).map_err(|problem| Refused::invalid("expires", problem))?,
    };
    let project = match full_name(call, &asked.project).await {
        Err(Refused::NotFound(problem)) => return Err(Refused::invalid("project", problem)),
        outcome => outcome?,
    };
    Ok(NewKey {
        project,
        consumer: asked.consumer,
        policy: asked.policy,
        environment,
        name: asked.name,
        expires_us,
        bind_host: asked.bind_host,
        allow_ips: asked.allow_ips,
        metadata: asked.metadata,
    })
}

pub(crate) async fn change(call: Call) -> Result<Answer, Refused> {
    let expected = call.expected_version()?;
    let asked: wire::KeyChange = call.body()?;
    let id = visible(&call).await?.key.id;
    let expires_us = match &asked.expires {
        None => None,
        Some(text) => {
            Some(expiry_us(text, call.now_us).map_err(|problem| Refused::invalid("expires", problem))?)
        }
    };
    let edit = KeyEdit {
        id,
        version: expected.map(|version| u32::try_from(version).unwrap_or(0)),
        name: asked.name,
        policy: asked.policy,
        expires_us,
        metadata: asked.metadata,
    };
    let done = call.store().edit_key(&call.permit, edit, call.now_us).await?;
    shown(call, done).await
}

async fn shown(call: Call, done: Committed<KeyView>) -> Result<Answer, Refused> {
    call.known_here(done.seq).await;
    let version = u64::from(done.value.version);
    Ok(Answer::ok(&view::key(done.value, call.now_us))?.version(version))
}

pub(crate) async fn disable(call: Call) -> Result<Answer, Refused> {
    let done = switch(&call, KeyState::Disabled).await?;
    shown(call, done).await
}

pub(crate) async fn enable(call: Call) -> Result<Answer, Refused> {
    let done = switch(&call, KeyState::Active).await?;
    shown(call, done).await
}

async fn switch(call: &Call, state: KeyState) -> Result<Committed<KeyView>, Refused> {
    let id = visible(call).await?.key.id;
    Ok(call.store().set_key_state(&call.permit, id, state, call.now_us).await?)
}

pub(crate) async fn expire(call: Call) -> Result<Answer, Refused> {
    let id = visible(&call).await?.key.id;
    let done = call.store().set_key_expiry(&call.permit, id, Some(call.now_us), call.now_us).await?;
    shown(call, done).await
}

pub(crate) async fn revoke(call: Call) -> Result<Answer, Refused> {
    let done = switch(&call, KeyState::Revoked).await?;
    let waited = if call.query.flag("wait") {
        let clock = &call.app().control().clock;
        let committed_ns = clock.now().mono_ns;
        Some(match call.store().wait_applied(done.seq, committed_ns, clock.as_ref()).await? {
            Waited::AllApplied => wire::Waited::AllApplied,
            Waited::LeaseElapsed => wire::Waited::LeaseElapsed,
        })
    } else {
        call.known_here(done.seq).await;
        None
    };
    let version = u64::from(done.value.version);
    let body = wire::RevokedKey { key: view::key(done.value, call.now_us), waited };
    Ok(Answer::ok(&body)?.version(version))
}

pub(crate) async fn rotate(call: Call) -> Result<Answer, Refused> {
    let asked: wire::Rotate = call.body_or_default()?;
    let overlap = match asked.overlap.as_deref().map(str::parse::<Span>) {
        None => OVERLAP,
        Some(Ok(overlap)) => overlap,
        Some(Err(error)) => return Err(Refused::invalid("overlap", error)),
    };
    let id = visible(&call).await?.key.id;
    let rotation = Rotation { id, overlap_us: micros(overlap) };
    let done = call.store().rotate_key(&call.permit, rotation, &random_secret()?, call.now_us).await?;
    call.known_here(done.seq).await;
    let (shown, kept) = view::created_key(&done.value);
    Answer::ok(&shown)?.shown_once(&kept)
}

/// 32 bytes of the operating system.
pub(crate) fn random_secret() -> Result<Secret<[u8; 32]>, Refused> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system gave no random numbers");
        Refused::Unavailable("the operating system gave no random numbers; try again".to_owned())
    })?;
    Ok(Secret::new(bytes))
}
