//! A further name of a model's version, given to it and taken from the version that had it, in one transaction:
//! nobody who asks for `stable` finds none, or two.

use tollgate_core::{authz::Permit, predict_spec::ModelSpec, resource::Resources};

use super::{
    apply::{Asked, compare, record, write_rows},
    one::{ResourceAt, plain, same_version},
    read::load,
    rows::State,
    view::{ResourceSpec, ResourceView},
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    write::Committed,
};

impl Store {
    /// Gives a version of a model an alias; another version of the model that has it loses it. The same again is no
    /// change. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Invalid`] for what is no alias, or is what a
    /// version itself is called.
    pub async fn give_model_alias(
        &self,
        permit: &Permit,
        at: ResourceAt,
        alias: &str,
        now_us: i64,
    ) -> Result<Committed<ResourceView>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let present = load(write.conn(), at.tenant, at.id).await?;
        same_version(Entity::Model, present.version, at.version)?;
        if !matches!(present.spec, ResourceSpec::Model(_)) {
            return Err(StoreError::not_found(Entity::Model, at.id));
        }
        let rows = State::load(write.conn()).await?.confine(at.tenant).models;
        let Some(own) = rows.iter().find(|row| row.id == at.id.to_sql()) else {
            return Err(StoreError::not_found(Entity::Model, at.id));
        };
        let mut models = vec![with(&own.spec, alias)];
        let others = rows.iter().filter(|row| row.project == own.project && row.id != own.id);
        let others = others.filter(|row| row.spec.name == own.spec.name);
        models.extend(others.filter_map(|row| without(&row.spec, alias)));
        let resources = Resources { models, ..Resources::default() };
        let diff =
            compare(write.conn(), permit, &resources, Asked::at(now_us).within(self.upstream_egress()))
                .await?;
        if !diff.errors.is_empty() {
            return Err(StoreError::Invalid(plain(Entity::Model, diff.errors)));
        }
        for edit in &diff.edits {
            record(&mut write, edit)?;
        }
        write_rows(write.conn(), &diff.edits, now_us).await?;
        let value = load(write.conn(), at.tenant, at.id).await?;
        Ok(Committed { value, seq: write.commit().await? })
    }
}

fn with(spec: &ModelSpec, alias: &str) -> ModelSpec {
    let mut spec = spec.clone();
    if !spec.aliases.iter().any(|own| own == alias) {
        spec.aliases.push(alias.to_owned());
    }
    spec
}

/// The same without the alias; nothing when it has not got it.
fn without(spec: &ModelSpec, alias: &str) -> Option<ModelSpec> {
    let mut spec = spec.clone();
    let had = spec.aliases.len();
    spec.aliases.retain(|own| own != alias);
    (spec.aliases.len() < had).then_some(spec)
}
