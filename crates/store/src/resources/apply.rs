//! Bringing the rows to what a file says, in one transaction.

use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    resource::Resources,
};

use super::{
    ApplyMode, Op, Plan, PlannedChange,
    audited::audited,
    diff::{Diff, Edit},
    rows::State,
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{built, bulk, places, rows_max, run, sql},
    write::{Change, Write},
};

impl Store {
    /// Creates and updates what differs. Nothing is changed when anything is wrong. Needs
    /// `Action::ChangeResources` in every tenant touched; creating a tenant needs it for the installation.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] with everything that is wrong; fields are paths into the resources given:
    /// `policy[2].services[0]`.
    pub async fn apply(
        &self,
        permit: &Permit,
        resources: &Resources,
        mode: ApplyMode,
        now_us: i64,
    ) -> Result<Plan, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let diff = compare(write.conn(), permit, resources, mode.prune).await?;
        if !diff.errors.is_empty() {
            write.roll_back().await?;
            return Err(StoreError::Invalid(diff.errors));
        }
        let edits = in_order(diff.edits);
        let changes = edits.iter().map(planned).collect();
        for edit in &edits {
            record(&mut write, edit)?;
        }
        if mode.dry_run {
            write.roll_back().await?;
            return Ok(Plan { changes, seq: 0 });
        }
        write_rows(write.conn(), &edits).await?;
        let changed = !write.is_empty();
        let seq = write.commit().await?;
        Ok(Plan { changes, seq: if changed { seq } else { 0 } })
    }
}

/// Compares resources with their rows. A permit for one tenant sees nothing of others.
pub(super) async fn compare<'r>(
    conn: &mut AnyConnection,
    permit: &Permit,
    resources: &'r Resources,
    prune: bool,
) -> Result<Diff<'r>, StoreError> {
    let state = State::load(conn).await?;
    let state = match permit.tenant() {
        Some(tenant) => state.confine(tenant),
        None => state,
    };
    let mut diff = Diff::new(resources, state);
    diff.tenants()?;
    diff.projects()?;
    diff.services()?;
    diff.policies()?;
    diff.consumers(conn).await?;
    if prune {
        diff.prune(conn).await?;
    }
    diff.check_services();
    diff.check_policies();
    Ok(diff)
}

/// What others refer to comes first; deletions come last, the other way round.
fn in_order(mut edits: Vec<Edit>) -> Vec<Edit> {
    let rank = |edit: &Edit| {
        let kind = match edit.kind {
            Entity::Tenant => 0,
            Entity::Project => 1,
            Entity::Service => 2,
            Entity::Policy => 3,
            _ => 4,
        };
        if edit.op == Op::Delete { 20 - kind } else { kind }
    };
    edits.sort_by_key(rank);
    edits
}

fn planned(edit: &Edit) -> PlannedChange {
    PlannedChange { op: edit.op, kind: edit.kind, name: edit.full_name.clone(), fields: edit.fields.clone() }
}

pub(super) fn record(write: &mut Write<'_>, edit: &Edit) -> Result<(), StoreError> {
    // A new tenant is nobody's yet: only who may change the whole installation creates one.
    let tenant = (edit.kind != Entity::Tenant).then_some(edit.tenant);
    let (before, after) = audited(edit.before.as_deref(), edit.after.as_deref());
    write.record(Change {
        needs: Action::ChangeResources,
        tenant,
        action: action(edit.kind, edit.op),
        entity: edit.kind,
        id: edit.id,
        version: edit.version,
        before,
        after,
    })
}

fn action(kind: Entity, op: Op) -> &'static str {
    match (kind, op) {
        (Entity::Tenant, _) => "tenant.create",
        (Entity::Project, Op::Create) => "project.create",
        (Entity::Project, Op::Update) => "project.update",
        (Entity::Project, Op::Delete) => "project.delete",
        (Entity::Service, Op::Create) => "service.create",
        (Entity::Service, Op::Update) => "service.update",
        (Entity::Service, Op::Delete) => "service.delete",
        (Entity::Policy, Op::Create) => "policy.create",
        (Entity::Policy, Op::Update) => "policy.update",
        (Entity::Policy, Op::Delete) => "policy.delete",
        (_, Op::Create) => "consumer.create",
        (_, Op::Update) => "consumer.update",
        (_, Op::Delete) => "consumer.delete",
    }
}

pub(super) async fn write_rows(conn: &mut AnyConnection, edits: &[Edit]) -> Result<(), StoreError> {
    for edit in edits {
        let after = || edit.after.clone().unwrap_or_default();
        let statement = match (edit.kind, edit.op) {
            (Entity::Tenant, _) => sql("INSERT INTO tenants (id, name, version) VALUES ($1, $2, 1)")
                .bind(edit.id)
                .bind(edit.name.clone()),
            (Entity::Project, Op::Create) => {
                sql("INSERT INTO projects (id, tenant, name, key_prefix, version) VALUES ($1, $2, $3, $4, 1)")
                    .bind(edit.id)
                    .bind(edit.tenant.to_sql())
                    .bind(edit.name.clone())
                    .bind(edit.key_prefix.clone().unwrap_or_default())
            }
            (Entity::Project, Op::Update) => {
                sql("UPDATE projects SET key_prefix = $1, version = $2 WHERE id = $3")
                    .bind(edit.key_prefix.clone().unwrap_or_default())
                    .bind(edit.version as i64)
                    .bind(edit.id)
            }
            // Consumers may be many: below, many a statement.
            (Entity::Consumer, Op::Create) => continue,
            (kind, Op::Create) => {
                let text = format!(
                    "INSERT INTO {} (id, project, name, spec, version) VALUES ($1, $2, $3, $4, 1)",
                    table(kind)
                );
                let project = edit.project.map(tollgate_core::id::ProjectId::to_sql);
                built(text).bind(edit.id).bind(project).bind(edit.name.clone()).bind(after())
            }
            (kind, Op::Update) => {
                built(format!("UPDATE {} SET spec = $1, version = $2 WHERE id = $3", table(kind)))
                    .bind(after())
                    .bind(edit.version as i64)
                    .bind(edit.id)
            }
            (kind, Op::Delete) => built(format!("DELETE FROM {} WHERE id = $1", table(kind))).bind(edit.id),
        };
        run(statement, conn).await?;
    }
    insert_consumers(conn, edits).await
}

async fn insert_consumers(conn: &mut AnyConnection, edits: &[Edit]) -> Result<(), StoreError> {
    let new: Vec<&Edit> =
        edits.iter().filter(|edit| (edit.kind, edit.op) == (Entity::Consumer, Op::Create)).collect();
    for part in new.chunks(rows_max(5)) {
        let text = format!(
            "INSERT INTO consumers (id, project, name, spec, version) VALUES {}",
            places(part.len(), 5)
        );
        let mut statement = bulk(text);
        for edit in part {
            statement = statement
                .bind(edit.id)
                .bind(edit.project.map(tollgate_core::id::ProjectId::to_sql))
                .bind(edit.name.clone())
                .bind(edit.after.clone().unwrap_or_default())
                .bind(1_i64);
        }
        run(statement, conn).await?;
    }
    Ok(())
}

const fn table(kind: Entity) -> &'static str {
    match kind {
        Entity::Service => "services",
        Entity::Policy => "policies",
        Entity::Project => "projects",
        _ => "consumers",
    }
}
