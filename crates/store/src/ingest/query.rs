//! Reading records back, newest first: without Kafka this is where they are.

use sqlx::AnyConnection;
use tollgate_core::id::{BatchId, ConsumerId, KeyId, ProjectId, ServiceId, TenantId};

use super::{
    SHARD,
    block::{Event, each, mark, unpack},
};
use crate::{
    error::StoreError,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, sql},
};

/// Blocks that are read at once.
const BLOCKS: i64 = 8;

/// Which records; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this type.
    pub kind: Option<String>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Sent through this service.
    pub service: Option<ServiceId>,
    /// Sent by this consumer.
    pub consumer: Option<ConsumerId>,
    /// Sent with this key.
    pub key: Option<KeyId>,
    /// That happened from this moment on, wall microseconds.
    pub from_us: Option<i64>,
    /// That happened before this moment.
    pub to_us: Option<i64>,
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the order of commits.
    pub position: u64,
    /// What it is called where it goes: its batch and its index there.
    pub event_id: String,
    /// The batch that it came in.
    pub batch: BatchId,
    /// What it calls itself.
    pub id: Option<String>,
    /// Its type.
    pub kind: String,
    /// Where it is from.
    pub source: String,
    /// The version of its type.
    pub version: Option<String>,
    /// When it happened, or was received where it does not say, wall microseconds.
    pub at_us: i64,
    /// When it was received.
    pub received_us: i64,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its project.
    pub project: ProjectId,
    /// The service that took it.
    pub service: ServiceId,
    /// Who sent it.
    pub consumer: ConsumerId,
    /// The key that it was sent with.
    pub key: KeyId,
    /// The media type of its data; JSON when `None`.
    pub media_type: Option<String>,
    /// Its data.
    pub data: Vec<u8>,
    /// Attributes that came with it.
    pub attributes: Vec<(String, String)>,
}

impl EventFilter {
    /// The bits that a block must have to hold anything of it.
    fn bits(&self) -> u64 {
        let id = |what: u8, id: Option<u64>| id.map_or(0, |id| mark(what, &id.to_le_bytes()));
        self.kind.as_ref().map_or(0, |kind| mark(b't', kind.as_bytes()))
            | id(b'T', self.tenant.map(|id| id.0))
            | id(b'P', self.project.map(|id| id.0))
            | id(b'S', self.service.map(|id| id.0))
            | id(b'C', self.consumer.map(|id| id.0))
            | id(b'K', self.key.map(|id| id.0))
    }

    fn fits(&self, event: &Event<'_>) -> bool {
        let sender = event.sender;
        self.kind.as_deref().is_none_or(|kind| kind == event.kind)
            && self.tenant.is_none_or(|tenant| tenant == sender.tenant)
            && self.project.is_none_or(|project| project == sender.project)
            && self.service.is_none_or(|service| service == sender.service)
            && self.consumer.is_none_or(|consumer| consumer == sender.consumer)
            && self.key.is_none_or(|key| key == sender.key)
            && self.from_us.is_none_or(|from| event.at_us() >= from)
            && self.to_us.is_none_or(|to| event.at_us() < to)
    }
}

impl EventRow {
    fn of(event: &Event<'_>) -> Self {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let attributes =
            event.attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            position: event.position,
            event_id: event.event_id(),
            batch: event.batch,
            id: text(event.id),
            kind: event.kind.to_owned(),
            source: event.source.to_owned(),
            version: text(event.version),
            at_us: event.at_us(),
            received_us: event.received_us,
            tenant: event.sender.tenant,
            project: event.sender.project,
            service: event.sender.service,
            consumer: event.sender.consumer,
            key: event.sender.key,
            media_type: text(event.media_type),
            data: event.data.to_vec(),
            attributes: attributes.collect(),
        }
    }
}

impl Store {
    /// Records, those that were received last first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn events(
        &self,
        filter: &EventFilter,
        page: &PageRequest,
    ) -> Result<Page<EventRow>, StoreError> {
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let cursor = page.cursor.as_deref().map(str::parse::<u64>).transpose();
        let before = cursor.map_err(|_| StoreError::invalid("cursor", "it is not one that a page gave"))?;
        let mut conn = self.reader().await?;
        let mut items: Vec<EventRow> = Vec::new();
        let mut from = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        while items.len() <= limit {
            let rows = candidates(&mut conn, filter, from).await?;
            for row in &rows {
                from = row.int(0)?;
                let raw = unpack(row.blob(1)?).ok_or_else(damaged)?;
                let mut found = Vec::new();
                let fits = |event: &Event<'_>| {
                    before.is_none_or(|before| event.position < before) && filter.fits(event)
                };
                each(&raw, from as u64, |event| {
                    if fits(&event) {
                        found.push(EventRow::of(&event));
                    }
                })
                .ok_or_else(damaged)?;
                items.extend(found.into_iter().rev());
                if items.len() > limit {
                    break;
                }
            }
            if rows.is_empty() {
                break;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.position.to_string());
        Ok(Page { items, next })
    }

    /// How many there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_events(&self, filter: &EventFilter) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        let (mut count, mut from) = (0, i64::MAX);
        loop {
            let rows = candidates(&mut conn, filter, from).await?;
            for row in &rows {
                from = row.int(0)?;
                let raw = unpack(row.blob(1)?).ok_or_else(damaged)?;
                each(&raw, from as u64, |event| count += u64::from(filter.fits(&event)))
                    .ok_or_else(damaged)?;
            }
            if rows.is_empty() {
                return Ok(count);
            }
        }
    }
}

/// Blocks that may hold something of a filter and begin before a position, last first: where each begins, and
/// what is in it.
async fn candidates(
    conn: &mut AnyConnection,
    filter: &EventFilter,
    before: i64,
) -> Result<Vec<Row>, StoreError> {
    let select = sql("SELECT starts, packed FROM event_blocks \
                      WHERE shard = $1 AND starts < $2 AND (holds & $3) = $3 AND to_us >= $4 AND from_us < $5 \
                      ORDER BY starts DESC LIMIT $6");
    let select = select
        .bind(SHARD)
        .bind(before)
        .bind(filter.bits() as i64)
        .bind(filter.from_us.unwrap_or(i64::MIN))
        .bind(filter.to_us.unwrap_or(i64::MAX));
    all(select.bind(BLOCKS), conn).await
}

fn damaged() -> StoreError {
    StoreError::corrupt("a block of records cannot be read")
}
