//! Types of events of a file compared with their rows. Each version of a type is a resource of its own, told
//! apart by name and version; its schema is compiled before it is kept.

use std::borrow::Cow;

use jsonschema::PatternOptions;
use tollgate_core::{field_error::FieldError, ingest_service::check_event_type, ingest_spec::EventTypeSpec};

use super::{
    checks::under,
    diff::Diff,
    event_schema::check_refs,
    prune::{delete, split},
    rows::{ProjectRow, Spec},
};
use crate::error::{Entity, StoreError};

/// Versions of types of one project.
const TYPES_MAX: usize = 1000;

impl Spec for EventTypeSpec {
    fn name(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}@{}", self.name, self.version))
    }
}

impl Diff<'_> {
    /// Compares the types of events of the file with their rows.
    pub(super) fn event_types(&mut self) -> Result<(), StoreError> {
        for (index, written) in self.resources.event_types.iter().enumerate() {
            let field = format!("event_type[{index}]");
            let mut problems = check_event_type(written);
            if problems.is_empty()
                && let Err(problem) = check_schema(&written.schema)
            {
                problems.push(FieldError::new("schema", problem));
            }
            if !problems.is_empty() {
                self.errors.extend(under(&field, problems));
                continue;
            }
            let Some(project) = self.project(format!("{field}.project"), &written.project) else { continue };
            let spec = EventTypeSpec { project: project.full_name(), ..written.clone() };
            let mut rows = std::mem::take(&mut self.state.event_types);
            let id = self.put(Entity::EventType, &project, spec, &mut rows)?;
            let count = rows.iter().filter(|row| row.project == project.id).count();
            self.state.event_types = rows;
            if self.places.insert((Entity::EventType, id), index).is_some() {
                let problem = format!(
                    "version {} of `{}` stands here twice; leave one away",
                    written.version, written.name
                );
                self.error(format!("{field}.version"), problem);
            }
            if count > TYPES_MAX {
                let problem =
                    format!("project `{}` has more than {TYPES_MAX} versions of types", project.full_name());
                self.error(field, problem);
            }
        }
        Ok(())
    }

    /// Takes away the types that the file does not name, of a project that it names.
    pub(super) fn prune_event_types(&mut self, project: &ProjectRow) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.state.event_types);
        let (gone, kept) = split(rows, project.id, |id| self.places.contains_key(&(Entity::EventType, id)));
        self.state.event_types = kept;
        for row in gone {
            let edit = delete(Entity::EventType, project, &row)?;
            self.edits.push(edit);
        }
        Ok(())
    }
}

/// Whether a text is a JSON Schema that can be used: complete in itself, with patterns of linear time.
fn check_schema(text: &str) -> Result<(), String> {
    let schema: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    check_refs(&schema)?;
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    match options.build(&schema) {
        Ok(_) => Ok(()),
        Err(error) => {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { String::new() } else { format!(" at `{place}`") };
            let problem: String = error.to_string().chars().take(300).collect();
            Err(format!("it is not a JSON Schema that can be used{place}: {problem}"))
        }
    }
}
