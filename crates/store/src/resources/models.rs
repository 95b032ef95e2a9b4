//! Models of a file compared with their rows. Each version of a model is a resource of its own, told apart by name
//! and version.

use std::{borrow::Cow, collections::HashMap};

use tollgate_core::{field_error::FieldError, model::check_model, predict_spec::ModelSpec};

use super::{
    checks::under,
    diff::Diff,
    prune::{delete, split},
    rows::{ProjectRow, Spec, SpecRow},
};
use crate::error::{Entity, StoreError};

/// Versions of models of one project.
const MODELS_MAX: usize = 500;

impl Spec for ModelSpec {
    fn name(&self) -> Cow<'_, str> {
        Cow::Owned(self.full_version())
    }
}

impl Diff<'_> {
    /// Compares the models of the file with their rows.
    pub(super) fn models(&mut self) -> Result<(), StoreError> {
        for (index, written) in self.resources.models.iter().enumerate() {
            let field = format!("model[{index}]");
            let mut problems = check_model(written);
            problems.extend(sample_problem(written));
            if !problems.is_empty() {
                self.errors.extend(under(&field, problems));
                continue;
            }
            let Some(project) = self.project(format!("{field}.project"), &written.project) else { continue };
            let spec = ModelSpec { project: project.full_name(), ..written.clone() };
            self.check_file(&field, &project, &spec);
            let spec = self.held_model(&field, &project, spec);
            let mut rows = std::mem::take(&mut self.state.models);
            let id = self.put(Entity::Model, &project, spec, &mut rows)?;
            let count = rows.iter().filter(|row| row.project == project.id).count();
            self.state.models = rows;
            if self.places.insert((Entity::Model, id), index).is_some() {
                let problem = format!(
                    "version `{}` of `{}` stands here twice; leave one away",
                    written.version, written.name
                );
                self.error(format!("{field}.version"), problem);
            }
            if count > MODELS_MAX {
                let name = project.full_name();
                self.error(field, format!("project `{name}` has more than {MODELS_MAX} versions of models"));
            }
        }
        Ok(())
    }

    /// What stands on the host belongs to its operator: nobody else says which of its files is read.
    fn check_file(&mut self, field: &str, project: &ProjectRow, spec: &ModelSpec) {
        if self.is_host {
            return;
        }
        let name = spec.full_version();
        let present =
            |row: &&SpecRow<ModelSpec>| row.project == project.id && row.spec.full_version() == name;
        let present = self.state.models.iter().find(present).and_then(|row| row.spec.file.as_ref());
        if present == spec.file.as_ref() {
            return;
        }
        if spec.file.is_none() {
            let problem =
                "it is a file of the host and stays it; take this version away, or register another one";
            self.error(format!("{field}.file"), problem);
        } else {
            let problem = "files of the host are named by its operator only, with `tollgate apply` there; \
                           serve the model from a server of yours and name it as `remote`";
            self.error(format!("{field}.file"), problem);
        }
    }

    /// Refuses a name that two versions of one model have, once it is known which there will be.
    pub(super) fn check_models(&mut self) {
        let mut errors = Vec::new();
        let mut taken: HashMap<(u64, &str, &str), &SpecRow<ModelSpec>> = HashMap::new();
        let versions = self.state.models.iter().map(|row| (row, &row.spec.version));
        let aliases =
            self.state.models.iter().flat_map(|row| row.spec.aliases.iter().map(move |own| (row, own)));
        for (row, name) in versions.chain(aliases) {
            let Some(other) = taken.insert((row.project.0, &row.spec.name, name), row) else { continue };
            let Some(index) = [row, other].iter().find_map(|row| self.places.get(&(Entity::Model, row.id)))
            else {
                continue;
            };
            let problem = format!(
                "`{name}` is what versions `{}` and `{}` of `{}` are called; leave it to one of them",
                other.spec.version, row.spec.version, row.spec.name
            );
            errors.push(FieldError::new(format!("model[{index}].aliases"), problem));
        }
        self.errors.append(&mut errors);
    }

    /// Takes away the models that the file does not name, of a project that it names.
    pub(super) fn prune_models(&mut self, project: &ProjectRow) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.state.models);
        let (gone, kept) = split(rows, project.id, |id| self.places.contains_key(&(Entity::Model, id)));
        self.state.models = kept;
        for row in gone {
            let edit = delete(Entity::Model, project, &row)?;
            self.edits.push(edit);
        }
        Ok(())
    }
}

/// What is wrong with a sample before any model sees it.
fn sample_problem(spec: &ModelSpec) -> Option<FieldError> {
    let sample = spec.sample.as_ref()?;
    let error = serde_json::from_str::<serde::de::IgnoredAny>(&sample.inputs).err()?;
    Some(FieldError::new("sample.inputs", format!("it is not JSON: {error}")))
}
