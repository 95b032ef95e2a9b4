//! Resources of a tenant: one by its id, many by page, and ids by the names that people write. What
//! belongs to another tenant is as absent as what never was.

use sqlx::AnyConnection;
use tollgate_core::{
    id::{ConsumerId, ProjectId, ServiceId, TenantId},
    resource::{ProjectSpec, Resources},
};

use super::{
    rows::{State, from_json, to_json},
    view::{ResourceFilter, ResourceId, ResourceSpec, ResourceView, Scope},
};
use crate::{
    conditions::{Conditions, contains},
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, built, one, only, sql},
};

impl Store {
    /// The name of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn tenant(&self, id: TenantId) -> Result<(Named<TenantId>, u64), StoreError> {
        let mut conn = self.reader().await?;
        let row = one(sql("SELECT name, version FROM tenants WHERE id = $1").bind(id.to_sql()), &mut conn)
            .await?
            .ok_or_else(|| StoreError::not_found(Entity::Tenant, id))?;
        Ok((Named { id, name: row.text(0)?.to_owned() }, row.count(1)?))
    }

    /// Whether there is one tenant: the whole installation is that of its people then.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has_one_tenant(&self) -> Result<bool, StoreError> {
        let mut conn = self.reader().await?;
        Ok(only(sql("SELECT COUNT(*) FROM tenants"), &mut conn).await?.int(0)? == 1)
    }

    /// A resource.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it may not be seen.
    pub async fn resource(&self, scope: &Scope, id: ResourceId) -> Result<ResourceView, StoreError> {
        let mut wheres = Conditions::default();
        within(scope, id.kind(), &mut wheres);
        wheres.int("x.id = ?", id.to_sql());
        let text = format!("{}{}", select(id.kind()), wheres.clause());
        let mut conn = self.reader().await?;
        let row = one(wheres.bind(built(text)), &mut conn).await?;
        view(id.kind(), &row.ok_or_else(|| StoreError::not_found(id.kind(), id))?)
    }

    /// Resources by name.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_resources(
        &self,
        filter: &ResourceFilter,
        page: &PageRequest,
    ) -> Result<Page<ResourceView>, StoreError> {
        let mut wheres = conditions(filter)?;
        if let Some(cursor) = &page.cursor {
            let (name, id) = parse_cursor(cursor)?;
            wheres.past_name(("x.name", "x.id"), name, id);
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text =
            format!("{}{} ORDER BY x.name, x.id LIMIT {}", select(filter.kind), wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let shown = rows.iter().take(limit);
        let items = shown.map(|row| view(filter.kind, row)).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit)
            .then(|| items.last().map(|item| format!("{}.{}", item.spec.row_name(), item.id.to_sql())))
            .flatten();
        Ok(Page { items, next })
    }

    /// The project of a tenant that is written `prj_…`, `name` or `tenant/name`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn project_of(
        &self,
        scope: impl Into<Scope>,
        text: &str,
    ) -> Result<Named<ProjectId>, StoreError> {
        let scope = scope.into();
        let mut conn = self.reader().await?;
        let id = text.parse().map(ProjectId::to_sql).ok();
        let (id, name) = find(&mut conn, (&scope, Entity::Project), text, id).await?;
        Ok(Named { id: ProjectId::from_sql(id), name })
    }

    /// The service of a tenant that is written `svc_…`, `name`, `project/name` or `tenant/project/name`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn service_of(
        &self,
        scope: impl Into<Scope>,
        text: &str,
    ) -> Result<Named<ServiceId>, StoreError> {
        let scope = scope.into();
        let mut conn = self.reader().await?;
        let id = text.parse().map(ServiceId::to_sql).ok();
        let (id, name) = find(&mut conn, (&scope, Entity::Service), text, id).await?;
        Ok(Named { id: ServiceId::from_sql(id), name })
    }

    /// The consumer of a tenant that is written `con_…`, `name`, `project/name` or `tenant/project/name`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn consumer_of(
        &self,
        scope: impl Into<Scope>,
        text: &str,
    ) -> Result<Named<ConsumerId>, StoreError> {
        let scope = scope.into();
        let mut conn = self.reader().await?;
        let id = text.parse().map(ConsumerId::to_sql).ok();
        let (id, name) = find(&mut conn, (&scope, Entity::Consumer), text, id).await?;
        Ok(Named { id: ConsumerId::from_sql(id), name })
    }

    /// All resources of a tenant, by name; applying them there changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn export_of(&self, tenant: TenantId) -> Result<Resources, StoreError> {
        let (named, _) = self.tenant(tenant).await?;
        let mut resources = Resources::default();
        resources.tenants.push(tollgate_core::resource::TenantSpec { name: named.name.clone() });
        for kind in
            [Entity::Project, Entity::Service, Entity::Policy, Entity::Consumer, Entity::Rule, Entity::Meter]
        {
            let mut page = PageRequest { limit: PAGE_ROWS_MAX, cursor: None };
            loop {
                let part =
                    self.list_resources(&ResourceFilter::all(Scope::whole(tenant), kind), &page).await?;
                for item in part.items {
                    match item.spec {
                        ResourceSpec::Project(spec) => resources.projects.push(spec),
                        ResourceSpec::Service(spec) => resources.services.push(*spec),
                        ResourceSpec::Policy(spec) => resources.policies.push(*spec),
                        ResourceSpec::Consumer(spec) => resources.consumers.push(spec),
                        ResourceSpec::Rule(spec) => resources.rules.push(*spec),
                        ResourceSpec::Meter(spec) => resources.meters.push(*spec),
                        ResourceSpec::Model(spec) => resources.models.push(*spec),
                    }
                }
                page.cursor = part.next;
                if page.cursor.is_none() {
                    break;
                }
            }
        }
        let mut tx = self.begin_read().await?;
        let State { prices, budgets, models, webhooks, .. } = State::load(&mut tx).await?.confine(tenant);
        tx.rollback().await?;
        resources.models = models.into_iter().map(|row| row.spec).collect();
        resources.prices = prices.into_iter().map(|row| row.spec).collect();
        resources.webhooks = webhooks.into_iter().map(|row| row.spec).collect();
        resources.budgets = budgets.into_iter().map(|row| row.spec).collect();
        Ok(resources)
    }
}

/// Reads a resource of a tenant.
pub(crate) async fn load(
    conn: &mut AnyConnection,
    tenant: TenantId,
    id: ResourceId,
) -> Result<ResourceView, StoreError> {
    let text = format!("{} WHERE x.id = $1 AND t.id = $2", select(id.kind()));
    let row = one(built(text).bind(id.to_sql()).bind(tenant.to_sql()), conn).await?;
    view(id.kind(), &row.ok_or_else(|| StoreError::not_found(id.kind(), id))?)
}

/// `id, project's id, project's name, version, tenant's name, what it says`.
fn select(kind: Entity) -> String {
    if kind == Entity::Project {
        return "SELECT x.id, x.id, x.name, x.version, t.name, x.key_prefix \
                FROM projects x JOIN tenants t ON t.id = x.tenant"
            .to_owned();
    }
    format!(
        "SELECT x.id, p.id, p.name, x.version, t.name, x.spec FROM {} x \
         JOIN projects p ON p.id = x.project JOIN tenants t ON t.id = p.tenant",
        table(kind)
    )
}

const fn table(kind: Entity) -> &'static str {
    match kind {
        Entity::Project => "projects",
        Entity::Service => "services",
        Entity::Policy => "policies",
        Entity::Rule => "rules",
        Entity::Meter => "meters",
        Entity::Model => "models",
        _ => "consumers",
    }
}

fn view(kind: Entity, row: &Row) -> Result<ResourceView, StoreError> {
    let project = Named { id: ProjectId::from_sql(row.int(1)?), name: row.text(2)?.to_owned() };
    let written = row.text(5)?;
    let spec = match kind {
        Entity::Project => ResourceSpec::Project(ProjectSpec {
            tenant: row.text(4)?.to_owned(),
            name: project.name.clone(),
            key_prefix: written.to_owned(),
        }),
        Entity::Service => ResourceSpec::Service(Box::new(from_json(written)?)),
        Entity::Policy => ResourceSpec::Policy(Box::new(from_json(written)?)),
        Entity::Rule => ResourceSpec::Rule(Box::new(from_json(written)?)),
        Entity::Meter => ResourceSpec::Meter(Box::new(from_json(written)?)),
        Entity::Model => ResourceSpec::Model(Box::new(from_json(written)?)),
        _ => ResourceSpec::Consumer(from_json(written)?),
    };
    Ok(ResourceView {
        id: ResourceId::from_sql(kind, row.int(0)?),
        version: row.count(3)?,
        spec: spec.in_project(project.name.clone()),
        project,
    })
}

/// What may be seen: of consumers their projects, all services of these, and the policies that their
/// keys have.
fn within(scope: &Scope, kind: Entity, wheres: &mut Conditions) {
    wheres.int("t.id = ?", scope.tenant.to_sql());
    let Some(own) = &scope.consumers else { return };
    if own.is_empty() {
        return wheres.plain("1 = 0");
    }
    let ids = own.iter().map(|id| id.to_sql().to_string()).collect::<Vec<_>>().join(",");
    wheres.plain(&match kind {
        Entity::Consumer => format!("x.id IN ({ids})"),
        Entity::Policy => {
            format!("x.id IN (SELECT policy FROM keys WHERE consumer IN ({ids}) AND policy IS NOT NULL)")
        }
        Entity::Project => format!("x.id IN (SELECT project FROM consumers WHERE id IN ({ids}))"),
        _ => format!("x.project IN (SELECT project FROM consumers WHERE id IN ({ids}))"),
    });
}

fn conditions(filter: &ResourceFilter) -> Result<Conditions, StoreError> {
    let mut wheres = Conditions::default();
    within(&filter.scope, filter.kind, &mut wheres);
    if let Some(project) = filter.project {
        let column = if filter.kind == Entity::Project { "x.id = ?" } else { "x.project = ?" };
        wheres.int(column, project.to_sql());
    }
    if let Some(name) = &filter.name {
        wheres.text("x.name = ?", name.as_str());
    }
    if let Some(search) = &filter.search {
        wheres.text(r"LOWER(x.name) LIKE ? ESCAPE '\'", contains(&search.to_lowercase()));
    }
    if let Some(external) = filter.external_id.as_ref().filter(|_| filter.kind == Entity::Consumer) {
        // Rows are written by serde_json, so that a field has one spelling; a quote inside of a value is
        // escaped and begins no field.
        let field = format!("\"external_id\":{}", to_json(external)?);
        wheres.text(r"x.spec LIKE ? ESCAPE '\'", contains(&field));
    }
    Ok(wheres)
}

fn parse_cursor(cursor: &str) -> Result<(&str, i64), StoreError> {
    let problem = || StoreError::invalid("cursor", "it is none of this list");
    let (name, id) = cursor.rsplit_once('.').ok_or_else(problem)?;
    Ok((name, id.parse().map_err(|_| problem())?))
}

/// The id and name of what is written `id`, `name`, `project/name` or `tenant/project/name`, of what may be
/// seen: names of anything else are absent, so that nobody can try them.
async fn find(
    conn: &mut AnyConnection,
    (scope, kind): (&Scope, Entity),
    text: &str,
    id: Option<i64>,
) -> Result<(i64, String), StoreError> {
    let mut wheres = Conditions::default();
    within(scope, kind, &mut wheres);
    let from = if kind == Entity::Project {
        "SELECT x.id, x.name, x.name FROM projects x JOIN tenants t ON t.id = x.tenant".to_owned()
    } else {
        format!(
            "SELECT x.id, x.name, p.name FROM {} x JOIN projects p ON p.id = x.project \
             JOIN tenants t ON t.id = p.tenant",
            table(kind)
        )
    };
    match id {
        Some(id) => wheres.int("x.id = ?", id),
        None => {
            let mut parts = text.rsplit('/');
            wheres.text("x.name = ?", parts.next().unwrap_or(text));
            let project = if kind == Entity::Project { None } else { parts.next() };
            if let Some(project) = project {
                wheres.text("p.name = ?", project);
            }
            if let Some(tenant) = parts.next() {
                wheres.text("t.name = ?", tenant);
            }
            if parts.next().is_some() {
                return Err(StoreError::not_found(kind, text));
            }
        }
    }
    let statement = built(format!("{from}{} ORDER BY x.id LIMIT 5", wheres.clause()));
    let rows = all(wheres.bind(statement), conn).await?;
    match rows.as_slice() {
        [] => Err(StoreError::not_found(kind, text)),
        [row] => Ok((row.int(0)?, row.text(1)?.to_owned())),
        several => {
            let mut candidates = Vec::new();
            for row in several {
                candidates.push(format!("{}/{}", row.text(2)?, row.text(1)?));
            }
            Err(StoreError::Ambiguous { kind, name: text.to_owned(), candidates: candidates.join(", ") })
        }
    }
}
