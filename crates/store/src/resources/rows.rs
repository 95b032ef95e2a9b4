//! The rows of resources, and finding them by name.

use std::{borrow::Cow, collections::HashSet};

use serde::{Serialize, de::DeserializeOwned};
use sqlx::AnyConnection;
use tollgate_core::{
    id::{ProjectId, TenantId},
    ingest_spec::EventTypeSpec,
    meter::spec::MeterSpec,
    predict_spec::ModelSpec,
    resource::{ConsumerSpec, PolicySpec, ServiceSpec},
    rule::spec::RuleSpec,
};

use super::{
    budgets::{BudgetRow, load_budgets},
    prices::{PriceRow, load_prices},
    webhooks::{WebhookRow, load_webhooks},
};
use crate::{
    error::{Entity, StoreError},
    sql::{Columns as _, all, sql},
};

/// A tenant's row.
#[derive(Clone, Debug)]
pub(crate) struct TenantRow {
    pub(crate) id: TenantId,
    pub(crate) name: String,
}

/// A project's row with the name of its tenant.
#[derive(Clone, Debug)]
pub(crate) struct ProjectRow {
    pub(crate) id: ProjectId,
    pub(crate) tenant: TenantId,
    pub(crate) tenant_name: String,
    pub(crate) name: String,
    pub(crate) key_prefix: String,
    pub(crate) version: u64,
}

impl ProjectRow {
    /// `tenant/project`, which is never ambiguous.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.tenant_name, self.name)
    }
}

/// The row of a service, policy or consumer.
#[derive(Clone, Debug)]
pub(crate) struct SpecRow<S> {
    pub(crate) id: i64,
    pub(crate) project: ProjectId,
    pub(crate) spec: S,
    pub(crate) version: u64,
}

/// What services, policies and consumers have in common.
pub(crate) trait Spec: Serialize + DeserializeOwned + PartialEq {
    /// Its name, unique in its project.
    fn name(&self) -> Cow<'_, str>;
}

impl Spec for ServiceSpec {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}

impl Spec for PolicySpec {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}

impl Spec for ConsumerSpec {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}

/// All small resources: thousands at most, so they are read whole.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) tenants: Vec<TenantRow>,
    pub(crate) projects: Vec<ProjectRow>,
    pub(crate) services: Vec<SpecRow<ServiceSpec>>,
    pub(crate) policies: Vec<SpecRow<PolicySpec>>,
    pub(crate) prices: Vec<PriceRow>,
    pub(crate) budgets: Vec<BudgetRow>,
    pub(crate) event_types: Vec<SpecRow<EventTypeSpec>>,
    pub(crate) rules: Vec<SpecRow<RuleSpec>>,
    pub(crate) meters: Vec<SpecRow<MeterSpec>>,
    pub(crate) models: Vec<SpecRow<ModelSpec>>,
    pub(crate) webhooks: Vec<WebhookRow>,
    /// Services of other tenants, after [`State::confine`]: requests go to one of all services.
    pub(crate) others: Vec<SpecRow<ServiceSpec>>,
}

impl State {
    /// Reads them.
    pub(crate) async fn load(conn: &mut AnyConnection) -> Result<Self, StoreError> {
        let mut tenants = Vec::new();
        for row in all(sql("SELECT id, name FROM tenants ORDER BY name"), conn).await? {
            tenants.push(TenantRow { id: TenantId::from_sql(row.int(0)?), name: row.text(1)?.to_owned() });
        }
        let projects = projects(conn).await?;
        let services =
            specs(sql("SELECT id, project, spec, version FROM services ORDER BY name"), conn).await?;
        let policies =
            specs(sql("SELECT id, project, spec, version FROM policies ORDER BY name"), conn).await?;
        let (prices, budgets) = (load_prices(conn).await?, load_budgets(conn).await?);
        let event_types =
            specs(sql("SELECT id, project, spec, version FROM event_types ORDER BY name"), conn).await?;
        let meters = specs(sql("SELECT id, project, spec, version FROM meters ORDER BY name"), conn).await?;
        let models = specs(sql("SELECT id, project, spec, version FROM models ORDER BY name"), conn).await?;
        let rules = specs(sql("SELECT id, project, spec, version FROM rules ORDER BY name"), conn).await?;
        Ok(Self {
            tenants,
            projects,
            services,
            policies,
            prices,
            budgets,
            event_types,
            rules,
            meters,
            models,
            webhooks: load_webhooks(conn).await?,
            others: Vec::new(),
        })
    }

    /// What may be seen from inside of a tenant: names of other tenants are unknown there.
    pub(crate) fn confine(mut self, tenant: TenantId) -> Self {
        self.tenants.retain(|row| row.id == tenant);
        self.projects.retain(|row| row.tenant == tenant);
        let own: HashSet<ProjectId> = self.projects.iter().map(|row| row.id).collect();
        self.policies.retain(|row| own.contains(&row.project));
        self.prices.retain(|row| row.tenant == Some(tenant));
        self.budgets.retain(|row| row.tenant == tenant);
        self.webhooks.retain(|row| row.tenant == tenant);
        self.event_types.retain(|row| own.contains(&row.project));
        self.rules.retain(|row| own.contains(&row.project));
        self.meters.retain(|row| own.contains(&row.project));
        self.models.retain(|row| own.contains(&row.project));
        let (services, others) =
            std::mem::take(&mut self.services).into_iter().partition(|row| own.contains(&row.project));
        Self { services, others, ..self }
    }

    /// The project with this name, `name` or `tenant/name`.
    pub(crate) fn project(&self, name: &str) -> Result<&ProjectRow, StoreError> {
        let index = choose_project(&self.projects, name)?;
        self.projects.get(index).ok_or_else(|| StoreError::not_found(Entity::Project, name))
    }

    /// The project with this id.
    pub(crate) fn project_by_id(&self, id: ProjectId) -> Option<&ProjectRow> {
        self.projects.iter().find(|project| project.id == id)
    }
}

async fn projects(conn: &mut AnyConnection) -> Result<Vec<ProjectRow>, StoreError> {
    let text = "SELECT p.id, p.tenant, t.name, p.name, p.key_prefix, p.version \
                FROM projects p JOIN tenants t ON t.id = p.tenant ORDER BY t.name, p.name";
    let mut projects = Vec::new();
    for row in all(sql(text), conn).await? {
        projects.push(ProjectRow {
            id: ProjectId::from_sql(row.int(0)?),
            tenant: TenantId::from_sql(row.int(1)?),
            tenant_name: row.text(2)?.to_owned(),
            name: row.text(3)?.to_owned(),
            key_prefix: row.text(4)?.to_owned(),
            version: row.count(5)?,
        });
    }
    Ok(projects)
}

/// Rows of `id, project, spec, version`.
pub(crate) async fn specs<S: DeserializeOwned>(
    statement: crate::sql::Statement,
    conn: &mut AnyConnection,
) -> Result<Vec<SpecRow<S>>, StoreError> {
    let mut rows = Vec::new();
    for row in all(statement, conn).await? {
        rows.push(SpecRow {
            id: row.int(0)?,
            project: ProjectId::from_sql(row.int(1)?),
            spec: from_json(row.text(2)?)?,
            version: row.count(3)?,
        });
    }
    Ok(rows)
}

/// Finds a project by `name` or `tenant/name`.
pub(crate) async fn find_project(conn: &mut AnyConnection, name: &str) -> Result<ProjectRow, StoreError> {
    let mut projects = projects(conn).await?;
    let index = choose_project(&projects, name)?;
    Ok(projects.swap_remove(index))
}

fn choose_project(projects: &[ProjectRow], name: &str) -> Result<usize, StoreError> {
    let fits = |project: &ProjectRow| match name.split_once('/') {
        Some((tenant, own)) => project.tenant_name == tenant && project.name == own,
        None => project.name == name,
    };
    let mut found = projects.iter().enumerate().filter(|(_, project)| fits(project));
    let (index, first) = found.next().ok_or_else(|| StoreError::not_found(Entity::Project, name))?;
    match found.next() {
        None => Ok(index),
        Some((_, second)) => Err(StoreError::Ambiguous {
            kind: Entity::Project,
            name: name.to_owned(),
            candidates: format!("{}, {}", first.full_name(), second.full_name()),
        }),
    }
}

/// A value as the JSON text of a row.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::corrupt(format!("cannot be written as JSON: {error}")))
}

/// The value of a row's JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::corrupt(format!("a row's JSON cannot be read: {error}")))
}
