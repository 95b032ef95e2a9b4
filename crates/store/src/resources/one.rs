//! One resource at a time: created, replaced or deleted through the same comparison, checks and
//! transaction as a whole file, so that there is one way to change resources.

use sqlx::AnyConnection;
use tollgate_core::{
    authz::Permit,
    budget::held::Level,
    field_error::FieldError,
    id::{ProjectId, TenantId},
    resource::{ConsumerSpec, ProjectSpec},
};

use super::{
    Op,
    apply::{Asked, compare, record, write_rows},
    budgets::level_to_sql,
    diff::{Diff, Edit, RowOf},
    prune::delete,
    read::load,
    rows::{ProjectRow, SpecRow, specs, to_json},
    view::{ResourceId, ResourceSpec, ResourceView},
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{Columns as _, built, only, sql},
    write::{Committed, Write},
};

/// Which resource is to be changed, as whoever changes it knew it.
#[derive(Clone, Copy, Debug)]
pub struct ResourceAt {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub id: ResourceId,
    /// The version that was read; `None` whatever it is.
    pub version: Option<u64>,
}

impl Store {
    /// Creates a resource in the permit's tenant. Needs `Action::ChangeResources` there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of this name exists, [`StoreError::Invalid`] for what is
    /// wrong, with the fields of the resource.
    pub async fn create_resource(
        &self,
        permit: &Permit,
        new: ResourceSpec,
        now_us: i64,
    ) -> Result<Committed<ResourceView>, StoreError> {
        let (kind, name) = (new.kind(), new.row_name().into_owned());
        let mut write = self.write(permit, now_us).await?;
        let resources = new.alone();
        let diff =
            compare(write.conn(), permit, &resources, Asked::at(now_us).within(self.upstream_egress()))
                .await?;
        let edit = match (diff.errors.is_empty(), diff.edits.as_slice()) {
            (false, _) => return Err(StoreError::Invalid(plain(kind, diff.errors))),
            (true, [edit]) if edit.op == Op::Create => edit,
            _ => {
                return Err(StoreError::Conflict(format!(
                    "a {kind} named `{name}` exists already; change that one, or choose another name"
                )));
            }
        };
        let at = ResourceAt {
            tenant: edit.tenant.ok_or_else(|| StoreError::corrupt("a resource without a tenant"))?,
            id: ResourceId::from_sql(kind, edit.id),
            version: None,
        };
        perform(write, edit, at, now_us).await
    }

    /// Replaces what a resource says; the same again is no change. Its name and project stay: they
    /// tell it from others. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Invalid`].
    pub async fn replace_resource(
        &self,
        permit: &Permit,
        at: ResourceAt,
        new: ResourceSpec,
        now_us: i64,
    ) -> Result<Committed<ResourceView>, StoreError> {
        let kind = at.id.kind();
        let mut write = self.write(permit, now_us).await?;
        let present = load(write.conn(), at.tenant, at.id).await?;
        same_version(kind, present.version, at.version)?;
        let (tenant, project) = full_names(write.conn(), &present).await?;
        let errors = what_moved(&present, &new, (&tenant, &project));
        if !errors.is_empty() {
            return Err(StoreError::Invalid(errors));
        }
        let resources = new.in_project(format!("{tenant}/{project}")).alone();
        let diff =
            compare(write.conn(), permit, &resources, Asked::at(now_us).within(self.upstream_egress()))
                .await?;
        if !diff.errors.is_empty() {
            return Err(StoreError::Invalid(plain(kind, diff.errors)));
        }
        match diff.edits.first() {
            Some(edit) => perform(write, edit, at, now_us).await,
            None => Ok(Committed { value: present, seq: write.commit().await? }),
        }
    }

    /// Deletes a resource that nothing needs any more. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Conflict`] naming what
    /// still needs it.
    pub async fn delete_resource(
        &self,
        permit: &Permit,
        at: ResourceAt,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let present = load(write.conn(), at.tenant, at.id).await?;
        same_version(at.id.kind(), present.version, at.version)?;
        let nothing = tollgate_core::resource::Resources::default();
        let mut diff = compare(write.conn(), permit, &nothing, Asked::at(now_us)).await?;
        let project = diff
            .state
            .project_by_id(present.project.id)
            .cloned()
            .ok_or_else(|| StoreError::not_found(at.id.kind(), at.id))?;
        let edit = deletion(write.conn(), &mut diff, (at.id, &project)).await?;
        let edit = edit.ok_or_else(|| StoreError::not_found(at.id.kind(), at.id))?;
        record(&mut write, &edit)?;
        write_rows(write.conn(), std::slice::from_ref(&edit), now_us).await?;
        Ok(Committed { value: (), seq: write.commit().await? })
    }
}

async fn perform(
    mut write: Write<'_>,
    edit: &Edit,
    at: ResourceAt,
    now_us: i64,
) -> Result<Committed<ResourceView>, StoreError> {
    record(&mut write, edit)?;
    write_rows(write.conn(), std::slice::from_ref(edit), now_us).await?;
    let value = load(write.conn(), at.tenant, at.id).await?;
    Ok(Committed { value, seq: write.commit().await? })
}

/// Refuses a change that was made for another version.
pub(crate) fn same_version(kind: Entity, present: u64, expected: Option<u64>) -> Result<(), StoreError> {
    if expected.is_none_or(|expected| expected == present) {
        return Ok(());
    }
    Err(StoreError::Outdated { kind, version: present })
}

/// The names of a resource's tenant and project.
async fn full_names(
    conn: &mut AnyConnection,
    present: &ResourceView,
) -> Result<(String, String), StoreError> {
    let select = sql("SELECT t.name FROM projects p JOIN tenants t ON t.id = p.tenant WHERE p.id = $1");
    let row = only(select.bind(present.project.id.to_sql()), conn).await?;
    Ok((row.text(0)?.to_owned(), present.project.name.clone()))
}

fn what_moved(
    present: &ResourceView,
    new: &ResourceSpec,
    (tenant, project): (&str, &str),
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if new.row_name() != present.spec.row_name() {
        let field = if new.name() == present.spec.name() { "version" } else { "name" };
        let problem =
            format!("it is `{}`, and a name stays; create another one instead", present.spec.row_name());
        errors.push(FieldError::new(field, problem));
    }
    let full = format!("{tenant}/{project}");
    if new.project().is_some_and(|named| named != project && named != full) {
        let problem = format!("it is in project `{project}` and stays there; create another one instead");
        errors.push(FieldError::new("project", problem));
    }
    if let ResourceSpec::Project(spec) = new
        && spec.tenant != tenant
    {
        errors.push(FieldError::new("tenant", format!("it belongs to tenant `{tenant}` and stays there")));
    }
    errors
}

/// Fields of a file with one resource, as fields of that resource: `service[0].match` is `match`.
pub(super) fn plain(kind: Entity, errors: Vec<FieldError>) -> Vec<FieldError> {
    let prefix = format!("{kind}[0].");
    let strip = |field: String| field.strip_prefix(&prefix).map_or(field.clone(), str::to_owned);
    errors.into_iter().map(|error| FieldError { field: strip(error.field), ..error }).collect()
}

/// The deletion, once nothing needs the resource.
async fn deletion(
    conn: &mut AnyConnection,
    diff: &mut Diff<'_>,
    (id, project): (ResourceId, &ProjectRow),
) -> Result<Option<Edit>, StoreError> {
    let number = id.to_sql();
    match id {
        ResourceId::Project(_) => delete_project(conn, project).await.map(Some),
        ResourceId::Service(_) => {
            let Some(index) = diff.state.services.iter().position(|row| row.id == number) else {
                return Ok(None);
            };
            let row = diff.state.services.remove(index);
            diff.touched.insert(project.id.0);
            diff.check_policies();
            diff.check_rules();
            if let Some(error) = diff.errors.first() {
                return Err(StoreError::Conflict(format!(
                    "{} would no longer hold: {}; take the service out of it first",
                    error.field, error.problem
                )));
            }
            delete(Entity::Service, project, &row).map(Some)
        }
        ResourceId::Policy(_) => {
            let row = diff.state.policies.iter().find(|row| row.id == number);
            let Some(row) = row else { return Ok(None) };
            no_live_keys(conn, ("policy", number), &row.spec.name).await?;
            delete(Entity::Policy, project, row).map(Some)
        }
        ResourceId::Meter(_) => {
            let row = diff.state.meters.iter().find(|row| row.id == number);
            row.map(|row| delete(Entity::Meter, project, row)).transpose()
        }
        ResourceId::Model(_) => {
            let row = diff.state.models.iter().find(|row| row.id == number);
            row.map(|row| delete(Entity::Model, project, row)).transpose()
        }
        ResourceId::Rule(_) => {
            let row = diff.state.rules.iter().find(|row| row.id == number);
            row.map(|row| delete(Entity::Rule, project, row)).transpose()
        }
        ResourceId::Consumer(_) => {
            let select = sql("SELECT id, project, spec, version FROM consumers WHERE id = $1");
            let rows: Vec<SpecRow<ConsumerSpec>> = specs(select.bind(number), conn).await?;
            let Some(row) = rows.first() else { return Ok(None) };
            no_live_keys(conn, ("consumer", number), &row.spec.name).await?;
            no_budgets(conn, (Level::Consumer, number), &row.spec.name).await?;
            delete(Entity::Consumer, project, row).map(Some)
        }
    }
}

async fn no_live_keys(
    conn: &mut AnyConnection,
    (column, id): (&'static str, i64),
    name: &str,
) -> Result<(), StoreError> {
    let select = format!("SELECT COUNT(*) FROM keys WHERE {column} = $1 AND state <> 3");
    match only(built(select).bind(id), conn).await?.count(0)? {
        0 => Ok(()),
        count => Err(StoreError::Conflict(format!(
            "{column} `{name}` has {count} keys that are not revoked; revoke them first"
        ))),
    }
}

/// Refuses when a holder has budgets.
async fn no_budgets(
    conn: &mut AnyConnection,
    (level, subject): (Level, i64),
    name: &str,
) -> Result<(), StoreError> {
    let select = sql("SELECT COUNT(*) FROM budgets WHERE level = $1 AND subject = $2");
    let count = only(select.bind(level_to_sql(level)).bind(subject), conn).await?.count(0)?;
    if count == 0 {
        return Ok(());
    }
    let level = level.name();
    Err(StoreError::Conflict(format!("{level} `{name}` has {count} budgets; delete them first")))
}

async fn delete_project(conn: &mut AnyConnection, project: &ProjectRow) -> Result<Edit, StoreError> {
    for table in [
        "services",
        "policies",
        "budgets",
        "event_types",
        "meters",
        "models",
        "rules",
        "webhooks",
        "consumers",
        "keys",
    ] {
        let select = built(format!("SELECT COUNT(*) FROM {table} WHERE project = $1"));
        let count = only(select.bind(project.id.to_sql()), conn).await?.count(0)?;
        if count > 0 {
            let remedy = if table == "keys" {
                "a project that ever had keys stays, for what they did is recorded under it"
            } else {
                "delete them first"
            };
            return Err(StoreError::Conflict(format!(
                "project `{}` has {count} {table}; {remedy}",
                project.name
            )));
        }
    }
    let spec = ProjectSpec {
        tenant: project.tenant_name.clone(),
        name: project.name.clone(),
        key_prefix: project.key_prefix.clone(),
    };
    Ok(Edit {
        op: Op::Delete,
        kind: Entity::Project,
        id: project.id.to_sql(),
        tenant: Some(project.tenant),
        project: Some(ProjectId(project.id.0)),
        name: project.name.clone(),
        full_name: project.full_name(),
        version: project.version + 1,
        before: Some(to_json(&spec)?),
        after: None,
        row: RowOf::Spec,
        fields: Vec::new(),
    })
}
