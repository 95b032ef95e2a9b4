//! From rows to what is answered.

use tollgate_core::keyring::KeyState;
use tollgate_store::{
    CreatedKey, JobProgress, JobRow, KeyDetail, KeySecret, KeyView, Named, ResourceSpec, ResourceView,
    ServiceTokenView,
};
use tollgate_wire::admin as wire;

use super::moment::rfc3339;
use crate::problem::Refused;

/// Why a secret is not in an answer that is repeated.
pub(crate) const SHOWN_ONCE: &str = "it was shown in the first answer to this request and is stored nowhere; \
     if that answer was lost, rotate the key or create another one";

pub(crate) fn named<Id: std::fmt::Display>(named: &Named<Id>) -> wire::Named {
    wire::Named { id: named.id.to_string(), name: named.name.clone() }
}

pub(crate) const fn key_state(state: KeyState) -> wire::KeyState {
    match state {
        KeyState::Active => wire::KeyState::Active,
        KeyState::Disabled => wire::KeyState::Disabled,
        KeyState::Blocked => wire::KeyState::Blocked,
        KeyState::Revoked => wire::KeyState::Revoked,
    }
}

pub(crate) fn key(view: KeyView, now_us: i64) -> wire::Key {
    wire::Key {
        id: view.id.to_string(),
        version: view.version,
        project: named(&view.project),
        consumer: named(&view.consumer),
        policy: view.policy.as_ref().map(named),
        environment: view.face.environment.to_string(),
        prefix: view.face.prefix,
        last4: view.face.last4,
        state: key_state(view.state),
        expired: view.expires_us.is_some_and(|expires| expires <= now_us),
        name: view.name,
        expires_at: view.expires_us.map(rfc3339),
        bind_host: view.bind_host,
        allow_ips: view.allow_ips,
        metadata: view.metadata,
        created_at: rfc3339(view.created_us),
        generation: view.generation,
        last_used_at: view.last_used_us.map(rfc3339),
    }
}

pub(crate) fn key_detail(detail: KeyDetail, now_us: i64) -> wire::KeyWithSecrets {
    let secrets = detail.secrets.iter().map(secret).collect();
    wire::KeyWithSecrets { key: key(detail.key, now_us), secrets }
}

fn secret(secret: &KeySecret) -> wire::KeySecret {
    wire::KeySecret {
        generation: secret.generation,
        current: secret.until_us.is_none(),
        valid_until: secret.until_us.map(rfc3339),
        scheme: secret.scheme.to_owned(),
        last_used_at: secret.last_used_us.map(rfc3339),
        last_used_address: secret.last_used_address.map(|address| address.to_string()),
    }
}

/// A key that was just made: once with its secret, once as repetitions are told.
pub(crate) fn created_key(created: &CreatedKey) -> (wire::CreatedKey, wire::CreatedKey) {
    let kept = wire::CreatedKey {
        id: created.id.to_string(),
        key: None,
        prefix: created.face.prefix.clone(),
        environment: created.face.environment.to_string(),
        last4: created.face.last4.clone(),
        generation: created.generation,
        previous_valid_until: created.previous_until_us.map(rfc3339),
        notice: Some(SHOWN_ONCE.to_owned()),
    };
    let shown = wire::CreatedKey { key: Some(created.key.expose().to_owned()), notice: None, ..kept.clone() };
    (shown, kept)
}

pub(crate) fn token(view: ServiceTokenView) -> wire::ServiceToken {
    wire::ServiceToken {
        id: view.id.to_string(),
        name: view.name,
        services: view.services.iter().map(named).collect(),
        last4: view.last4,
        created_at: rfc3339(view.created_us),
        revoked_at: view.revoked_us.map(rfc3339),
    }
}

/// A resource as the API shows it.
#[derive(serde::Serialize)]
#[serde(untagged)]
pub(crate) enum Resource {
    Project(wire::Project),
    Service(Box<wire::Service>),
    Policy(Box<wire::Policy>),
    Consumer(wire::Consumer),
    Rule(Box<wire::Rule>),
    Meter(Box<wire::Meter>),
    Model(Option<Box<wire::Model>>),
}

pub(crate) fn resource(view: ResourceView) -> Resource {
    let (id, version, project) = (view.id.to_string(), view.version, named(&view.project));
    match view.spec {
        ResourceSpec::Project(spec) => {
            Resource::Project(wire::Project { id, version, name: spec.name, key_prefix: spec.key_prefix })
        }
        ResourceSpec::Service(spec) => {
            Resource::Service(Box::new(wire::Service { id, version, project, spec: *spec }))
        }
        ResourceSpec::Policy(spec) => {
            Resource::Policy(Box::new(wire::Policy { id, version, project, spec: *spec }))
        }
        ResourceSpec::Consumer(spec) => Resource::Consumer(wire::Consumer { id, version, project, spec }),
        ResourceSpec::Meter(spec) => {
            Resource::Meter(Box::new(wire::Meter { id, version, project, spec: *spec }))
        }
        // Its own endpoints show more: how it is on the node that answers.
        ResourceSpec::Model(_) => Resource::Model(super::models::shown(view, &[]).map(Box::new)),
        ResourceSpec::Rule(spec) => {
            Resource::Rule(Box::new(wire::Rule { id, version, project, spec: *spec }))
        }
    }
}

pub(crate) fn job(row: JobRow) -> Result<wire::Job, Refused> {
    let request = serde_json::from_str(&row.request).map_err(|error| {
        tracing::error!(%error, job = %row.id, "the request of a job cannot be read");
        Refused::Unavailable("the job cannot be read; a later Tollgate wrote it".to_owned())
    })?;
    Ok(wire::Job {
        id: row.id.to_string(),
        request,
        actor: row.actor,
        state: match row.progress {
            JobProgress::Running => wire::JobState::Running,
            JobProgress::Done => wire::JobState::Done,
            JobProgress::Failed => wire::JobState::Failed,
            JobProgress::Cancelled => wire::JobState::Cancelled,
            JobProgress::Lost => wire::JobState::Lost,
        },
        total: row.total,
        done: row.done,
        changed: row.changed,
        error: row.error,
        created_at: rfc3339(row.created_us),
        updated_at: rfc3339(row.updated_us),
    })
}
