//! Budgets of a file compared with their rows. Holder, currency and period tell one from another.

use std::collections::{HashMap, HashSet};

use sqlx::AnyConnection;
use tollgate_core::{
    budget::{
        Budget,
        held::{BUDGETS_PER_HOLDER_MAX, Level},
        spec::{BudgetPeriod, BudgetSpec, HolderSpec},
    },
    id::{KeyId, ProjectId, TenantId},
    money::amount::Currency,
};

use super::{
    Op,
    checks::under,
    diff::{Diff, Edit, RowOf, fields_that_differ},
    rows::{ProjectRow, from_json, to_json},
};
use crate::{
    error::{Entity, StoreError},
    random,
    sql::{Columns as _, all, one, sql},
};

/// Budgets an installation may have: all of them are in every node's memory.
pub(super) const BUDGETS_MAX: usize = 100_000;

/// A budget's row.
#[derive(Clone, Debug)]
pub(crate) struct BudgetRow {
    pub(crate) id: i64,
    pub(crate) tenant: TenantId,
    /// `None` for a tenant's.
    pub(crate) project: Option<ProjectId>,
    pub(crate) level: Level,
    pub(crate) subject: i64,
    pub(crate) name: String,
    pub(crate) spec: BudgetSpec,
    pub(crate) version: u64,
}

/// What tells one budget from another.
type Identity = (Level, i64, Currency, BudgetPeriod);

impl BudgetRow {
    fn identity(&self) -> Identity {
        (self.level, self.subject, self.spec.currency, self.spec.period)
    }

    /// Its holder in words: `acme/maps/android-team`, the id of a key.
    pub(crate) fn holder(&self) -> String {
        holder_words(&self.spec)
    }
}

/// Who holds a budget, in words, once its names are full.
pub(super) fn holder_words(spec: &BudgetSpec) -> String {
    let BudgetSpec { tenant, project, consumer, key, .. } = spec;
    match (key, project, consumer) {
        (Some(key), _, _) => key.to_string(),
        (None, Some(project), Some(consumer)) => format!("{project}/{consumer}"),
        (None, Some(project), None) => project.clone(),
        (None, None, _) => tenant.clone().unwrap_or_default(),
    }
}

/// The level as rows have it.
pub(super) const fn level_to_sql(level: Level) -> i64 {
    match level {
        Level::Key => 0,
        Level::Consumer => 1,
        Level::Project => 2,
        Level::Tenant => 3,
    }
}

/// The level that a row has.
pub(super) fn level_from_sql(value: i64) -> Result<Level, StoreError> {
    match value {
        0 => Ok(Level::Key),
        1 => Ok(Level::Consumer),
        2 => Ok(Level::Project),
        3 => Ok(Level::Tenant),
        other => Err(StoreError::corrupt(format!("a budget has level {other}"))),
    }
}

/// All rows.
pub(super) async fn load_budgets(conn: &mut AnyConnection) -> Result<Vec<BudgetRow>, StoreError> {
    let text =
        "SELECT id, tenant, project, level, subject, name, spec, version FROM budgets ORDER BY name, id";
    let mut rows = Vec::new();
    for row in all(sql(text), conn).await? {
        rows.push(BudgetRow {
            id: row.int(0)?,
            tenant: TenantId::from_sql(row.int(1)?),
            project: row.opt_int(2)?.map(ProjectId::from_sql),
            level: level_from_sql(row.int(3)?)?,
            subject: row.int(4)?,
            name: row.text(5)?.to_owned(),
            spec: from_json(row.text(6)?)?,
            version: row.count(7)?,
        });
    }
    Ok(rows)
}

/// Who holds a budget of the file.
struct Holder {
    level: Level,
    subject: i64,
    tenant: TenantId,
    project: Option<ProjectRow>,
    /// The budget with full names.
    spec: BudgetSpec,
}

impl Diff<'_> {
    /// Compares the budgets of the file with their rows.
    pub(super) async fn budgets(&mut self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let resources = self.resources;
        let mut seen = HashSet::new();
        for (index, written) in resources.budgets.iter().enumerate() {
            let field = format!("budget[{index}]");
            if let Err(problems) = Budget::compile(written) {
                self.errors.extend(under(&field, problems));
                continue;
            }
            let Some(holder) = self.holder(conn, &field, written).await? else { continue };
            if !seen.insert((holder.level, holder.subject, written.currency, written.period)) {
                let problem =
                    "this holder has a budget of this currency and period here already; leave one away";
                self.error(field, problem);
                continue;
            }
            self.budget(index, holder)?;
        }
        self.check_budget_counts();
        Ok(())
    }

    fn check_budget_counts(&mut self) {
        if self.resources.budgets.is_empty() {
            return;
        }
        let mut counts: HashMap<(Level, i64), usize> = HashMap::new();
        for row in &self.state.budgets {
            *counts.entry((row.level, row.subject)).or_default() += 1;
        }
        let many = counts.values().any(|count| *count > BUDGETS_PER_HOLDER_MAX);
        if many {
            let problem = format!("one holder may have at most {BUDGETS_PER_HOLDER_MAX} budgets");
            self.error("budget".to_owned(), problem);
        }
        if self.state.budgets.len() > BUDGETS_MAX {
            self.error("budget".to_owned(), format!("at most {BUDGETS_MAX} budgets are kept"));
        }
    }

    fn budget(&mut self, index: usize, holder: Holder) -> Result<(), StoreError> {
        let Holder { level, subject, tenant, project, spec } = holder;
        let name = format!("{} {} {}", holder_words(&spec), spec.currency, spec.period.name());
        let identity = (level, subject, spec.currency, spec.period);
        let edit = match self.state.budgets.iter_mut().find(|row| row.identity() == identity) {
            Some(row) => {
                self.places.insert((Entity::Budget, row.id), index);
                if row.spec == spec {
                    return Ok(());
                }
                row.version += 1;
                let before = std::mem::replace(&mut row.spec, spec);
                let mut edit = budget_edit(Op::Update, row, (Some(&before), Some(&row.spec)))?;
                edit.fields = fields_that_differ(&before, &row.spec)?;
                edit
            }
            None => {
                let id = (u64::from_le_bytes(random::id_bytes()?) >> 1) as i64;
                self.places.insert((Entity::Budget, id), index);
                let project = project.map(|row| row.id);
                let row = BudgetRow { id, tenant, project, level, subject, name, spec, version: 1 };
                let edit = budget_edit(Op::Create, &row, (None, Some(&row.spec)))?;
                self.state.budgets.push(row);
                edit
            }
        };
        self.edits.push(edit);
        Ok(())
    }

    /// Finds who shall hold a budget; `None` when that is wrong, which is noted.
    async fn holder(
        &mut self,
        conn: &mut AnyConnection,
        field: &str,
        written: &BudgetSpec,
    ) -> Result<Option<Holder>, StoreError> {
        let plain = BudgetSpec { tenant: None, project: None, consumer: None, key: None, ..written.clone() };
        let named = match written.holder() {
            Ok(named) => named,
            // It was noted when the budget was compiled.
            Err(_) => return Ok(None),
        };
        let found = match named {
            HolderSpec::Tenant(name) => self.tenant(format!("{field}.tenant"), name).map(|row| Holder {
                level: Level::Tenant,
                subject: row.id.to_sql(),
                tenant: row.id,
                project: None,
                spec: BudgetSpec { tenant: Some(row.name), ..plain },
            }),
            HolderSpec::Project(name) => self.project(format!("{field}.project"), name).map(|row| {
                let spec = BudgetSpec { project: Some(row.full_name()), ..plain };
                let (level, subject) = (Level::Project, row.id.to_sql());
                Holder { level, subject, tenant: row.tenant, project: Some(row), spec }
            }),
            HolderSpec::Consumer { project, consumer } => {
                let Some(row) = self.project(format!("{field}.project"), project) else { return Ok(None) };
                let Some(subject) = self.consumer_id(conn, row.id, consumer).await? else {
                    let problem = format!("project `{}` has no consumer `{consumer}`", row.full_name());
                    self.error(format!("{field}.consumer"), problem);
                    return Ok(None);
                };
                let (full, consumer) = (row.full_name(), consumer.to_owned());
                let spec = BudgetSpec { project: Some(full), consumer: Some(consumer), ..plain };
                Some(Holder { level: Level::Consumer, subject, tenant: row.tenant, project: Some(row), spec })
            }
            HolderSpec::Key(key) => self.key_holder(conn, field, (key, written, plain)).await?,
        };
        Ok(found)
    }

    async fn key_holder(
        &mut self,
        conn: &mut AnyConnection,
        field: &str,
        (key, written, plain): (KeyId, &BudgetSpec, BudgetSpec),
    ) -> Result<Option<Holder>, StoreError> {
        let row = one(sql("SELECT project FROM keys WHERE id = $1").bind(key.to_sql()), conn).await?;
        let project = row.map(|row| row.int(0)).transpose()?.map(ProjectId::from_sql);
        let project = project.and_then(|id| self.state.project_by_id(id)).cloned();
        let Some(project) = project else {
            self.error(format!("{field}.key"), format!("there is no key `{key}`; correct the id"));
            return Ok(None);
        };
        let full = project.full_name();
        if written.project.as_ref().is_some_and(|named| *named != project.name && *named != full) {
            let problem = format!("the key is in project `{full}`; name that one, or leave it away");
            self.error(format!("{field}.project"), problem);
            return Ok(None);
        }
        self.touched.insert(project.id.0);
        let spec = BudgetSpec { project: Some(full), key: Some(key), ..plain };
        let (level, subject) = (Level::Key, key.to_sql());
        Ok(Some(Holder { level, subject, tenant: project.tenant, project: Some(project), spec }))
    }

    /// The id of a consumer, of the rows or of those that the file makes.
    async fn consumer_id(
        &mut self,
        conn: &mut AnyConnection,
        project: ProjectId,
        name: &str,
    ) -> Result<Option<i64>, StoreError> {
        let made = self.edits.iter().find(|edit| {
            edit.kind == Entity::Consumer
                && edit.op == Op::Create
                && edit.project == Some(project)
                && edit.name == name
        });
        if let Some(edit) = made {
            return Ok(Some(edit.id));
        }
        let select = sql("SELECT id FROM consumers WHERE project = $1 AND name = $2");
        let row = one(select.bind(project.to_sql()).bind(name.to_owned()), conn).await?;
        row.map(|row| row.int(0)).transpose()
    }

    /// Takes away the budgets that the file does not name, of projects and tenants that it names.
    pub(super) fn prune_budgets(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.state.budgets);
        let goes = |row: &BudgetRow| {
            let is_meant = match row.project {
                Some(project) => self.touched.contains(&project.0),
                None => self.tenants_named.contains(&row.tenant.0),
            };
            is_meant && !self.places.contains_key(&(Entity::Budget, row.id))
        };
        let (gone, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(goes);
        self.state.budgets = kept;
        for row in gone {
            self.edits.push(deletion(&row)?);
        }
        Ok(())
    }
}

/// The end of a budget. What was spent stays in the ledger.
pub(super) fn deletion(row: &BudgetRow) -> Result<Edit, StoreError> {
    let mut edit = budget_edit(Op::Delete, row, (Some(&row.spec), None))?;
    edit.version += 1;
    Ok(edit)
}

fn budget_edit(
    op: Op,
    row: &BudgetRow,
    (before, after): (Option<&BudgetSpec>, Option<&BudgetSpec>),
) -> Result<Edit, StoreError> {
    let (currency, period) = (row.spec.currency.to_string(), row.spec.period.name());
    Ok(Edit {
        op,
        kind: Entity::Budget,
        id: row.id,
        tenant: Some(row.tenant),
        project: row.project,
        name: row.name.clone(),
        full_name: row.name.clone(),
        version: row.version,
        before: before.map(to_json).transpose()?,
        after: after.map(to_json).transpose()?,
        row: RowOf::Budget { level: level_to_sql(row.level), subject: row.subject, currency, period },
        fields: Vec::new(),
    })
}
