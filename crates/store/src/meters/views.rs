//! Meters one at a time: listed and found, as they stand.

use sqlx::AnyConnection;
use tollgate_core::{
    id::{MeterId, ProjectId, TenantId},
    meter::spec::{MeterSpec, REQUEST_TYPE},
};

use crate::{
    conditions::{Conditions, contains},
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    resources::from_json,
    sql::{Columns as _, Row, all, built, one},
};

/// A meter as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterView {
    /// Its id.
    pub id: MeterId,
    /// The version of its row.
    pub version: u64,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// Its project.
    pub project: Named<ProjectId>,
    /// What it says.
    pub spec: MeterSpec,
    /// What its values are kept under.
    pub(crate) series: i64,
    /// From which moment on it counts, wall microseconds.
    pub from_us: i64,
    /// How far what was there before it is counted; `None` of a meter that is older than that.
    pub past: Option<MeterPast>,
    /// Groups that it keeps apart so far.
    pub groups: u64,
    /// Events that found no room for a group of their own.
    pub others: u64,
    /// Events of its type without a value that it can count.
    pub skipped: u64,
}

/// How far what was there before a meter is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterPast {
    /// Records and requests that were to be looked at.
    pub events: u64,
    /// Of these, those that were not looked at yet.
    pub left: u64,
    /// Of these, those that were passed over because they are damaged: records, or requests where the meter counts
    /// requests.
    pub damaged: u64,
    /// Records of journals that were lost before they were summed up: their requests, as far as they are kept, count
    /// without what they used of models. None where the meter counts records.
    pub unsummed: u64,
    /// Whether all of it is counted.
    pub is_done: bool,
}

impl MeterPast {
    /// How much of it is counted, 0 to 100; 100 only when all is.
    #[must_use]
    pub fn percent(&self) -> u64 {
        if self.is_done {
            return 100;
        }
        let done = u128::from(self.events.saturating_sub(self.left)) * 100 / u128::from(self.events.max(1));
        u64::try_from(done).map_or(99, |done| done.min(99))
    }
}

/// Which meters to list; what is `None` restricts nothing.
#[derive(Clone, Debug)]
pub struct MeterFilter {
    /// Of this tenant.
    pub tenant: TenantId,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// With this in their name, whatever the case.
    pub search: Option<String>,
}

const SELECT: &str = "SELECT x.id, x.version, p.tenant, x.project, p.name, x.spec, x.series, x.from_us, s.groups, \
                      s.others, s.skipped, b.done, b.until_position - b.began_position + b.requests, \
                      b.until_position - b.position + COALESCE((SELECT CAST(SUM(l.upto - l.next) AS BIGINT) \
                      FROM meter_backfill_lanes l WHERE l.backfill = b.id), 0), b.damaged, b.unsummed, b.damaged_records FROM meters x JOIN projects p ON p.id = x.project \
                      JOIN meter_series s ON s.series = x.series LEFT JOIN meter_backfills b ON b.id = s.backfill";

impl Store {
    /// Meters by name; of all tenants without a filter.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_meters(
        &self,
        filter: Option<&MeterFilter>,
        page: &PageRequest,
    ) -> Result<Page<MeterView>, StoreError> {
        let mut wheres = Conditions::default();
        if let Some(filter) = filter {
            wheres.int("p.tenant = ?", filter.tenant.to_sql());
        }
        if let Some(project) = filter.and_then(|filter| filter.project) {
            wheres.int("x.project = ?", project.to_sql());
        }
        if let Some(search) = filter.and_then(|filter| filter.search.as_ref()) {
            wheres.text(r"LOWER(x.name) LIKE ? ESCAPE '\'", contains(&search.to_lowercase()));
        }
        if let Some(cursor) = &page.cursor {
            let problem = || StoreError::invalid("cursor", "it is none of this list");
            let (name, id) = cursor.rsplit_once('.').ok_or_else(problem)?;
            wheres.past_name(("x.name", "x.id"), name, id.parse().map_err(|_| problem())?);
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text = format!("{SELECT}{} ORDER BY x.name, x.id LIMIT {}", wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = rows.iter().take(limit).map(view).collect::<Result<Vec<_>, _>>()?;
        let last = items.last().filter(|_| rows.len() > limit);
        let next = last.map(|last| format!("{}.{}", last.spec.name, last.id.to_sql()));
        Ok(Page { items, next })
    }

    /// A meter of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it is another tenant's.
    pub async fn meter(&self, tenant: TenantId, id: MeterId) -> Result<MeterView, StoreError> {
        let mut conn = self.reader().await?;
        load(&mut conn, tenant, id).await
    }

    /// The meter that is written `mtr_…`, `name`, `project/name` or `tenant/project/name`; of any tenant when none
    /// is said.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn meter_of(&self, tenant: Option<TenantId>, text: &str) -> Result<MeterView, StoreError> {
        let mut wheres = Conditions::default();
        if let Some(tenant) = tenant {
            wheres.int("p.tenant = ?", tenant.to_sql());
        }
        match text.parse::<MeterId>() {
            Ok(id) => wheres.int("x.id = ?", id.to_sql()),
            Err(_) => {
                let mut parts = text.rsplit('/');
                wheres.text("x.name = ?", parts.next().unwrap_or(text));
                if let Some(project) = parts.next() {
                    wheres.text("p.name = ?", project);
                }
                if let Some(tenant) = parts.next() {
                    wheres.text("p.tenant = (SELECT id FROM tenants WHERE name = ?)", tenant);
                }
            }
        }
        let mut conn = self.reader().await?;
        let statement = built(format!("{SELECT}{} ORDER BY x.id LIMIT 5", wheres.clause()));
        let found = all(wheres.bind(statement), &mut conn).await?;
        let found = found.iter().map(view).collect::<Result<Vec<_>, _>>()?;
        match found.as_slice() {
            [] => Err(StoreError::not_found(Entity::Meter, text)),
            [meter] => Ok(meter.clone()),
            several => {
                let names = several.iter().map(|meter| format!("{}/{}", meter.project.name, meter.spec.name));
                Err(StoreError::Ambiguous {
                    kind: Entity::Meter,
                    name: text.to_owned(),
                    candidates: names.collect::<Vec<_>>().join(", "),
                })
            }
        }
    }
}

async fn load(conn: &mut AnyConnection, tenant: TenantId, id: MeterId) -> Result<MeterView, StoreError> {
    let select = built(format!("{SELECT} WHERE x.id = $1 AND p.tenant = $2"));
    let row = one(select.bind(id.to_sql()).bind(tenant.to_sql()), conn).await?;
    view(&row.ok_or_else(|| StoreError::not_found(Entity::Meter, id))?)
}

fn view(row: &Row) -> Result<MeterView, StoreError> {
    let spec: MeterSpec = from_json(row.text(5)?)?;
    let is_of_requests = spec.event_type == REQUEST_TYPE;
    let past = match row.opt_int(11)? {
        Some(done) => Some(MeterPast {
            events: row.count(12)?,
            left: row.count(13)?,
            damaged: if is_of_requests {
                row.count(14)?.saturating_sub(row.count(16)?)
            } else {
                row.count(16)?
            },
            unsummed: if is_of_requests { row.count(15)? } else { 0 },
            is_done: done != 0,
        }),
        None => None,
    };
    Ok(MeterView {
        id: MeterId::from_sql(row.int(0)?),
        version: row.count(1)?,
        tenant: TenantId::from_sql(row.int(2)?),
        project: Named { id: ProjectId::from_sql(row.int(3)?), name: row.text(4)?.to_owned() },
        spec,
        series: row.int(6)?,
        from_us: row.int(7)?,
        groups: row.count(8)?,
        others: row.count(9)?,
        skipped: row.count(10)?,
        past,
    })
}
