//! Tokens of the service API: `tgs_…`, for services and proxies that ask about keys.

use std::collections::HashMap;

use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    id::{ServiceId, ServiceTokenId, TenantId},
    key::{Digest, Environment, KeyText},
    secret::Secret,
};

use crate::{
    conditions::Conditions,
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    random, resources,
    sql::{Columns as _, Row, all, built, one, run, sql},
    write::{Change, Committed},
};

/// What tokens begin with; no project may have it as its key prefix.
const PREFIX: &str = "tgs";

/// What a new token shall be.
#[derive(Clone, Debug)]
pub struct NewServiceToken {
    /// Its name, unique among the tenant's tokens that are not revoked.
    pub name: String,
    /// The tenant; may be `None` where only one has projects, or where the services tell.
    pub tenant: Option<String>,
    /// The services it may ask about: `service`, `project/service` or `tenant/project/service`.
    /// Empty: all of the tenant.
    pub services: Vec<String>,
}

/// A token just created: the only place where its text is.
#[derive(Clone, Debug)]
pub struct CreatedServiceToken {
    /// Its id.
    pub id: ServiceTokenId,
    /// The whole token.
    pub token: KeyText,
}

/// A token as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTokenView {
    /// Its id.
    pub id: ServiceTokenId,
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub tenant: Named<TenantId>,
    /// The services it may ask about; empty: all.
    pub services: Vec<Named<ServiceId>>,
    /// Its last four characters.
    pub last4: String,
    /// When it was created, wall microseconds.
    pub created_us: i64,
    /// When it was revoked.
    pub revoked_us: Option<i64>,
}

impl Store {
    /// Creates a token of 32 random bytes. Needs `Action::ChangeServiceTokens` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Ambiguous`] for names, [`StoreError::Conflict`]
    /// when the name is taken.
    pub async fn create_service_token(
        &self,
        permit: &Permit,
        new: NewServiceToken,
        random: &Secret<[u8; 32]>,
        now_us: i64,
    ) -> Result<Committed<CreatedServiceToken>, StoreError> {
        tollgate_core::name::check_name(&new.name).map_err(|problem| StoreError::invalid("name", problem))?;
        let mut write = self.write(permit, now_us).await?;
        let (tenant, services) = scope(write.conn(), &new).await?;
        let taken =
            sql("SELECT id FROM service_tokens WHERE tenant = $1 AND name = $2 AND revoked_us IS NULL")
                .bind(tenant.to_sql())
                .bind(new.name.clone());
        if one(taken, write.conn()).await?.is_some() {
            return Err(StoreError::Conflict(format!(
                "a service token named `{}` exists; revoke it first, or choose another name",
                new.name
            )));
        }
        let token = tollgate_core::key::mint(PREFIX, Environment::Live, random)
            .map_err(|error| StoreError::corrupt(error.to_string()))?;
        let last4 = tollgate_core::key::face(PREFIX, Environment::Live, token.expose()).last4;
        let id = ServiceTokenId::from_random(random::id_bytes()?);
        let services = resources::to_json(&services)?;
        let insert = "INSERT INTO service_tokens (id, tenant, name, services, digest, last4, created_us, version) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, 1)";
        let insert = sql(insert)
            .bind(id.to_sql())
            .bind(tenant.to_sql())
            .bind(new.name.clone())
            .bind(services.clone())
            .bind(Digest::of(token.expose().as_bytes()).0.to_vec())
            .bind(last4)
            .bind(now_us);
        run(insert, write.conn()).await?;
        let after = format!(r#"{{"name":"{}","services":{services}}}"#, new.name);
        write.record(change("service_token.create", id, (tenant, 1), (None, Some(after))))?;
        let seq = write.commit().await?;
        Ok(Committed { value: CreatedServiceToken { id, token }, seq })
    }

    /// All tokens, revoked ones too, by creation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_service_tokens(&self) -> Result<Vec<ServiceTokenView>, StoreError> {
        let mut conn = self.reader().await?;
        let rows = all(built(format!("{SELECT} ORDER BY k.created_us, k.id")), &mut conn).await?;
        views(&mut conn, &rows).await
    }

    /// Tokens of a tenant, revoked ones too, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn service_tokens_of(
        &self,
        tenant: TenantId,
        page: &PageRequest,
    ) -> Result<Page<ServiceTokenView>, StoreError> {
        let mut wheres = Conditions::default();
        wheres.int("k.tenant = ?", tenant.to_sql());
        if let Some(cursor) = &page.cursor {
            let problem = || StoreError::invalid("cursor", "it is none of this list");
            let (created, id) = cursor.split_once('.').ok_or_else(problem)?;
            let id: ServiceTokenId = id.parse().map_err(|_| problem())?;
            let created = created.parse().map_err(|_| problem())?;
            wheres.past(("k.created_us", "k.id"), "<", (created, id.to_sql()));
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text =
            format!("{SELECT}{} ORDER BY k.created_us DESC, k.id DESC LIMIT {}", wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = views(&mut conn, rows.get(..limit).unwrap_or(&rows)).await?;
        let next = (rows.len() > limit)
            .then(|| items.last().map(|token| format!("{}.{}", token.created_us, token.id)))
            .flatten();
        Ok(Page { items, next })
    }

    /// A token of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it is another tenant's.
    pub async fn service_token_of(
        &self,
        tenant: TenantId,
        id: ServiceTokenId,
    ) -> Result<ServiceTokenView, StoreError> {
        let mut conn = self.reader().await?;
        let select = built(format!("{SELECT} WHERE k.id = $1 AND k.tenant = $2"));
        let rows = all(select.bind(id.to_sql()).bind(tenant.to_sql()), &mut conn).await?;
        let found = views(&mut conn, &rows).await?.pop();
        found.ok_or_else(|| StoreError::not_found(Entity::ServiceToken, id))
    }

    /// Revokes a token for good; again is no change. Needs `Action::ChangeServiceTokens` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke_service_token(
        &self,
        permit: &Permit,
        id: ServiceTokenId,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let find = sql("SELECT tenant, version, revoked_us, name FROM service_tokens WHERE id = $1");
        let row = one(find.bind(id.to_sql()), write.conn())
            .await?
            .ok_or_else(|| StoreError::not_found(Entity::ServiceToken, id))?;
        if row.opt_int(2)?.is_none() {
            let version = row.count(1)? + 1;
            let update = sql("UPDATE service_tokens SET revoked_us = $1, version = $2 WHERE id = $3");
            run(update.bind(now_us).bind(version as i64).bind(id.to_sql()), write.conn()).await?;
            let tenant = TenantId::from_sql(row.int(0)?);
            let before = format!(r#"{{"name":"{}"}}"#, row.text(3)?);
            write.record(change("service_token.revoke", id, (tenant, version), (Some(before), None)))?;
        }
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }
}

const SELECT: &str = "SELECT k.id, k.name, k.tenant, t.name, k.services, k.last4, k.created_us, k.revoked_us \
     FROM service_tokens k JOIN tenants t ON t.id = k.tenant";

/// Tokens with the names of their services.
async fn views(conn: &mut AnyConnection, rows: &[Row]) -> Result<Vec<ServiceTokenView>, StoreError> {
    let mut names = HashMap::new();
    for row in all(sql("SELECT id, name FROM services"), conn).await? {
        names.insert(row.int(0)?, row.text(1)?.to_owned());
    }
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let services: Vec<ServiceId> = resources::from_json(row.text(4)?)?;
        let named = |id: ServiceId| {
            let name = names.get(&id.to_sql()).cloned().unwrap_or_else(|| id.to_string());
            Named { id, name }
        };
        views.push(ServiceTokenView {
            id: ServiceTokenId::from_sql(row.int(0)?),
            name: row.text(1)?.to_owned(),
            tenant: Named { id: TenantId::from_sql(row.int(2)?), name: row.text(3)?.to_owned() },
            services: services.into_iter().map(named).collect(),
            last4: row.text(5)?.to_owned(),
            created_us: row.int(6)?,
            revoked_us: row.opt_int(7)?,
        });
    }
    Ok(views)
}

/// The tenant and services that a new token is for; all services must be one tenant's.
async fn scope(
    conn: &mut AnyConnection,
    new: &NewServiceToken,
) -> Result<(TenantId, Vec<ServiceId>), StoreError> {
    let mut tenant = match &new.tenant {
        Some(name) => Some(tenant_named(conn, name).await?),
        None => None,
    };
    let mut services = Vec::new();
    for (index, name) in new.services.iter().enumerate() {
        let id = name.parse::<ServiceId>().ok().map(ServiceId::to_sql);
        let found = resources::find(conn, Entity::Service, name, id).await?;
        if *tenant.get_or_insert(found.tenant) != found.tenant {
            return Err(StoreError::invalid(
                format!("services[{index}]"),
                format!("`{name}` belongs to another tenant; a token is for one tenant, create one for each"),
            ));
        }
        services.push(ServiceId::from_sql(found.id));
    }
    match tenant {
        Some(tenant) => Ok((tenant, services)),
        None => Ok((only_tenant(conn).await?, services)),
    }
}

async fn tenant_named(conn: &mut AnyConnection, name: &str) -> Result<TenantId, StoreError> {
    let row = one(sql("SELECT id FROM tenants WHERE name = $1").bind(name.to_owned()), conn).await?;
    Ok(TenantId::from_sql(row.ok_or_else(|| StoreError::not_found(Entity::Tenant, name))?.int(0)?))
}

/// The tenant that can be meant when none is named: the only one that has projects, or the only one.
/// The tenant that `init` made and nobody uses does not count beside one that is used.
async fn only_tenant(conn: &mut AnyConnection) -> Result<TenantId, StoreError> {
    let used = all(sql("SELECT DISTINCT tenant FROM projects LIMIT 2"), conn).await?;
    let rows = match used.as_slice() {
        [] => all(sql("SELECT id FROM tenants LIMIT 2"), conn).await?,
        _ => used,
    };
    match rows.as_slice() {
        [row] => Ok(TenantId::from_sql(row.int(0)?)),
        [] => Err(StoreError::not_found(Entity::Tenant, "")),
        _ => Err(StoreError::invalid(
            "tenant",
            "several tenants have projects, and a token is for one; name the tenant or the services",
        )),
    }
}

fn change(
    action: &'static str,
    id: ServiceTokenId,
    (tenant, version): (TenantId, u64),
    (before, after): (Option<String>, Option<String>),
) -> Change {
    Change {
        needs: Action::ChangeServiceTokens,
        tenant: Some(tenant),
        action,
        entity: Entity::ServiceToken,
        id: id.to_sql(),
        version,
        before,
        after,
    }
}
