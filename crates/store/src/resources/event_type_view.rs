//! Types of events with their schemas as people look at them, and a record held against one.

use jsonschema::PatternOptions;
use tollgate_core::{
    id::{ProjectId, TenantId},
    ingest_spec::EventTypeSpec,
};

use super::from_json;
use crate::{
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    sql::{Columns as _, all, sql},
};

/// Versions that are listed at most.
const LISTED_MAX: i64 = 1000;
/// The longest record that is held against a schema here, bytes.
const TRIED_BYTES_MAX: usize = 64 << 10;
/// Problems that are told of one record.
const PROBLEMS_MAX: usize = 20;

/// A version of a type of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTypeView {
    /// Its project.
    pub project: Named<ProjectId>,
    /// What it says.
    pub spec: EventTypeSpec,
}

/// What does not fit of a record: where, and why. None: it fits.
pub type Misfits = Vec<(String, String)>;

impl Store {
    /// The versions of types of a tenant, by project, name and version, at most a thousand.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_event_types(&self, tenant: TenantId) -> Result<Vec<EventTypeView>, StoreError> {
        let mut conn = self.reader().await?;
        let select =
            sql("SELECT e.spec, p.id, p.name FROM event_types e JOIN projects p ON p.id = e.project \
                          WHERE p.tenant = $1 ORDER BY p.name, e.name LIMIT $2");
        let rows = all(select.bind(tenant.to_sql()).bind(LISTED_MAX), &mut conn).await?;
        let view = |row: &crate::sql::Row| {
            let project = Named { id: ProjectId::from_sql(row.int(1)?), name: row.text(2)?.to_owned() };
            Ok(EventTypeView { project, spec: from_json(row.text(0)?)? })
        };
        let mut views = rows.iter().map(view).collect::<Result<Vec<EventTypeView>, StoreError>>()?;
        views.sort_by(|one, other| {
            let key =
                |view: &EventTypeView| (view.project.name.clone(), view.spec.name.clone(), view.spec.version);
            key(one).cmp(&key(other))
        });
        Ok(views)
    }

    /// Holds a record against a version of a type, the latest unless said, as the door does it. Keeps nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such type, [`StoreError::Invalid`] when the record is no JSON.
    pub async fn try_record(
        &self,
        tenant: TenantId,
        (project, name, version): (&str, &str, Option<u32>),
        record: &str,
    ) -> Result<Misfits, StoreError> {
        if record.len() > TRIED_BYTES_MAX {
            return Err(StoreError::invalid(
                "record",
                format!("more than {TRIED_BYTES_MAX} bytes are not tried here"),
            ));
        }
        let types = self.list_event_types(tenant).await?;
        let own = types.into_iter().filter(|view| view.project.name == project && view.spec.name == name);
        let found = own.filter(|view| version.is_none_or(|version| view.spec.version == version));
        let found = found.max_by_key(|view| view.spec.version);
        let found = found.ok_or_else(|| StoreError::not_found(Entity::EventType, name))?;
        let record: serde_json::Value = serde_json::from_str(record)
            .map_err(|error| StoreError::invalid("record", format!("it is no JSON: {error}")))?;
        let schema: serde_json::Value = from_json(&found.spec.schema)?;
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        let schema = options.build(&schema).map_err(|error| StoreError::corrupt(error.to_string()))?;
        let told = schema.iter_errors(&record).take(PROBLEMS_MAX);
        Ok(told
            .map(|error| (error.instance_path().to_string(), error.to_string().chars().take(300).collect()))
            .collect())
    }
}
