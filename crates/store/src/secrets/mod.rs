//! Secrets that are kept encrypted: credentials of providers by project and name, the second factors of people,
//! the keys of imported HMACs.
//!
//! - Nothing gives a secret back but to the node that needs it: [`Store::put_secret`] takes one, and there is no
//!   reading it. What is in the audit is its name.
//! - It is bound to its place (installation, project, name): a row moved elsewhere cannot be decrypted.
//! - The keys are in a file outside the database. `meta` has the name of the one that new secrets are encrypted
//!   under, so that two nodes with different files never each use their own.
//!
//! | module | holds |
//! | --- | --- |
//! | `seal` | encrypting and decrypting, bound to a place |
//! | `rewrap` | everything encrypted anew under another key |
//! | `moved` | what former versions kept in the clear, encrypted at start |

mod moved;
mod rewrap;
mod seal;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    field_error::FieldError,
    id::{ProjectId, SecretId, TenantId},
    llm_spec::CredentialSpec,
    secret::Secret,
};

pub use rewrap::Rewrapped;
pub(crate) use seal::{Place, Sealer};

use self::seal::{key_of, present_name};
use crate::{
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    random,
    resources::{State, find_project, same_version},
    sql::{Columns as _, Row, all, one, only, run, sql},
    write::{Change, Committed, Write},
};

/// The longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 8192;
/// Secrets that a project may have.
const SECRETS_PER_PROJECT_MAX: u64 = 1000;

/// A secret as it may be shown: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretView {
    /// Its id.
    pub id: SecretId,
    /// Its project.
    pub project: Named<ProjectId>,
    /// Its name, unique in the project.
    pub name: String,
    /// 1 when it is new, one more each time it is set.
    pub version: u64,
    /// When it was first set, wall microseconds.
    pub created_us: i64,
    /// When it was last set, wall microseconds.
    pub changed_us: i64,
    /// Whether this node has the key that it is encrypted under.
    pub is_readable: bool,
}

/// How the secrets of an installation are, for `doctor` and the start of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsCheck {
    /// The file of keys.
    pub file: Option<PathBuf>,
    /// The name of the key that new secrets are encrypted under; `None` before the first secret.
    pub key: Option<String>,
    /// Secrets of all kinds.
    pub count: u64,
    /// Of these, what this node cannot decrypt, in words that name each.
    pub unreadable: Vec<String>,
    /// What is wrong with the file of keys.
    pub problem: Option<String>,
}

/// Rows of all kinds that hold something encrypted: place, words for it, what is encrypted.
pub(super) struct Sealed {
    pub(super) place: OwnPlace,
    pub(super) words: String,
    pub(super) bytes: Vec<u8>,
}

/// A place that owns its name.
pub(super) enum OwnPlace {
    Secret { id: i64, project: ProjectId, name: String },
    SecondFactor { account: i64, is_pending: bool },
    Hmac(i64),
    Webhook { webhook: i64, number: i64 },
}

impl OwnPlace {
    pub(super) fn borrowed(&self) -> Place<'_> {
        match self {
            Self::Secret { project, name, .. } => Place::Secret(*project, name),
            Self::SecondFactor { account, .. } => Place::SecondFactor(*account),
            Self::Hmac(id) => Place::Hmac(*id),
            Self::Webhook { webhook, number } => Place::Webhook { webhook: *webhook, number: *number },
        }
    }
}

impl Store {
    /// Encrypts and decrypts; refuses where no file of keys is configured.
    pub(crate) async fn sealer(&self, conn: &mut AnyConnection) -> Result<Sealer<'_>, StoreError> {
        let file = self.key_file().ok_or_else(|| StoreError::Unavailable {
            public: "no file for the keys of secrets is configured; set `secrets.key_file`".to_owned(),
            cause: "the store was opened without one".to_owned(),
        })?;
        Sealer::new(file, conn).await
    }

    /// Sets a secret of a project (`name` or `tenant/name`), new or in place of the one before. Needs
    /// `Action::ChangeProviderCredentials` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the project, [`StoreError::Invalid`] for a name or a value that cannot be
    /// one, [`StoreError::Unavailable`] when the key is not there.
    pub async fn put_secret(
        &self,
        permit: &Permit,
        (project, name, value): (&str, &str, &Secret<String>),
        now_us: i64,
    ) -> Result<Committed<SecretView>, StoreError> {
        check(name, value)?;
        let mut write = self.write(permit, now_us).await?;
        let project = permitted_project(&mut write, project).await?;
        let sealer = self.sealer(write.conn()).await?;
        let place = Place::Secret(project.id, name);
        let sealed = sealer.seal(write.conn(), place, value.expose().as_bytes()).await?;
        let find = sql("SELECT id, version FROM secrets WHERE project = $1 AND name = $2");
        let present = one(find.bind(project.id.to_sql()).bind(name.to_owned()), write.conn()).await?;
        let (id, version) = match present {
            Some(row) => (row.int(0)?, row.count(1)? + 1),
            None => ((u64::from_le_bytes(random::id_bytes()?) >> 1) as i64, 1),
        };
        let statement = if version == 1 {
            let count = sql("SELECT COUNT(*) FROM secrets WHERE project = $1").bind(project.id.to_sql());
            if only(count, write.conn()).await?.count(0)? >= SECRETS_PER_PROJECT_MAX {
                let problem =
                    format!("this project has {SECRETS_PER_PROJECT_MAX} secrets; remove some first");
                return Err(StoreError::Conflict(problem));
            }
            let insert = "INSERT INTO secrets (id, project, name, sealed, version, created_us, changed_us) \
                          VALUES ($1, $2, $3, $4, 1, $5, $5)";
            sql(insert).bind(id).bind(project.id.to_sql()).bind(name.to_owned()).bind(sealed).bind(now_us)
        } else {
            let update = "UPDATE secrets SET sealed = $1, version = $2, changed_us = $3 WHERE id = $4";
            sql(update).bind(sealed).bind(version as i64).bind(now_us).bind(id)
        };
        run(statement, write.conn()).await?;
        let action = if version == 1 { "secret.create" } else { "secret.set" };
        write.record(change(action, (id, version), (project.tenant, &project.full_name(), name), true))?;
        let text = format!("{SELECT} WHERE s.id = $1");
        let row = only(crate::sql::built(text).bind(id), write.conn()).await?;
        let value = view(&row, Some(&sealer))?;
        Ok(Committed { value, seq: write.commit().await? })
    }

    /// The secrets of a tenant, or with `None` of the whole installation, by project and name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_secrets(&self, tenant: Option<TenantId>) -> Result<Vec<SecretView>, StoreError> {
        let mut conn = self.reader().await?;
        let sealer = self.sealer(&mut conn).await.ok();
        let order = "ORDER BY t.name, p.name, s.name";
        let statement = match tenant {
            Some(tenant) => {
                crate::sql::built(format!("{SELECT} WHERE t.id = $1 {order}")).bind(tenant.to_sql())
            }
            None => crate::sql::built(format!("{SELECT} {order}")),
        };
        all(statement, &mut conn).await?.iter().map(|row| view(row, sealer.as_ref())).collect()
    }

    /// A secret of a tenant, without the secret.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn secret_view(&self, tenant: TenantId, id: SecretId) -> Result<SecretView, StoreError> {
        let found = self.list_secrets(Some(tenant)).await?.into_iter().find(|secret| secret.id == id);
        found.ok_or_else(|| StoreError::not_found(Entity::Secret, id))
    }

    /// The secret of a project (`name` or `tenant/name`), without the secret.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn find_secret(&self, project: &str, name: &str) -> Result<SecretView, StoreError> {
        let mut conn = self.reader().await?;
        let project = find_project(&mut conn, project).await?;
        drop(conn);
        let own = self.list_secrets(Some(project.tenant)).await?;
        let found = own.into_iter().find(|secret| secret.project.id == project.id && secret.name == name);
        found.ok_or_else(|| StoreError::not_found(Entity::Secret, name))
    }

    /// Removes a secret that no service names. Needs `Action::ChangeProviderCredentials` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Conflict`] naming the service.
    pub async fn remove_secret(
        &self,
        permit: &Permit,
        (id, version): (SecretId, Option<u64>),
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let text = "SELECT s.project, s.name, s.version, p.tenant, p.name, t.name FROM secrets s \
                    JOIN projects p ON p.id = s.project JOIN tenants t ON t.id = p.tenant WHERE s.id = $1";
        let row = one(sql(text).bind(id.to_sql()), write.conn()).await?;
        let row = row.ok_or_else(|| StoreError::not_found(Entity::Secret, id))?;
        let (project, name) = (ProjectId::from_sql(row.int(0)?), row.text(1)?.to_owned());
        let tenant = TenantId::from_sql(row.int(3)?);
        if !write.permit().covers(Action::ChangeProviderCredentials, Some(tenant)) {
            return Err(StoreError::not_found(Entity::Secret, id));
        }
        let present = row.count(2)?;
        same_version(Entity::Secret, present, version)?;
        let state = State::load(write.conn()).await?;
        let named = CredentialSpec::Secret(name.clone());
        let user = state.services.iter().find(|service| {
            service.project == project
                && service.spec.credentials_named().any(|credential| *credential == named)
        });
        if let Some(service) = user {
            return Err(StoreError::Conflict(format!(
                "service `{}` sends it; give that another credential first",
                service.spec.name
            )));
        }
        run(sql("DELETE FROM secrets WHERE id = $1").bind(id.to_sql()), write.conn()).await?;
        let full = format!("{}/{}", row.text(5)?, row.text(4)?);
        write.record(change("secret.delete", (id.to_sql(), present + 1), (tenant, &full, &name), false))?;
        Ok(Committed { value: (), seq: write.commit().await? })
    }

    /// Whether this node can decrypt everything that is encrypted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn check_secrets(&self) -> Result<SecretsCheck, StoreError> {
        let mut conn = self.reader().await?;
        let key = present_name(&mut conn).await?;
        let rows = everything(&mut conn).await?;
        let count = rows.len() as u64;
        let file = self.key_file().map(|file| file.path().to_owned());
        let mut check = SecretsCheck {
            file,
            key: key.map(|key| key.to_string()),
            count,
            unreadable: Vec::new(),
            problem: None,
        };
        let sealer = match self.sealer(&mut conn).await {
            Ok(sealer) => sealer,
            Err(error) => {
                return Ok(SecretsCheck { problem: (count > 0).then(|| error.to_string()), ..check });
            }
        };
        if let Some(key) = key {
            check.problem = match sealer.has(key) {
                Ok(true) => None,
                Ok(false) => Some(sealer.missing(key).to_string()),
                Err(error) => Some(error.to_string()),
            };
        }
        let unreadable =
            rows.into_iter().filter(|row| sealer.open(row.place.borrowed(), &row.bytes).is_err());
        check.unreadable = unreadable.map(|row| row.words).collect();
        Ok(check)
    }
}

/// Every secret of every project that this node can decrypt, for its tables. What it cannot is told in the log.
pub(crate) async fn decrypted(
    store: &Store,
    conn: &mut AnyConnection,
) -> Result<HashMap<(ProjectId, Box<str>), Arc<Secret<String>>>, StoreError> {
    let rows = all(sql("SELECT project, name, sealed FROM secrets"), conn).await?;
    let mut secrets = HashMap::with_capacity(rows.len());
    if rows.is_empty() {
        return Ok(secrets);
    }
    let sealer = match store.sealer(conn).await {
        Ok(sealer) => sealer,
        Err(error) => {
            tracing::error!(%error, "secrets cannot be decrypted; services that need one answer 503");
            return Ok(secrets);
        }
    };
    for row in &rows {
        let (project, name) = (ProjectId::from_sql(row.int(0)?), row.text(1)?);
        match sealer.open(Place::Secret(project, name), row.blob(2)?) {
            Ok(plain) => {
                let text = String::from_utf8(plain.expose().clone())
                    .map_err(|_| StoreError::corrupt("a secret is no text"))?;
                secrets.insert((project, Box::from(name)), Arc::new(Secret::new(text)));
            }
            Err(error) => {
                tracing::error!(%project, secret = name, %error, "a secret cannot be decrypted; services that need it answer 503");
            }
        }
    }
    Ok(secrets)
}

/// Everything that is encrypted.
pub(super) async fn everything(conn: &mut AnyConnection) -> Result<Vec<Sealed>, StoreError> {
    let mut found = Vec::new();
    let text =
        "SELECT s.id, s.project, s.name, s.sealed, p.name FROM secrets s JOIN projects p ON p.id = s.project";
    for row in all(sql(text), conn).await? {
        let (project, name) = (ProjectId::from_sql(row.int(1)?), row.text(2)?.to_owned());
        let words = format!("the secret `{name}` of project `{}`", row.text(4)?);
        let place = OwnPlace::Secret { id: row.int(0)?, project, name };
        found.push(Sealed { place, words, bytes: row.blob(3)?.to_vec() });
    }
    let text = "SELECT id, email, totp_secret, totp_pending FROM accounts \
                WHERE totp_sealed = 1 AND (totp_secret IS NOT NULL OR totp_pending IS NOT NULL)";
    for row in all(sql(text), conn).await? {
        for (column, is_pending) in [(2, false), (3, true)] {
            if let Some(bytes) = row.opt_blob(column)? {
                let words = format!("the second factor of {}", row.text(1)?);
                let place = OwnPlace::SecondFactor { account: row.int(0)?, is_pending };
                found.push(Sealed { place, words, bytes: bytes.to_vec() });
            }
        }
    }
    for row in all(sql("SELECT id, secret FROM hmac_secrets WHERE sealed = 1"), conn).await? {
        let words = "the key of imported HMACs".to_owned();
        found.push(Sealed { place: OwnPlace::Hmac(row.int(0)?), words, bytes: row.blob(1)?.to_vec() });
    }
    let text = "SELECT s.webhook, s.number, s.sealed, w.name FROM webhook_secrets s \
                JOIN webhooks w ON w.id = s.webhook";
    for row in all(sql(text), conn).await? {
        let place = OwnPlace::Webhook { webhook: row.int(0)?, number: row.int(1)? };
        let words = format!("the secret of webhook `{}`", row.text(3)?);
        found.push(Sealed { place, words, bytes: row.blob(2)?.to_vec() });
    }
    Ok(found)
}

const SELECT: &str = "SELECT s.id, s.project, p.name, s.name, s.version, s.created_us, s.changed_us, s.sealed \
                      FROM secrets s JOIN projects p ON p.id = s.project JOIN tenants t ON t.id = p.tenant";

fn view(row: &Row, sealer: Option<&Sealer<'_>>) -> Result<SecretView, StoreError> {
    let is_readable = match sealer {
        Some(sealer) => sealer.has(key_of(row.blob(7)?)?).unwrap_or(false),
        None => false,
    };
    Ok(SecretView {
        id: SecretId::from_sql(row.int(0)?),
        project: Named { id: ProjectId::from_sql(row.int(1)?), name: row.text(2)?.to_owned() },
        name: row.text(3)?.to_owned(),
        version: row.count(4)?,
        created_us: row.int(5)?,
        changed_us: row.int(6)?,
        is_readable,
    })
}

fn change(
    action: &'static str,
    (id, version): (i64, u64),
    (tenant, project, name): (TenantId, &str, &str),
    is_there: bool,
) -> Change {
    let told = json!({ "project": project, "name": name }).to_string();
    let (before, after) = if is_there { (None, Some(told)) } else { (Some(told), None) };
    Change {
        needs: Action::ChangeProviderCredentials,
        tenant: Some(tenant),
        action,
        entity: Entity::Secret,
        id,
        version,
        before,
        after,
    }
}

/// The project, of the permit's tenant when it is for one: those of others are as absent as none.
async fn permitted_project(
    write: &mut Write<'_>,
    name: &str,
) -> Result<crate::resources::ProjectRow, StoreError> {
    let own = write.permit().tenant();
    let state = State::load(write.conn()).await?;
    match own {
        Some(tenant) => state.confine(tenant).project(name).cloned(),
        None => find_project(write.conn(), name).await,
    }
}

fn check(name: &str, value: &Secret<String>) -> Result<(), StoreError> {
    let mut errors = Vec::new();
    if let Err(problem) = tollgate_core::name::check_name(name) {
        errors.push(FieldError::new("name", problem));
    }
    let value = value.expose();
    if value.is_empty() || value.len() > SECRET_BYTES_MAX {
        let problem = format!("it has {} bytes; 1 to {SECRET_BYTES_MAX} are kept", value.len());
        errors.push(FieldError::new("value", problem));
    } else if !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        let problem = "it has other characters than printable ASCII; a header could not carry it";
        errors.push(FieldError::new("value", problem));
    } else if value.starts_with(' ') || value.ends_with(' ') {
        errors.push(FieldError::new("value", "it begins or ends with a space; leave that away"));
    }
    if errors.is_empty() { Ok(()) } else { Err(StoreError::Invalid(errors)) }
}
