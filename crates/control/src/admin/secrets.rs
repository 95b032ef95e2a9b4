//! Secrets of projects: set and removed, never read.

use tollgate_core::id::SecretId;
use tollgate_store::SecretView;
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call, moment::rfc3339, view::named};
use crate::problem::Refused;

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let all = call.store().list_secrets(Some(call.tenant())).await?;
    Answer::part(all.into_iter().map(shown), &call.page())
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let found = call.store().secret_view(call.tenant(), call.id::<SecretId>()?).await?;
    let version = found.version;
    Ok(Answer::ok(&shown(found))?.version(version))
}

pub(crate) async fn set(call: Call) -> Result<Answer, Refused> {
    let new: wire::NewSecret = call.body()?;
    let wanted = (new.project.as_str(), new.name.as_str(), &new.value);
    let made = call.store().put_secret(&call.permit, wanted, call.now_us).await?;
    call.known_here(made.seq).await;
    let (version, location) = (made.value.version, format!("{BASE}/secrets/{}", made.value.id));
    Ok(Answer::created(&shown(made.value), location)?.version(version))
}

pub(crate) async fn remove(call: Call) -> Result<Answer, Refused> {
    let (id, version) = (call.id::<SecretId>()?, call.expected_version()?);
    let done = call.store().remove_secret(&call.permit, (id, version), call.now_us).await?;
    call.known_here(done.seq).await;
    Ok(Answer::nothing())
}

fn shown(view: SecretView) -> wire::Secret {
    wire::Secret {
        id: view.id.to_string(),
        version: view.version,
        project: named(&view.project),
        name: view.name,
        created_at: rfc3339(view.created_us),
        changed_at: rfc3339(view.changed_us),
        readable: view.is_readable,
    }
}
