//! `tollgate events query --type T` of records that were sent.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::value::RawValue;
use tollgate_core::id::{BatchId, ConsumerId, KeyId, ProjectId, ServiceId, TenantId};
use tollgate_store::{EventFilter, EventRow, PAGE_ROWS_MAX, PageRequest};

use super::{
    events::resolve,
    listed::{Count, Listed, with_more},
};
use crate::{
    cli::{QueryArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// A record as it is shown.
#[derive(Serialize)]
struct Shown {
    event_id: String,
    batch_id: BatchId,
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    source: String,
    version: Option<String>,
    time: String,
    received: String,
    tenant_id: TenantId,
    project_id: ProjectId,
    service_id: ServiceId,
    consumer_id: ConsumerId,
    key_id: KeyId,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

pub(super) async fn query(context: &Context, kind: String, args: QueryArgs) -> Result<(), Failure> {
    if args.filter.code.is_some() {
        let problem = "records have no code; leave --code away, or ask for `--type decision`";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let store = context.store().await?;
    let now_us = context.now_us();
    let named = resolve(&store, &args.filter).await?;
    let filter = EventFilter {
        kind: Some(kind),
        key: named.key,
        consumer: named.consumer,
        service: named.service,
        from_us: args.from.map(|moment| moment.at_us(now_us)),
        to_us: args.to.map(|moment| moment.at_us(now_us)),
        ..EventFilter::default()
    };
    if args.count {
        let shown = Count { count: store.count_events(&filter).await? };
        return context.printer.result(&shown, || shown.count.to_string());
    }
    let mut page = PageRequest { limit: args.limit.clamp(1, PAGE_ROWS_MAX), cursor: None };
    let mut shown = Listed::empty();
    let wanted = args.limit as usize;
    while shown.events.len() < wanted {
        let part = store.events(&filter, &page).await?;
        let room = wanted - shown.events.len();
        shown.more = part.next.is_some() || part.items.len() > room;
        shown.events.extend(part.items.into_iter().take(room).map(Shown::of));
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    context
        .printer
        .result(&shown, || with_more(print::table(HEADER, shown.events.iter().map(Shown::row)), shown.more))
}

const HEADER: [&str; 5] = ["time", "type", "id", "consumer", "data"];

/// Characters of the data in a table.
const DATA_LEN_SHOWN: usize = 80;

impl Shown {
    fn of(row: EventRow) -> Self {
        let json = std::str::from_utf8(&row.data).ok().filter(|_| row.media_type.is_none());
        let data = json.and_then(|json| RawValue::from_string(json.to_owned()).ok());
        Self {
            event_id: row.event_id,
            batch_id: row.batch,
            kind: row.kind,
            id: row.id,
            source: row.source,
            version: row.version,
            time: rfc3339(row.at_us),
            received: rfc3339(row.received_us),
            tenant_id: row.tenant,
            project_id: row.project,
            service_id: row.service,
            consumer_id: row.consumer,
            key_id: row.key,
            attributes: row.attributes.into_iter().collect(),
            data_base64: data.is_none().then(|| STANDARD.encode(&row.data)),
            media_type: row.media_type,
            data,
        }
    }

    fn row(&self) -> [String; 5] {
        let data = self.data.as_ref().map_or("(not JSON)", |data| data.get());
        [
            self.time.clone(),
            self.kind.clone(),
            self.id.clone().unwrap_or_else(|| self.event_id.clone()),
            self.consumer_id.to_string(),
            data.chars().take(DATA_LEN_SHOWN).collect(),
        ]
    }
}
