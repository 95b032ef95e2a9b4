//! Writing the resources out.

use std::collections::HashMap;

use tollgate_core::ingest_spec::EventTypeSpec;
use tollgate_core::resource::{ConsumerSpec, ProjectSpec, Resources, TenantSpec};
use tollgate_core::webhook::WebhookSpec;

use super::{
    meters::exported,
    rows::{SpecRow, State, specs},
};
use crate::{error::StoreError, open::Store, sql::sql};

impl Store {
    /// All resources, by name; applying them changes nothing. Projects are named `tenant/project` where
    /// the short name is ambiguous.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn export(&self) -> Result<Resources, StoreError> {
        let mut tx = self.begin_read().await?;
        let state = State::load(&mut tx).await?;
        let text = "SELECT id, project, spec, version FROM consumers ORDER BY name";
        let consumers: Vec<SpecRow<ConsumerSpec>> = specs(sql(text), &mut tx).await?;
        tx.rollback().await?;

        let mut shares: HashMap<&str, u32> = HashMap::new();
        for project in &state.projects {
            *shares.entry(&project.name).or_default() += 1;
        }
        let names: HashMap<u64, String> = state
            .projects
            .iter()
            .map(|project| {
                let alone = shares.get(project.name.as_str()).is_none_or(|count| *count == 1);
                (project.id.0, if alone { project.name.clone() } else { project.full_name() })
            })
            .collect();
        let name_of = |id: u64, written: &str| names.get(&id).cloned().unwrap_or_else(|| written.to_owned());

        let mut resources = Resources {
            tenants: state.tenants.iter().map(|row| TenantSpec { name: row.name.clone() }).collect(),
            projects: state
                .projects
                .iter()
                .map(|row| ProjectSpec {
                    tenant: row.tenant_name.clone(),
                    name: row.name.clone(),
                    key_prefix: row.key_prefix.clone(),
                })
                .collect(),
            ..Resources::default()
        };
        for row in state.services {
            let project = name_of(row.project.0, &row.spec.project);
            resources.services.push(tollgate_core::resource::ServiceSpec { project, ..row.spec });
        }
        for row in state.policies {
            let project = name_of(row.project.0, &row.spec.project);
            resources.policies.push(tollgate_core::resource::PolicySpec { project, ..row.spec });
        }
        for row in consumers {
            let project = name_of(row.project.0, &row.spec.project);
            resources.consumers.push(ConsumerSpec { project, ..row.spec });
        }
        for row in state.models {
            let project = name_of(row.project.0, &row.spec.project);
            resources.models.push(tollgate_core::predict_spec::ModelSpec { project, ..row.spec });
        }
        resources.meters = exported(state.meters, name_of);
        for row in state.event_types {
            let project = name_of(row.project.0, &row.spec.project);
            resources.event_types.push(EventTypeSpec { project, ..row.spec });
        }
        for row in state.rules {
            let project = name_of(row.project.0, &row.spec.project);
            resources.rules.push(tollgate_core::rule::spec::RuleSpec { project, ..row.spec });
        }
        resources.prices.extend(state.prices.into_iter().map(|row| row.spec));
        for row in state.webhooks {
            let project =
                row.project.zip(row.spec.project.as_deref()).map(|(id, written)| name_of(id.0, written));
            resources.webhooks.push(WebhookSpec { project, ..row.spec });
        }
        resources.budgets.extend(state.budgets.into_iter().map(|row| row.spec));
        Ok(resources)
    }
}
