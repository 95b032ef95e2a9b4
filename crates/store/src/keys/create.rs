//! Creating a key.

use sqlx::AnyConnection;
use tollgate_core::{
    address::parse_network,
    authz::{Action, Permit},
    field_error::FieldError,
    id::{ConsumerId, KeyId, PolicyId, ProjectId},
    key::{Digest, face, mint},
    keyring::KeyState,
    secret::Secret,
};

use super::{
    CreatedKey, NewKey,
    row::{KeyRow, NarrowingText, SecretRow, insert_keys, insert_secrets},
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    random,
    resources::{find_project, metadata_problem, to_json},
    sql::{Columns as _, one, sql},
    write::{Committed, Write},
};

/// Bytes of a key's name for people.
const NAME_BYTES_MAX: usize = 200;
/// Networks that a key may list.
const NETWORKS_MAX: usize = tollgate_core::policy::LIST_MAX;

/// Keys that are created at once.
pub const KEYS_AT_ONCE_MAX: usize = 1000;

impl Store {
    /// Creates a key of 32 random bytes. Needs `Action::ChangeKeys` in the project's tenant, or
    /// `Action::TendKeys` for the consumer when one of its keys that is not revoked has the same policy.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Ambiguous`] for names, [`StoreError::Invalid`] for what
    /// is wrong with the rest.
    pub async fn create_key(
        &self,
        permit: &Permit,
        new: NewKey,
        random: &Secret<[u8; 32]>,
        now_us: i64,
    ) -> Result<Committed<CreatedKey>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let value = create(&mut write, permit, new, (random, now_us)).await?;
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }

    /// Creates many keys, all or none: at most [`KEYS_AT_ONCE_MAX`]. Needs what
    /// [`Store::create_key`] needs for each.
    ///
    /// # Errors
    /// [`StoreError::Invalid`], with `keys[n].` before the fields of the first key that is wrong.
    pub async fn create_keys(
        &self,
        permit: &Permit,
        new: Vec<(NewKey, Secret<[u8; 32]>)>,
        now_us: i64,
    ) -> Result<Committed<Vec<CreatedKey>>, StoreError> {
        if new.is_empty() || new.len() > KEYS_AT_ONCE_MAX {
            let problem = format!("there are {} of them; give 1 to {KEYS_AT_ONCE_MAX} at once", new.len());
            return Err(StoreError::invalid("keys", problem));
        }
        let mut write = self.write(permit, now_us).await?;
        let mut value = Vec::with_capacity(new.len());
        for (index, (new, random)) in new.into_iter().enumerate() {
            let created = create(&mut write, permit, new, (&random, now_us)).await;
            value.push(created.map_err(|error| of_key(index, error))?);
        }
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }
}

/// An error of one of many keys, with its place.
fn of_key(index: usize, error: StoreError) -> StoreError {
    match error {
        StoreError::Invalid(errors) => StoreError::Invalid(
            errors
                .into_iter()
                .map(|error| FieldError { field: format!("keys[{index}].{}", error.field), ..error })
                .collect(),
        ),
        StoreError::NotFound { kind, .. } | StoreError::Ambiguous { kind, .. } => {
            StoreError::invalid(format!("keys[{index}].{kind}"), error)
        }
        other => other,
    }
}

async fn create(
    write: &mut Write<'_>,
    permit: &Permit,
    new: NewKey,
    (random, now_us): (&Secret<[u8; 32]>, i64),
) -> Result<CreatedKey, StoreError> {
    let errors = problems(&new, now_us);
    if !errors.is_empty() {
        return Err(StoreError::Invalid(errors));
    }
    let project = find_project(write.conn(), &new.project).await?;
    let consumer = consumer_named(write.conn(), project.id, &new.consumer).await?;
    let policy = match &new.policy {
        Some(name) => Some(policy_named(write.conn(), project.id, name).await?),
        None => None,
    };
    let key = mint(&project.key_prefix, new.environment, random)
        .map_err(|error| StoreError::corrupt(error.to_string()))?;
    let face = face(&project.key_prefix, new.environment, key.expose());
    let narrowing = NarrowingText { bind_host: new.bind_host, allow_ips: new.allow_ips };
    let row = KeyRow {
        id: KeyId::from_random(random::id_bytes()?),
        project: project.id,
        consumer,
        policy,
        environment: new.environment,
        state: KeyState::Active,
        name: new.name,
        expires_us: new.expires_us.unwrap_or(i64::MAX),
        narrowing: narrowing.row()?,
        metadata: if new.metadata.is_empty() { None } else { Some(to_json(&new.metadata)?) },
        prefix: face.prefix.clone(),
        last4: face.last4.clone(),
        created_us: now_us,
        version: 1,
        generation: 0,
        import: None,
    };
    // Whoever only tends keys gives a consumer no right that it does not have.
    let is_held = permit.action() == Action::TendKeys && is_held(write.conn(), &row, now_us).await?;
    insert_keys(write.conn(), std::slice::from_ref(&row)).await?;
    let digest = Digest::of(key.expose().as_bytes());
    insert_secrets(write.conn(), &[SecretRow { digest, key: row.id, generation: 0, scheme: 0 }]).await?;
    let values = (None, Some(row.audit()?));
    let change = if is_held {
        row.tended(project.tenant, "key.create", values)
    } else {
        row.change(project.tenant, "key.create", values)
    };
    write.record_of(consumer, change)?;
    Ok(CreatedKey { id: row.id, key, face, generation: 0, previous_until_us: None })
}

/// Whether the consumer has a key that may at least what this one would (I21): of the same policy and
/// environment, active, as long, and bound no closer. A key that an administrator switched off, let expire
/// or bound gives nothing.
async fn is_held(conn: &mut AnyConnection, new: &KeyRow, now_us: i64) -> Result<bool, StoreError> {
    let Some(policy) = new.policy else { return Ok(false) };
    let find = sql("SELECT id FROM keys WHERE consumer = $1 AND policy = $2 AND environment = $3 \
                    AND state = $4 AND expires_us > $5 AND expires_us >= $6 \
                    AND (narrowing IS NULL OR narrowing = $7) LIMIT 1")
    .bind(new.consumer.to_sql())
    .bind(policy.to_sql())
    .bind(new.environment as i64)
    .bind(KeyState::Active as i64)
    .bind(now_us)
    .bind(new.expires_us)
    .bind(new.narrowing.clone().unwrap_or_default());
    Ok(one(find, conn).await?.is_some())
}

fn problems(new: &NewKey, now_us: i64) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(problem) = new.name.as_deref().and_then(check_name_for_people) {
        errors.push(FieldError::new("name", problem));
    }
    if new.expires_us.is_some_and(|expires| expires <= now_us) {
        errors.push(FieldError::new("expires", "it is past already; name a later moment"));
    }
    if let Some(problem) = metadata_problem(&new.metadata) {
        errors.push(FieldError::new("metadata", problem));
    }
    if let Some(host) = new.bind_host.as_deref().filter(|host| !is_host(host)) {
        let problem = format!("`{host}` is no host name such as `build-7.example.com`");
        errors.push(FieldError::new("bind_host", problem));
    }
    let networks = new.allow_ips.as_deref().unwrap_or_default();
    if networks.len() > NETWORKS_MAX {
        let problem = format!("{} networks; at most {NETWORKS_MAX} are allowed", networks.len());
        errors.push(FieldError::new("allow_ips", problem));
    }
    for (index, network) in networks.iter().enumerate() {
        if let Err(problem) = parse_network(network) {
            errors.push(FieldError::new(format!("allow_ips[{index}]"), problem));
        }
    }
    errors
}

/// What is wrong with a key's name, if anything.
pub(crate) fn check_name_for_people(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Some(format!("it must have 1 to {NAME_BYTES_MAX} bytes"));
    }
    name.chars().any(char::is_control).then(|| "it has a control character; leave it away".to_owned())
}

/// A host name (RFC 1123 §2.1; `_` is let pass, as resolvers do) or an address.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.parse::<std::net::IpAddr>().is_ok()
        || (host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label))
}

async fn consumer_named(
    conn: &mut AnyConnection,
    project: ProjectId,
    name: &str,
) -> Result<ConsumerId, StoreError> {
    let find = sql("SELECT id FROM consumers WHERE project = $1 AND name = $2");
    let row = one(find.bind(project.to_sql()).bind(name.to_owned()), conn).await?;
    Ok(ConsumerId::from_sql(row.ok_or_else(|| StoreError::not_found(Entity::Consumer, name))?.int(0)?))
}

/// The policy of this name in a project.
pub(super) async fn policy_named(
    conn: &mut AnyConnection,
    project: ProjectId,
    name: &str,
) -> Result<PolicyId, StoreError> {
    let find = sql("SELECT id FROM policies WHERE project = $1 AND name = $2");
    let row = one(find.bind(project.to_sql()).bind(name.to_owned()), conn).await?;
    Ok(PolicyId::from_sql(row.ok_or_else(|| StoreError::not_found(Entity::Policy, name))?.int(0)?))
}
