//! Meters of a file compared with their rows. A meter that is to count something else counts anew, under a new
//! series: what the old one counted means something else.

use std::borrow::Cow;

use sqlx::AnyConnection;
use tollgate_core::{
    id::ProjectId,
    meter::spec::{MeterSpec, REQUEST_TYPE, check_meter},
};

use super::{
    checks::under,
    diff::{Diff, Edit, RowOf},
    prune::{delete, split},
    rows::{ProjectRow, Spec, SpecRow},
};
use crate::{
    error::{Entity, StoreError},
    random,
    sql::{Columns as _, Statement, only, run, sql},
};

/// Meters of one project.
const METERS_MAX: usize = 200;

impl Spec for MeterSpec {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}

impl Diff<'_> {
    /// Compares the meters of the file with their rows.
    pub(super) fn meters(&mut self) -> Result<(), StoreError> {
        for (index, written) in self.resources.meters.iter().enumerate() {
            let field = format!("meter[{index}]");
            let problems = check_meter(written);
            if !problems.is_empty() {
                self.errors.extend(under(&field, problems));
                continue;
            }
            let Some(project) = self.project(format!("{field}.project"), &written.project) else { continue };
            let of_requests = written.event_type == REQUEST_TYPE;
            let spec = MeterSpec { project: project.full_name(), ..written.clone() };
            let (edits, mut rows) = (self.edits.len(), std::mem::take(&mut self.state.meters));
            let id = self.put(Entity::Meter, &project, spec, &mut rows)?;
            let count = rows.iter().filter(|row| row.project == project.id).count();
            self.state.meters = rows;
            if let Some(edit) = self.edits.get_mut(edits) {
                let series = (u64::from_le_bytes(random::id_bytes()?) >> 1) as i64;
                edit.row = RowOf::Meter { series, of_requests };
            }
            if self.places.insert((Entity::Meter, id), index).is_some() {
                let problem = format!("meter `{}` stands here twice; leave one away", written.name);
                self.error(format!("{field}.name"), problem);
            }
            if count > METERS_MAX {
                let problem = format!("project `{}` has more than {METERS_MAX} meters", project.full_name());
                self.error(field, problem);
            }
        }
        Ok(())
    }

    /// Takes away the meters that the file does not name, of a project that it names.
    pub(super) fn prune_meters(&mut self, project: &ProjectRow) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.state.meters);
        let (gone, kept) = split(rows, project.id, |id| self.places.contains_key(&(Entity::Meter, id)));
        self.state.meters = kept;
        for row in gone {
            let edit = delete(Entity::Meter, project, &row)?;
            self.edits.push(edit);
        }
        Ok(())
    }
}

/// Meters as a file has them, their projects named as `name_of` says.
pub(super) fn exported(
    rows: Vec<SpecRow<MeterSpec>>,
    name_of: impl Fn(u64, &str) -> String,
) -> Vec<MeterSpec> {
    let named = |row: SpecRow<MeterSpec>| MeterSpec {
        project: name_of(row.project.0, &row.spec.project),
        ..row.spec
    };
    rows.into_iter().map(named).collect()
}

/// Notes first that meters, or names that they show, change: who counts waits for the commit and counts anew. What
/// is there already is counted for them afterwards.
pub(super) async fn meters_change(conn: &mut AnyConnection, edits: &[Edit]) -> Result<(), StoreError> {
    let is_seen = |edit: &Edit| edit.kind == Entity::Meter || edit.kind == Entity::Service;
    if !edits.iter().any(is_seen) {
        return Ok(());
    }
    let raise = sql("UPDATE meter_head SET version = version + 1 WHERE id = 1 RETURNING version");
    let version = only(raise, conn).await?.int(0)?;
    let mut counts = (false, false);
    for edit in edits {
        if let RowOf::Meter { series, of_requests } = edit.row {
            let make = sql("INSERT INTO meter_series (series, groups, others, skipped, backfill) \
                            VALUES ($1, 0, 0, 0, $2)");
            run(make.bind(series).bind(version), conn).await?;
            counts = (counts.0 || !of_requests, counts.1 || of_requests);
        }
    }
    if counts == (false, false) {
        return Ok(());
    }
    begin_past(conn, version, counts).await
}

/// It counts as they come what comes after its past ([`crate::past`]).
pub(super) fn meter_inserted(edit: &Edit, series: i64, now_us: i64) -> Statement {
    sql("INSERT INTO meters (id, project, name, spec, version, series, from_us, from_position) \
         VALUES ($1, $2, $3, $4, 1, $5, $6, (SELECT b.until_position FROM meter_backfills b \
           JOIN meter_head h ON h.version = b.id))")
    .bind(edit.id)
    .bind(edit.project.map(ProjectId::to_sql))
    .bind(edit.name.clone())
    .bind(edit.after.clone().unwrap_or_default())
    .bind(series)
    .bind(now_us)
}

/// It counts anew, its past as well.
pub(super) fn meter_updated(edit: &Edit, series: i64, now_us: i64) -> Statement {
    sql("UPDATE meters SET spec = $1, version = $2, series = $3, from_us = $4, \
         from_position = (SELECT b.until_position FROM meter_backfills b JOIN meter_head h ON h.version = b.id) \
         WHERE id = $5")
    .bind(edit.after.clone().unwrap_or_default())
    .bind(edit.version as i64)
    .bind(series)
    .bind(now_us)
    .bind(edit.id)
}

/// Begins to count what is there for the meters of a version, by whoever holds `meter_head`: they count what comes
/// after from here on. The first record that they count as it comes is `until_position`.
async fn begin_past(
    conn: &mut AnyConnection,
    version: i64,
    (of_records, of_requests): (bool, bool),
) -> Result<(), StoreError> {
    let select =
        sql("SELECT next, (SELECT MIN(starts) FROM event_blocks WHERE shard = 0) FROM event_shards \
                      WHERE shard = 0");
    let row = only(select, conn).await?;
    let next = row.int(0)?;
    let first = row.opt_int(1)?.filter(|_| of_records).unwrap_or(next).min(next);
    let begin =
        sql("INSERT INTO meter_backfills (id, began_position, position, until_position, requests, done) \
                     VALUES ($1, $2, $3, $4, 0, 0)");
    run(begin.bind(version).bind(first).bind(first).bind(next), conn).await?;
    if !of_requests {
        return Ok(());
    }
    let lanes = "INSERT INTO meter_backfill_lanes (backfill, boot, lane, next, upto, ends) \
                 SELECT h.version, s.boot, s.lane, \
                   (SELECT MIN(b.starts) FROM decision_blocks b WHERE b.boot = s.boot AND b.lane = s.lane), s.upto, \
                   COALESCE((SELECT MIN(b.starts) FROM decision_blocks b \
                             WHERE b.boot = s.boot AND b.lane = s.lane AND b.starts >= s.upto), s.kept) \
                 FROM shipped s, meter_head h WHERE h.id = 1 AND EXISTS (SELECT 1 FROM decision_blocks b \
                   WHERE b.boot = s.boot AND b.lane = s.lane AND b.starts < s.upto)";
    run(sql(lanes), conn).await?;
    let note = "UPDATE meter_backfills SET requests = COALESCE((SELECT CAST(SUM(upto - next) AS BIGINT) \
                FROM meter_backfill_lanes WHERE backfill = $1), 0) WHERE id = $1";
    run(sql(note).bind(version), conn).await?;
    Ok(())
}
