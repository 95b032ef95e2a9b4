//! The first tenant and its owner.

use tollgate_core::{
    authz::{Action, Permit, Role},
    field_error::FieldError,
    id::{TenantId, UserId},
    secret::Secret,
};

use crate::{
    error::{Entity, StoreError},
    open::Store,
    people::{NewAccount, NewMember, email_problem, insert_account, insert_member},
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
        if let Some(problem) = email_problem(&new.owner_email) {
            errors.push(FieldError::new("owner", problem));
        }
        if !new.password_hash.expose().starts_with("$argon2id$") {
            errors.push(FieldError::new("password", "its hash is no argon2id PHC string"));
        }
        if !errors.is_empty() {
            return Err(StoreError::Invalid(errors));
        }
        let mut write = self.write(permit, now_us).await?;
        if one(sql("SELECT account FROM members WHERE role = 'owner' LIMIT 1"), write.conn()).await?.is_some()
        {
            return Err(StoreError::Conflict(
                "this installation has an owner already; sign in as that one".to_owned(),
            ));
        }
        let tenant = first_tenant(&mut write, &new.tenant).await?;
        let owner = UserId::from_random(random::id_bytes()?);
        let account = NewAccount {
            id: owner,
            email: &new.owner_email,
            is_local: true,
            name: &new.owner_email,
            password_hash: Some(&new.password_hash),
            created_us: now_us,
        };
        insert_account(write.conn(), account).await?;
        let member =
            NewMember { account: owner, tenant, role: Role::Owner, source: "local", created_us: now_us };
        insert_member(write.conn(), member).await?;
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
