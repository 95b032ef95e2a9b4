//! The first tenant and its owner.

use tollgate_core::{
    authz::{Action, Permit},
    id::{TenantId, UserId},
    policy::FieldError,
    secret::Secret,
};

use crate::{
    error::{Entity, StoreError},
    open::Store,
    random,
    sql::{Columns as _, one, run, sql},
    write::{Change, Committed, Write},
};

/// What a new installation begins with.
#[derive(Clone, Debug)]
pub struct NewInstallation {
    /// The name of the first tenant.
    pub tenant: String,
    /// The e-mail address of its owner.
    pub owner_email: String,
    /// The argon2id PHC string of the owner's password.
    pub password_hash: Secret<String>,
}

/// What `init` made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// The tenant.
    pub tenant: TenantId,
    /// Its owner.
    pub owner: UserId,
}

impl Store {
    /// Creates the first tenant and its owner. Needs [`Action::Initialise`](tollgate_core::authz::Action).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when an owner exists already, [`StoreError::Invalid`] for a bad name
    /// or address.
    pub async fn init(
        &self,
        permit: &Permit,
        new: NewInstallation,
        now_us: i64,
    ) -> Result<Committed<Initialised>, StoreError> {
        let mut errors = Vec::new();
        if let Err(problem) = tollgate_core::name::check_name(&new.tenant) {
            errors.push(FieldError::new("tenant", problem));
        }
        if !is_address(&new.owner_email) {
            errors.push(FieldError::new("owner", "it is no e-mail address; write `you@example.com`"));
        }
        if !new.password_hash.expose().starts_with("$argon2id$") {
            errors.push(FieldError::new("password", "its hash is no argon2id PHC string"));
        }
        if !errors.is_empty() {
            return Err(StoreError::Invalid(errors));
        }
        let mut write = self.write(permit, now_us).await?;
        if one(sql("SELECT id FROM users LIMIT 1"), write.conn()).await?.is_some() {
            return Err(StoreError::Conflict(
                "this installation has an owner already; sign in as that one".to_owned(),
            ));
        }
        let tenant = first_tenant(&mut write, &new.tenant).await?;
        let owner = UserId::from_random(random::id_bytes()?);
        let insert = "INSERT INTO users (id, tenant, email, password_hash, role, created_us, version) \
                      VALUES ($1, $2, $3, $4, 'owner', $5, 1)";
        let insert = sql(insert)
            .bind(owner.to_sql())
            .bind(tenant.to_sql())
            .bind(new.owner_email.clone())
            .bind(new.password_hash.expose().clone())
            .bind(now_us);
        run(insert, write.conn()).await?;
        let after = serde_json::json!({ "email": new.owner_email, "role": "owner" });
        write.record(change("user.create", Entity::User, owner.to_sql(), after))?;
        let seq = write.commit().await?;
        Ok(Committed { value: Initialised { tenant, owner }, seq })
    }
}

/// The tenant of this name; `apply` may have made it before.
async fn first_tenant(write: &mut Write<'_>, name: &str) -> Result<TenantId, StoreError> {
    let present = sql("SELECT id FROM tenants WHERE name = $1").bind(name.to_owned());
    if let Some(row) = one(present, write.conn()).await? {
        return Ok(TenantId::from_sql(row.int(0)?));
    }
    let id = TenantId::from_random(random::id_bytes()?);
    let insert = sql("INSERT INTO tenants (id, name, version) VALUES ($1, $2, 1)");
    run(insert.bind(id.to_sql()).bind(name.to_owned()), write.conn()).await?;
    write.record(change(
        "tenant.create",
        Entity::Tenant,
        id.to_sql(),
        serde_json::json!({ "name": name }),
    ))?;
    Ok(id)
}

fn change(action: &'static str, entity: Entity, id: i64, after: serde_json::Value) -> Change {
    Change {
        needs: Action::Initialise,
        tenant: None,
        action,
        entity,
        id,
        version: 1,
        before: None,
        after: Some(after.to_string()),
    }
}

/// Enough of a check to catch a slip: one `@` with something on both sides, no space or control.
fn is_address(text: &str) -> bool {
    let plain = text.len() <= 254 && !text.chars().any(|sign| sign.is_whitespace() || sign.is_control());
    let parts: Vec<&str> = text.split('@').collect();
    plain && matches!(parts.as_slice(), [user, host] if !user.is_empty() && !host.is_empty())
}
