//! The meters of one moment, and whether they still are.

use std::{collections::HashMap, sync::Arc};

use sqlx::AnyConnection;
use tollgate_core::{
    id::{MeterId, ProjectId, ServiceId},
    meter::set::{MeterRow, MeterSet},
};

use crate::{
    error::StoreError,
    open::Store,
    resources::from_json,
    sql::{Columns as _, all, built, only, sql},
};

/// Meters as they count, and the services that events name.
#[derive(Debug, Default)]
pub struct Meters {
    /// The meters.
    pub(crate) set: MeterSet,
    /// Each service with its project and name.
    pub(crate) services: HashMap<ServiceId, (ProjectId, Box<str>)>,
}

impl Meters {
    /// What tells these from those before and after.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.set.version
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

impl Store {
    /// The meters of this moment; those that are known already when nothing changed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn meters_now(&self, known: Option<Arc<Meters>>) -> Result<Arc<Meters>, StoreError> {
        let mut tx = self.begin_read().await?;
        let meters = match known {
            Some(known) if is_same(&mut tx, "", known.version()).await? => known,
            _ => Arc::new(load_set(&mut tx).await?),
        };
        tx.rollback().await?;
        Ok(meters)
    }
}

/// Whether the meters are those of a version; until the transaction ends when it shares the row.
pub(crate) async fn is_same(
    conn: &mut AnyConnection,
    share: &'static str,
    version: i64,
) -> Result<bool, StoreError> {
    let select = built(format!("SELECT version FROM meter_head WHERE id = 1{share}"));
    Ok(only(select, conn).await?.int(0)? == version)
}

/// Reads them.
pub(crate) async fn load_set(conn: &mut AnyConnection) -> Result<Meters, StoreError> {
    let version = only(sql("SELECT version FROM meter_head WHERE id = 1"), conn).await?.int(0)?;
    let select = "SELECT id, series, project, spec, from_position, from_us FROM meters ORDER BY id";
    let mut rows = Vec::new();
    for row in all(sql(select), conn).await? {
        rows.push(MeterRow {
            id: MeterId::from_sql(row.int(0)?),
            series: row.int(1)?,
            project: ProjectId::from_sql(row.int(2)?),
            spec: from_json(row.text(3)?)?,
            from_position: row.count(4)?,
            from_us: row.int(5)?,
        });
    }
    let mut services = HashMap::new();
    if !rows.is_empty() {
        for row in all(sql("SELECT id, project, name FROM services"), conn).await? {
            let project = ProjectId::from_sql(row.int(1)?);
            services.insert(ServiceId::from_sql(row.int(0)?), (project, row.text(2)?.into()));
        }
    }
    Ok(Meters { set: MeterSet::of(version, &rows), services })
}
