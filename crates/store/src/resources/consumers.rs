//! Consumers of a file: there may be many, so only those it names are read.

use std::collections::{BTreeMap, HashMap};

use sqlx::AnyConnection;
use tollgate_core::{id::ProjectId, resource::ConsumerSpec};

use super::{
    diff::Diff,
    rows::{ProjectRow, SpecRow, specs},
};
use crate::{
    error::StoreError,
    sql::{built, list},
};

/// Entries that the metadata of a consumer or key may have.
pub(crate) const METADATA_MAX: usize = 64;
/// Bytes of a metadata name.
const METADATA_NAME_BYTES_MAX: usize = 64;
/// Bytes of a metadata value, and of an external id.
const METADATA_BYTES_MAX: usize = 1024;
/// Names asked for in one statement.
const NAMES_MAX: usize = 500;

impl Diff<'_> {
    /// Compares the consumers of the file with their rows.
    pub(super) async fn consumers(&mut self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let resources = self.resources;
        let mut by_project: BTreeMap<u64, (ProjectRow, Vec<ConsumerSpec>)> = BTreeMap::new();
        for (index, written) in resources.consumers.iter().enumerate() {
            let field = format!("consumer[{index}]");
            let before = self.errors.len();
            self.check_consumer(&field, written);
            let Some(project) = self.project(format!("{field}.project"), &written.project) else { continue };
            if !self.consumers_named.insert((project.id.0, written.name.clone())) {
                let problem = format!("consumer `{}` stands here twice; leave one away", written.name);
                self.error(format!("{field}.name"), problem);
            }
            if self.errors.len() == before {
                let spec = ConsumerSpec { project: project.full_name(), ..written.clone() };
                by_project.entry(project.id.0).or_insert_with(|| (project, Vec::new())).1.push(spec);
            }
        }
        for (project, wanted) in by_project.into_values() {
            let names: Vec<&str> = wanted.iter().map(|spec| spec.name.as_str()).collect();
            let mut present = named(conn, project.id, &names).await?;
            for spec in wanted {
                let row = present.remove(&spec.name);
                self.consumer(&project, spec, row)?;
            }
        }
        Ok(())
    }

    fn check_consumer(&mut self, field: &str, spec: &ConsumerSpec) {
        if let Err(problem) = tollgate_core::name::check_name(&spec.name) {
            self.error(format!("{field}.name"), problem);
        }
        if let Some(problem) = spec.external_id.as_deref().and_then(text_problem) {
            self.error(format!("{field}.external_id"), problem);
        }
        if let Some(problem) = metadata_problem(&spec.metadata) {
            self.error(format!("{field}.metadata"), problem);
        }
    }
}

/// The rows of the consumers with these names, by name.
pub(crate) async fn named(
    conn: &mut AnyConnection,
    project: ProjectId,
    names: &[&str],
) -> Result<HashMap<String, SpecRow<ConsumerSpec>>, StoreError> {
    let mut found = HashMap::new();
    for part in names.chunks(NAMES_MAX) {
        let text = format!(
            "SELECT id, project, spec, version FROM consumers WHERE project = $1 AND name IN ({})",
            list(2, part.len())
        );
        let mut statement = built(text).bind(project.to_sql());
        for name in part {
            statement = statement.bind((*name).to_owned());
        }
        for row in specs::<ConsumerSpec>(statement, conn).await? {
            found.insert(row.spec.name.clone(), row);
        }
    }
    Ok(found)
}

/// What is wrong with free text, if anything.
fn text_problem(text: &str) -> Option<String> {
    if text.len() > METADATA_BYTES_MAX {
        Some(format!("it is {} bytes long; at most {METADATA_BYTES_MAX} are kept", text.len()))
    } else if text.chars().any(char::is_control) {
        Some("it has a control character; leave it away".to_owned())
    } else {
        None
    }
}

/// What is wrong with metadata, if anything.
pub(crate) fn metadata_problem(metadata: &BTreeMap<String, String>) -> Option<String> {
    if metadata.len() > METADATA_MAX {
        return Some(format!("{} entries; at most {METADATA_MAX} are kept", metadata.len()));
    }
    metadata.iter().find_map(|(name, value)| {
        if name.is_empty() || name.len() > METADATA_NAME_BYTES_MAX {
            return Some(format!("a name must have 1 to {METADATA_NAME_BYTES_MAX} bytes"));
        }
        text_problem(name).or_else(|| text_problem(value)).map(|problem| format!("`{name}`: {problem}"))
    })
}
