//! Webhooks of a file compared with their rows. Project or tenant and address tell one from another.

use std::collections::HashMap;

use sqlx::AnyConnection;
use tollgate_core::{
    id::{ProjectId, TenantId},
    webhook::{WebhookSpec, check_webhook},
};

use super::{
    Op,
    checks::under,
    diff::{Diff, Edit, RowOf, fields_that_differ},
    rows::{from_json, to_json},
};
use crate::{
    error::{Entity, StoreError},
    random,
    sql::{Columns as _, all, sql},
};

/// Webhooks of one tenant: each is looked at for every notice.
const WEBHOOKS_PER_TENANT_MAX: usize = 100;

/// A webhook's row.
#[derive(Clone, Debug)]
pub(crate) struct WebhookRow {
    pub(crate) id: i64,
    pub(crate) tenant: TenantId,
    /// `None` for a tenant's.
    pub(crate) project: Option<ProjectId>,
    pub(crate) spec: WebhookSpec,
    pub(crate) version: u64,
}

/// All rows.
pub(super) async fn load_webhooks(conn: &mut AnyConnection) -> Result<Vec<WebhookRow>, StoreError> {
    let text = "SELECT id, tenant, project, spec, version FROM webhooks ORDER BY name, id";
    let mut rows = Vec::new();
    for row in all(sql(text), conn).await? {
        rows.push(WebhookRow {
            id: row.int(0)?,
            tenant: TenantId::from_sql(row.int(1)?),
            project: row.opt_int(2)?.map(ProjectId::from_sql),
            spec: from_json(row.text(3)?)?,
            version: row.count(4)?,
        });
    }
    Ok(rows)
}

impl Diff<'_> {
    /// Compares the webhooks of the file with their rows.
    pub(super) fn webhooks(&mut self) -> Result<(), StoreError> {
        let resources = self.resources;
        for (index, written) in resources.webhooks.iter().enumerate() {
            let field = format!("webhook[{index}]");
            let problems = check_webhook(written);
            if !problems.is_empty() {
                self.errors.extend(under(&field, problems));
                continue;
            }
            let found = match (&written.project, &written.tenant) {
                (Some(project), _) => self.project(format!("{field}.project"), project).map(|row| {
                    let spec = WebhookSpec { project: Some(row.full_name()), ..written.clone() };
                    (row.tenant, Some(row.id), spec)
                }),
                (None, Some(tenant)) => {
                    self.tenant(format!("{field}.tenant"), tenant).map(|row| (row.id, None, written.clone()))
                }
                (None, None) => None,
            };
            let Some((tenant, project, spec)) = found else { continue };
            self.webhook(index, WebhookRow { id: 0, tenant, project, spec, version: 1 })?;
        }
        self.check_webhook_counts();
        Ok(())
    }

    fn webhook(&mut self, index: usize, new: WebhookRow) -> Result<(), StoreError> {
        let same = |row: &&mut WebhookRow| {
            (row.tenant, row.project, &row.spec.url) == (new.tenant, new.project, &new.spec.url)
        };
        if let Some(row) = self.state.webhooks.iter_mut().find(same) {
            if self.places.insert((Entity::Webhook, row.id), index).is_some() {
                let problem =
                    "this address is told twice of the same; leave one away, or write all events in one";
                self.error(format!("webhook[{index}].url"), problem);
                return Ok(());
            }
            if row.spec == new.spec {
                return Ok(());
            }
            row.version += 1;
            let before = std::mem::replace(&mut row.spec, new.spec);
            let mut edit = webhook_edit(Op::Update, row, (Some(&before), Some(&row.spec)))?;
            edit.fields = fields_that_differ(&before, &row.spec)?;
            self.edits.push(edit);
            return Ok(());
        }
        let id = (u64::from_le_bytes(random::id_bytes()?) >> 1) as i64;
        self.places.insert((Entity::Webhook, id), index);
        let row = WebhookRow { id, ..new };
        self.edits.push(webhook_edit(Op::Create, &row, (None, Some(&row.spec)))?);
        self.state.webhooks.push(row);
        Ok(())
    }

    fn check_webhook_counts(&mut self) {
        if self.resources.webhooks.is_empty() {
            return;
        }
        let mut counts: HashMap<TenantId, usize> = HashMap::new();
        for row in &self.state.webhooks {
            *counts.entry(row.tenant).or_default() += 1;
        }
        if counts.values().any(|count| *count > WEBHOOKS_PER_TENANT_MAX) {
            let problem = format!("a tenant may have at most {WEBHOOKS_PER_TENANT_MAX} webhooks");
            self.error("webhook".to_owned(), problem);
        }
    }

    /// Takes away the webhooks that the file does not name, of projects and tenants that it names.
    pub(super) fn prune_webhooks(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.state.webhooks);
        let goes = |row: &WebhookRow| {
            let is_meant = match row.project {
                Some(project) => self.touched.contains(&project.0),
                None => self.tenants_named.contains(&row.tenant.0),
            };
            is_meant && !self.places.contains_key(&(Entity::Webhook, row.id))
        };
        let (gone, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(goes);
        self.state.webhooks = kept;
        for row in gone {
            self.edits.push(webhook_deletion(&row)?);
        }
        Ok(())
    }
}

/// The end of a webhook, with its secrets and what was on its way.
pub(super) fn webhook_deletion(row: &WebhookRow) -> Result<Edit, StoreError> {
    let mut edit = webhook_edit(Op::Delete, row, (Some(&row.spec), None))?;
    edit.version += 1;
    Ok(edit)
}

fn webhook_edit(
    op: Op,
    row: &WebhookRow,
    (before, after): (Option<&WebhookSpec>, Option<&WebhookSpec>),
) -> Result<Edit, StoreError> {
    let holder = row.spec.project.as_ref().or(row.spec.tenant.as_ref());
    let name = format!("{} {}", holder.map_or("", String::as_str), row.spec.url);
    Ok(Edit {
        op,
        kind: Entity::Webhook,
        id: row.id,
        tenant: Some(row.tenant),
        project: row.project,
        full_name: name.clone(),
        name,
        version: row.version,
        before: before.map(to_json).transpose()?,
        after: after.map(to_json).transpose()?,
        row: RowOf::Webhook,
        fields: Vec::new(),
    })
}
