//! Notices as they are listed, and the next ones after a position.

use tollgate_core::id::{ConsumerId, KeyId, NoticeId, ProjectId, TenantId};

use crate::{
    conditions::Conditions,
    error::StoreError,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, built, only, run, sql},
};

/// Rows forgotten in one statement.
const FORGOTTEN_MAX: usize = 10_000;

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its place in the order, without gaps.
    pub position: u64,
    /// Its id; what receivers tell repetitions apart by.
    pub id: NoticeId,
    /// Its type, a name of [`tollgate_core::notice::NoticeKind`] or one of a later version.
    pub kind: String,
    /// When it happened, wall microseconds.
    pub at_us: i64,
    /// Whose it is.
    pub tenant: TenantId,
    /// The project it is about; `None` the tenant.
    pub project: Option<ProjectId>,
    /// The consumer it is about.
    pub consumer: Option<ConsumerId>,
    /// The key it is about.
    pub key: Option<KeyId>,
    /// What there is to say, a JSON object.
    pub body: String,
}

/// Which notices; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct NoticeFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// About these consumers only; none of them, no notice.
    pub consumers: Option<Vec<ConsumerId>>,
    /// About this key.
    pub key: Option<KeyId>,
    /// Of this type.
    pub kind: Option<String>,
    /// From this moment, wall microseconds.
    pub from_us: Option<i64>,
    /// Before this moment.
    pub to_us: Option<i64>,
}

pub(crate) const SELECT: &str =
    "SELECT n.position, n.id, n.kind, n.at_us, n.tenant, n.project, n.consumer, n.key, n.body FROM notices n";

impl Store {
    /// Notices, newest first.
    ///
    /// # Errors
    /// When the database cannot be read; [`StoreError::Invalid`] for a cursor that is none.
    pub async fn notices(
        &self,
        filter: &NoticeFilter,
        page: &PageRequest,
    ) -> Result<Page<NoticeRow>, StoreError> {
        let mut wheres = conditions(filter);
        if let Some(cursor) = &page.cursor {
            let before =
                cursor.parse().map_err(|_| StoreError::invalid("cursor", "it is none of this list"))?;
            wheres.int("n.position < ?", before);
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text = format!("{SELECT}{} ORDER BY n.position DESC LIMIT {}", wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = rows.iter().take(limit).map(notice).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit).then(|| items.last().map(|item| item.position.to_string())).flatten();
        Ok(Page { items, next })
    }

    /// How many notices there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_notices(&self, filter: &NoticeFilter) -> Result<u64, StoreError> {
        let wheres = conditions(filter);
        let text = format!("SELECT COUNT(*) FROM notices n{}", wheres.clause());
        let mut conn = self.reader().await?;
        only(wheres.bind(built(text)), &mut conn).await?.count(0)
    }

    /// The position that the next notice gets.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn notices_end(&self) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        only(sql("SELECT next FROM notice_head WHERE id = 1"), &mut conn).await?.count(0)
    }

    /// Forgets notices of before a moment, some of them a call; how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_notices_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let text = format!(
            "DELETE FROM notices WHERE position IN (SELECT position FROM notices WHERE at_us < $1 \
             ORDER BY at_us LIMIT {FORGOTTEN_MAX})"
        );
        let mut tx = self.begin_write().await?;
        let rows = run(built(text).bind(before_us), &mut tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

fn conditions(filter: &NoticeFilter) -> Conditions {
    let mut wheres = Conditions::default();
    if let Some(tenant) = filter.tenant {
        wheres.int("n.tenant = ?", tenant.to_sql());
    }
    match filter.consumers.as_deref() {
        None => {}
        Some([]) => wheres.plain("1 = 0"),
        Some(own) => {
            let ids: Vec<String> = own.iter().map(|id| id.to_sql().to_string()).collect();
            wheres.plain(&format!("n.consumer IN ({})", ids.join(",")));
        }
    }
    if let Some(key) = filter.key {
        wheres.int("n.key = ?", key.to_sql());
    }
    if let Some(kind) = &filter.kind {
        wheres.text("n.kind = ?", kind.as_str());
    }
    if let Some(from) = filter.from_us {
        wheres.int("n.at_us >= ?", from);
    }
    if let Some(to) = filter.to_us {
        wheres.int("n.at_us < ?", to);
    }
    wheres
}

/// A row of [`SELECT`].
pub(crate) fn notice(row: &Row) -> Result<NoticeRow, StoreError> {
    let id = |column: usize| Ok::<_, StoreError>(Some(row.int(column)?).filter(|id| *id != 0));
    Ok(NoticeRow {
        position: row.count(0)?,
        id: NoticeId::from_sql(row.int(1)?),
        kind: row.text(2)?.to_owned(),
        at_us: row.int(3)?,
        tenant: TenantId::from_sql(row.int(4)?),
        project: id(5)?.map(ProjectId::from_sql),
        consumer: id(6)?.map(ConsumerId::from_sql),
        key: id(7)?.map(KeyId::from_sql),
        body: row.text(8)?.to_owned(),
    })
}
