//! Taking away what a file does not name, in the projects that it names. What live keys still need
//! is refused, so that no key is denied by surprise.

use std::collections::HashSet;

use sqlx::AnyConnection;
use tollgate_core::{budget::held::Level, id::ProjectId, resource::ConsumerSpec};

use super::{
    Op,
    diff::{Diff, Edit, RowOf},
    rows::{ProjectRow, Spec, SpecRow, specs, to_json},
};
use crate::{
    error::{Entity, StoreError},
    sql::{Columns as _, Statement, all, sql},
};

impl Diff<'_> {
    /// Notes the deletions.
    pub(super) async fn prune(&mut self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let touched: Vec<ProjectRow> =
            self.state.projects.iter().filter(|row| self.touched.contains(&row.id.0)).cloned().collect();
        self.prune_prices()?;
        self.prune_budgets()?;
        self.prune_webhooks()?;
        for project in touched {
            self.prune_policies(conn, &project).await?;
            self.prune_services(&project)?;
            self.prune_event_types(&project)?;
            self.prune_meters(&project)?;
            self.prune_models(&project)?;
            self.prune_rules(&project)?;
            self.prune_consumers(conn, &project).await?;
        }
        Ok(())
    }

    async fn prune_policies(
        &mut self,
        conn: &mut AnyConnection,
        project: &ProjectRow,
    ) -> Result<(), StoreError> {
        let text =
            "SELECT DISTINCT policy FROM keys WHERE project = $1 AND state <> 3 AND policy IS NOT NULL";
        let needed = ids(sql(text).bind(project.id.to_sql()), conn).await?;
        let rows = std::mem::take(&mut self.state.policies);
        let (gone, kept) = split(rows, project.id, |id| self.places.contains_key(&(Entity::Policy, id)));
        self.state.policies = kept;
        for row in gone {
            if needed.contains(&row.id) {
                self.still_needed(Entity::Policy, project, &row.spec.name);
            }
            let edit = delete(Entity::Policy, project, &row)?;
            self.edits.push(edit);
        }
        Ok(())
    }

    fn prune_services(&mut self, project: &ProjectRow) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.state.services);
        let (gone, kept) = split(rows, project.id, |id| self.places.contains_key(&(Entity::Service, id)));
        self.state.services = kept;
        for row in gone {
            let edit = delete(Entity::Service, project, &row)?;
            self.edits.push(edit);
        }
        Ok(())
    }

    async fn prune_consumers(
        &mut self,
        conn: &mut AnyConnection,
        project: &ProjectRow,
    ) -> Result<(), StoreError> {
        let text = "SELECT DISTINCT consumer FROM keys WHERE project = $1 AND state <> 3";
        let needed = ids(sql(text).bind(project.id.to_sql()), conn).await?;
        let text = "SELECT id, project, spec, version FROM consumers WHERE project = $1 ORDER BY name";
        let rows: Vec<SpecRow<ConsumerSpec>> = specs(sql(text).bind(project.id.to_sql()), conn).await?;
        for row in rows {
            if self.consumers_named.contains(&(project.id.0, row.spec.name.clone())) {
                continue;
            }
            if needed.contains(&row.id) {
                self.still_needed(Entity::Consumer, project, &row.spec.name);
            }
            if self
                .state
                .budgets
                .iter()
                .any(|budget| (budget.level, budget.subject) == (Level::Consumer, row.id))
            {
                let name = format!("{}/{}", project.full_name(), row.spec.name);
                self.error(
                    "prune".to_owned(),
                    format!("consumer `{name}` has budgets in the file; keep both, or none"),
                );
            }
            let edit = delete(Entity::Consumer, project, &row)?;
            self.edits.push(edit);
        }
        Ok(())
    }

    fn still_needed(&mut self, kind: Entity, project: &ProjectRow, name: &str) {
        let problem = format!(
            "{kind} `{}/{name}` has keys that are not revoked; revoke them first, or keep it in the file",
            project.full_name()
        );
        self.error("prune".to_owned(), problem);
    }
}

/// The ids that a statement gives.
pub(super) async fn ids(statement: Statement, conn: &mut AnyConnection) -> Result<HashSet<i64>, StoreError> {
    all(statement, conn).await?.iter().map(|row| row.int(0)).collect()
}

/// The rows of a project that are not named, and all others.
pub(super) fn split<S>(
    rows: Vec<SpecRow<S>>,
    project: ProjectId,
    named: impl Fn(i64) -> bool,
) -> (Vec<SpecRow<S>>, Vec<SpecRow<S>>) {
    rows.into_iter().partition(|row| row.project == project && !named(row.id))
}

/// The deletion of a row.
pub(super) fn delete<S: Spec>(
    kind: Entity,
    project: &ProjectRow,
    row: &SpecRow<S>,
) -> Result<Edit, StoreError> {
    let name = row.spec.name().into_owned();
    Ok(Edit {
        op: Op::Delete,
        kind,
        id: row.id,
        tenant: Some(project.tenant),
        project: Some(project.id),
        full_name: format!("{}/{name}", project.full_name()),
        name,
        version: row.version + 1,
        before: Some(to_json(&row.spec)?),
        after: None,
        row: RowOf::Spec,
        fields: Vec::new(),
    })
}
