//! Bringing the rows to what a file says, in one transaction.

use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    resource::Resources,
    webhook::Egress,
};

use super::{
    ApplyMode, Op, Plan, PlannedChange,
    audited::audited,
    diff::{Diff, Edit, RowOf},
    meters::{meter_inserted, meter_updated, meters_change},
    rows::State,
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{Statement, built, bulk, places, rows_max, run, sql},
    write::{Change, Write},
};

impl Store {
    /// Creates and updates what differs. Nothing is changed when anything is wrong. Needs
    /// `Action::ChangeResources` in every tenant touched; creating a tenant needs it for the installation.
    /// Where a service is to send a secret, or to send it elsewhere, a permit for one tenant has to be for
    /// `Action::ChangeProviderCredentials` along with it.
    ///
    /// # Errors
    /// [`StoreError::SignInNotFresh`] without the latter;
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
        let asked = Asked { prune: mode.prune, ..Asked::at(now_us) }.within(self.upstream_egress());
        let diff = compare(write.conn(), permit, resources, asked).await?;
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
        write_rows(write.conn(), &edits, now_us).await?;
        let changed = !write.is_empty();
        let seq = write.commit().await?;
        Ok(Plan { changes, seq: if changed { seq } else { 0 } })
    }
}

/// How resources are compared with their rows.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) prune: bool,
    /// The moment of it, wall microseconds.
    pub(super) now_us: i64,
    /// Where upstreams of tenants may be; where it is not said, no resource has any.
    pub(super) egress: Option<&'a Egress>,
}

impl<'a> Asked<'a> {
    /// Without prune.
    pub(super) const fn at(now_us: i64) -> Self {
        Self { prune: false, now_us, egress: None }
    }

    /// With where upstreams of tenants may be.
    pub(super) const fn within(self, egress: &'a Egress) -> Self {
        Self { egress: Some(egress), ..self }
    }
}

/// Compares resources with their rows. A permit for one tenant sees nothing of others.
pub(super) async fn compare<'r>(
    conn: &mut AnyConnection,
    permit: &Permit,
    resources: &'r Resources,
    asked: Asked<'_>,
) -> Result<Diff<'r>, StoreError> {
    let state = State::load(conn).await?;
    let tenants = state.tenants.len();
    let state = match permit.tenant() {
        Some(tenant) => state.confine(tenant),
        None => state,
    };
    let mut diff = Diff::new(resources, state, permit.tenant().is_none(), asked.now_us);
    diff.tenants = tenants;
    diff.egress = asked.egress.cloned().unwrap_or_default();
    diff.tenants()?;
    diff.projects()?;
    diff.services()?;
    if diff.moves_secret && !permit.covers(Action::ChangeProviderCredentials, permit.tenant()) {
        return Err(StoreError::SignInNotFresh);
    }
    diff.policies()?;
    diff.consumers(conn).await?;
    diff.prices()?;
    diff.budgets(conn).await?;
    diff.event_types()?;
    diff.webhooks()?;
    diff.meters()?;
    diff.models()?;
    diff.rules()?;
    if asked.prune {
        diff.prune(conn).await?;
    }
    diff.check_services();
    diff.check_policies();
    diff.check_models();
    diff.check_rules();
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
            Entity::Budget => 5,
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
    let tenant = edit.tenant.filter(|_| edit.kind != Entity::Tenant);
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
        (Entity::Price, Op::Create) => "price.create",
        (Entity::Price, Op::Update) => "price.update",
        (Entity::Price, Op::Delete) => "price.delete",
        (Entity::Model, Op::Create) => "model.create",
        (Entity::Model, Op::Update) => "model.update",
        (Entity::Model, Op::Delete) => "model.delete",
        (Entity::Meter, Op::Create) => "meter.create",
        (Entity::Meter, Op::Update) => "meter.update",
        (Entity::Meter, Op::Delete) => "meter.delete",
        (Entity::EventType, Op::Create) => "event_type.create",
        (Entity::EventType, Op::Update) => "event_type.update",
        (Entity::EventType, Op::Delete) => "event_type.delete",
        (Entity::Rule, Op::Create) => "rule.create",
        (Entity::Rule, Op::Update) => "rule.update",
        (Entity::Rule, Op::Delete) => "rule.delete",
        (Entity::Budget, Op::Create) => "budget.create",
        (Entity::Budget, Op::Update) => "budget.update",
        (Entity::Budget, Op::Delete) => "budget.delete",
        (Entity::Webhook, Op::Create) => "webhook.create",
        (Entity::Webhook, Op::Update) => "webhook.update",
        (Entity::Webhook, Op::Delete) => "webhook.delete",
        (_, Op::Create) => "consumer.create",
        (_, Op::Update) => "consumer.update",
        (_, Op::Delete) => "consumer.delete",
    }
}

pub(super) async fn write_rows(
    conn: &mut AnyConnection,
    edits: &[Edit],
    now_us: i64,
) -> Result<(), StoreError> {
    meters_change(conn, edits).await?;
    for edit in edits {
        let statement = match edit.op {
            // Consumers may be many: below, many a statement.
            Op::Create if edit.kind == Entity::Consumer => continue,
            Op::Create => inserted(edit, now_us),
            Op::Update => updated(edit, now_us),
            Op::Delete if edit.kind == Entity::Price => {
                sql("UPDATE prices SET withdrawn_us = $1, version = $2 WHERE id = $3")
                    .bind(now_us)
                    .bind(edit.version as i64)
                    .bind(edit.id)
            }
            Op::Delete => built(format!("DELETE FROM {} WHERE id = $1", table(edit.kind))).bind(edit.id),
        };
        run(statement, conn).await?;
    }
    insert_consumers(conn, edits).await
}

fn inserted(edit: &Edit, now_us: i64) -> Statement {
    let tenant = edit.tenant.map(tollgate_core::id::TenantId::to_sql);
    let project = edit.project.map(tollgate_core::id::ProjectId::to_sql);
    let after = edit.after.clone().unwrap_or_default();
    match &edit.row {
        RowOf::Project { key_prefix } => {
            sql("INSERT INTO projects (id, tenant, name, key_prefix, version) VALUES ($1, $2, $3, $4, 1)")
                .bind(edit.id)
                .bind(tenant)
                .bind(edit.name.clone())
                .bind(key_prefix.clone())
        }
        RowOf::Price { from_us } => sql("INSERT INTO prices (id, tenant, from_us, name, spec, version, \
                                         created_us) VALUES ($1, $2, $3, $4, $5, 1, $6)")
        .bind(edit.id)
        .bind(tenant)
        .bind(*from_us)
        .bind(edit.name.clone())
        .bind(after)
        .bind(now_us),
        RowOf::Budget { level, subject, currency, period } => {
            sql("INSERT INTO budgets (id, tenant, project, level, subject, currency, period, name, spec, \
                 version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)")
            .bind(edit.id)
            .bind(tenant)
            .bind(project)
            .bind(*level)
            .bind(*subject)
            .bind(currency.clone())
            .bind(*period)
            .bind(edit.name.clone())
            .bind(after)
        }
        RowOf::Meter { series, .. } => meter_inserted(edit, *series, now_us),
        RowOf::Webhook => sql("INSERT INTO webhooks (id, tenant, project, name, spec, version, seen) \
                               VALUES ($1, $2, $3, $4, $5, 1, (SELECT next FROM notice_head WHERE id = 1))")
        .bind(edit.id)
        .bind(tenant)
        .bind(project)
        .bind(edit.name.clone())
        .bind(after),
        RowOf::Spec if edit.kind == Entity::Tenant => {
            sql("INSERT INTO tenants (id, name, version) VALUES ($1, $2, 1)")
                .bind(edit.id)
                .bind(edit.name.clone())
        }
        RowOf::Spec => {
            let text = format!(
                "INSERT INTO {} (id, project, name, spec, version) VALUES ($1, $2, $3, $4, 1)",
                table(edit.kind)
            );
            built(text).bind(edit.id).bind(project).bind(edit.name.clone()).bind(after)
        }
    }
}

fn updated(edit: &Edit, now_us: i64) -> Statement {
    let statement = match &edit.row {
        RowOf::Meter { series, .. } => return meter_updated(edit, *series, now_us),
        RowOf::Project { key_prefix } => {
            sql("UPDATE projects SET key_prefix = $1, version = $2 WHERE id = $3").bind(key_prefix.clone())
        }
        _ => built(format!("UPDATE {} SET spec = $1, version = $2 WHERE id = $3", table(edit.kind)))
            .bind(edit.after.clone().unwrap_or_default()),
    };
    statement.bind(edit.version as i64).bind(edit.id)
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
        Entity::Price => "prices",
        Entity::Budget => "budgets",
        Entity::EventType => "event_types",
        Entity::Webhook => "webhooks",
        Entity::Meter => "meters",
        Entity::Model => "models",
        Entity::Rule => "rules",
        _ => "consumers",
    }
}
