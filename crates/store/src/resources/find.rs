//! Finding services and consumers by the names people write.

use sqlx::AnyConnection;
use tollgate_core::id::{ConsumerId, ProjectId, ServiceId, TenantId};

use crate::{
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    sql::{Columns as _, all, built},
};

/// A row found by name, with whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) tenant: TenantId,
    pub(crate) name: String,
}

impl Store {
    /// The service that is written `svc_…`, `name`, `project/name` or `tenant/project/name`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn find_service(&self, text: &str) -> Result<Named<ServiceId>, StoreError> {
        let mut conn = self.reader().await?;
        let id = text.parse::<ServiceId>().ok().map(ServiceId::to_sql);
        let found = find(&mut conn, Entity::Service, text, id).await?;
        Ok(Named { id: ServiceId::from_sql(found.id), name: found.name })
    }

    /// The consumer that is written `con_…`, `name`, `project/name` or `tenant/project/name`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn find_consumer(&self, text: &str) -> Result<Named<ConsumerId>, StoreError> {
        let mut conn = self.reader().await?;
        let id = text.parse::<ConsumerId>().ok().map(ConsumerId::to_sql);
        let found = find(&mut conn, Entity::Consumer, text, id).await?;
        Ok(Named { id: ConsumerId::from_sql(found.id), name: found.name })
    }

    /// The project that is written `name` or `tenant/name`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn find_project(&self, text: &str) -> Result<Named<ProjectId>, StoreError> {
        let mut conn = self.reader().await?;
        let found = super::find_project(&mut conn, text).await?;
        Ok(Named { id: found.id, name: found.name })
    }
}

/// Finds a service or consumer by id or name.
pub(crate) async fn find(
    conn: &mut AnyConnection,
    kind: Entity,
    text: &str,
    id: Option<i64>,
) -> Result<Found, StoreError> {
    let table = if kind == Entity::Service { "services" } else { "consumers" };
    let from = format!(
        "SELECT x.id, p.tenant, t.name, p.name, x.name FROM {table} x \
         JOIN projects p ON p.id = x.project JOIN tenants t ON t.id = p.tenant WHERE"
    );
    let mut parts = text.rsplit('/');
    let own = parts.next().unwrap_or(text).to_owned();
    let statement = match (id, parts.next(), parts.next()) {
        (Some(id), _, _) => built(format!("{from} x.id = $1")).bind(id),
        (None, None, _) => built(format!("{from} x.name = $1 LIMIT 5")).bind(own),
        (None, Some(project), None) => {
            built(format!("{from} x.name = $1 AND p.name = $2 LIMIT 5")).bind(own).bind(project.to_owned())
        }
        (None, Some(project), Some(tenant)) => {
            built(format!("{from} x.name = $1 AND p.name = $2 AND t.name = $3"))
                .bind(own)
                .bind(project.to_owned())
                .bind(tenant.to_owned())
        }
    };
    let rows = all(statement, conn).await?;
    match rows.as_slice() {
        [] => Err(StoreError::not_found(kind, text)),
        [row] => Ok(Found {
            id: row.int(0)?,
            tenant: TenantId::from_sql(row.int(1)?),
            name: row.text(4)?.to_owned(),
        }),
        several => {
            let mut candidates = Vec::new();
            for row in several {
                candidates.push(format!("{}/{}/{}", row.text(2)?, row.text(3)?, row.text(4)?));
            }
            Err(StoreError::Ambiguous { kind, name: text.to_owned(), candidates: candidates.join(", ") })
        }
    }
}
