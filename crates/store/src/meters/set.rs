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
    /// By run and lane: series that leave what lies before a position to those who count the past.
    borders: HashMap<(u64, u16), Vec<(i64, u64)>>,
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

    /// Whether a series leaves a record of a lane to those who count the past.
    pub(crate) fn leaves(&self, lane: (u64, u16), position: u64, series: i64) -> bool {
        let is_left = |(own, ends): &(i64, u64)| *own == series && position < *ends;
        !self.borders.is_empty() && self.borders.get(&lane).is_some_and(|all| all.iter().any(is_left))
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

/// Keeps meters from changing until the transaction ends.
pub(crate) async fn hold_version(conn: &mut AnyConnection, share: &'static str) -> Result<(), StoreError> {
    is_same(conn, share, 0).await.map(|_| ())
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
    let mut meters = load_set_of(conn, None).await?;
    if meters.is_empty() {
        return Ok(meters);
    }
    let select = "SELECT l.boot, l.lane, l.ends, m.series FROM meter_backfill_lanes l \
                  JOIN shipped h ON h.boot = l.boot AND h.lane = l.lane JOIN meter_series m ON m.backfill = l.backfill \
                  WHERE l.ends > h.upto";
    for row in all(sql(select), conn).await? {
        let lane = (row.count(0)?, u16::try_from(row.int(1)?).unwrap_or(u16::MAX));
        meters.borders.entry(lane).or_default().push((row.int(3)?, row.count(2)?));
    }
    Ok(meters)
}

/// Reads them, or those whose past is counted by one backfill.
pub(crate) async fn load_set_of(conn: &mut AnyConnection, past: Option<i64>) -> Result<Meters, StoreError> {
    let version = only(sql("SELECT version FROM meter_head WHERE id = 1"), conn).await?.int(0)?;
    let select = "SELECT m.id, m.series, m.project, m.spec, m.from_position, m.from_us, s.backfill FROM meters m \
                  JOIN meter_series s ON s.series = m.series";
    let select = match past {
        Some(past) => built(format!("{select} WHERE s.backfill = $1 ORDER BY m.id")).bind(past),
        None => built(format!("{select} ORDER BY m.id")),
    };
    let mut rows = Vec::new();
    for row in all(select, conn).await? {
        // Where the past is counted, a lane's place says what came before, and no moment.
        let from_us = if row.opt_int(6)?.is_some() { i64::MIN } else { row.int(5)? };
        rows.push(MeterRow {
            id: MeterId::from_sql(row.int(0)?),
            series: row.int(1)?,
            project: ProjectId::from_sql(row.int(2)?),
            spec: from_json(row.text(3)?)?,
            from_position: row.count(4)?,
            from_us,
        });
    }
    let mut services = HashMap::new();
    if !rows.is_empty() {
        for row in all(sql("SELECT id, project, name FROM services"), conn).await? {
            let project = ProjectId::from_sql(row.int(1)?);
            services.insert(ServiceId::from_sql(row.int(0)?), (project, row.text(2)?.into()));
        }
    }
    Ok(Meters { set: MeterSet::of(version, &rows), services, borders: HashMap::new() })
}
