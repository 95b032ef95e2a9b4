//! Notices: what happened that people want told, each once, in one order.
//!
//! Whoever makes something happen writes its notice with [`write`] in the same transaction, so that neither is
//! there without the other. Positions have no gaps and are in the order of commits: whoever passes notices on (a
//! webhook) follows them by position. What must never be here: who is told, and how.

mod body;
mod list;

use serde_json::{Map, Value};
use sqlx::AnyConnection;
use tollgate_core::{
    id::{ConsumerId, KeyId, NoticeId, ProjectId, ServiceId, TenantId},
    notice::NoticeKind,
};

use self::body::Names;
use crate::{
    error::StoreError,
    random,
    sql::{Bulk, Columns as _, only, run, sql},
};

pub(crate) use body::moment;
pub use list::{NoticeFilter, NoticeRow};

/// The longest body, in bytes; what is longer is sent without the fields of its writer.
pub const NOTICE_BODY_LEN_MAX: usize = 8192;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) kind: NoticeKind,
    /// When, wall microseconds.
    pub(crate) at_us: i64,
    pub(crate) tenant: TenantId,
    /// `None` when it is about the tenant; of a key it is filled in.
    pub(crate) project: Option<ProjectId>,
    /// Of a key it is filled in.
    pub(crate) consumer: Option<ConsumerId>,
    pub(crate) service: Option<ServiceId>,
    pub(crate) key: Option<KeyId>,
    /// What else there is to say. Ids and names of what it is about are added here.
    pub(crate) body: Map<String, Value>,
}

impl Notice {
    /// A notice about a tenant; set what it is about more closely.
    pub(crate) fn new(kind: NoticeKind, tenant: TenantId, at_us: i64) -> Self {
        let (project, consumer, service, key) = (None, None, None, None);
        Self { kind, at_us, tenant, project, consumer, service, key, body: Map::new() }
    }

    /// A notice about a key; its project and consumer are filled in.
    pub(crate) fn of_key(kind: NoticeKind, tenant: TenantId, key: KeyId, at_us: i64) -> Self {
        Self { key: Some(key), ..Self::new(kind, tenant, at_us) }
    }

    /// Says one thing more.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body.insert(field.to_owned(), value.into());
        self
    }
}

/// Writes a notice inside the transaction of what it is about.
///
/// To be called late: from here to the commit nobody else can write one, and whoever needs the lock of mutations
/// has it already.
pub(crate) async fn write(conn: &mut AnyConnection, notice: &Notice) -> Result<NoticeId, StoreError> {
    let ids = write_all(conn, std::slice::from_ref(notice)).await?;
    ids.first().copied().ok_or_else(|| StoreError::corrupt("a notice was not written"))
}

const INSERT: &str = "INSERT INTO notices (position, id, kind, at_us, tenant, project, consumer, service, key, body) \
     VALUES ";

/// Writes many notices, in their order; their ids.
pub(crate) async fn write_all(
    conn: &mut AnyConnection,
    notices: &[Notice],
) -> Result<Vec<NoticeId>, StoreError> {
    if notices.is_empty() {
        return Ok(Vec::new());
    }
    let names = Names::of(notices, conn).await?;
    let take = sql("UPDATE notice_head SET next = next + $1 WHERE id = 1 RETURNING next");
    let next = only(take.bind(notices.len() as i64), conn).await?.int(0)?;
    let mut position = next - notices.len() as i64;
    let mut ids = Vec::with_capacity(notices.len());
    let mut insert = Bulk::new(conn, INSERT, 10, "");
    for part in notices.chunks(insert.rows_max()) {
        let mut statement = insert.of(part.len());
        for notice in part {
            let id = NoticeId::from_random(random::id_bytes()?);
            let (notice, body) = names.body(notice);
            statement = statement
                .bind(position)
                .bind(id.to_sql())
                .bind(notice.kind.name())
                .bind(notice.at_us)
                .bind(notice.tenant.to_sql())
                .bind(notice.project.map_or(0, ProjectId::to_sql))
                .bind(notice.consumer.map_or(0, ConsumerId::to_sql))
                .bind(notice.service.map_or(0, ServiceId::to_sql))
                .bind(notice.key.map_or(0, KeyId::to_sql))
                .bind(body);
            ids.push(id);
            position += 1;
        }
        run(statement, conn).await?;
    }
    Ok(ids)
}
