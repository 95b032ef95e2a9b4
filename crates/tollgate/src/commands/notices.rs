//! `tollgate events query --type key.blocked` and its like: what happened that people want told.

use serde::Serialize;
use serde_json::value::RawValue;
use tollgate_core::{id::NoticeId, notice::NoticeKind};
use tollgate_store::{NoticeFilter, NoticeRow, PAGE_ROWS_MAX, PageRequest};

use super::listed::{Count, Listed, with_more};
use crate::{
    cli::{QueryArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// One notice as it is shown: as webhooks send it, with its place in the order.
#[derive(Serialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    id: NoticeId,
    position: u64,
    time: String,
    tenant_id: String,
    data: Box<RawValue>,
}

pub(super) async fn query(context: &Context, kind: NoticeKind, args: QueryArgs) -> Result<(), Failure> {
    if args.filter.service.is_some() || args.filter.code.is_some() {
        return Err(Failure::Usage(format!(
            "{kind} has no service and no code; leave --service and --code away"
        )));
    }
    let store = context.store().await?;
    let now_us = context.now_us();
    let mut filter = NoticeFilter { kind: Some(kind.name().to_owned()), ..NoticeFilter::default() };
    if let Some(key) = &args.filter.key {
        filter.key = Some(store.find_key(key).await?);
    }
    if let Some(consumer) = &args.filter.consumer {
        filter.consumers = Some(vec![store.find_consumer(consumer).await?.id]);
    }
    filter.from_us = args.from.map(|moment| moment.at_us(now_us));
    filter.to_us = args.to.map(|moment| moment.at_us(now_us));
    if args.count {
        let shown = Count { count: store.count_notices(&filter).await? };
        return context.printer.result(&shown, || shown.count.to_string());
    }
    let wanted = args.limit as usize;
    let mut page = PageRequest { limit: args.limit.clamp(1, PAGE_ROWS_MAX), cursor: None };
    let mut shown = Listed::empty();
    while shown.events.len() < wanted {
        let part = store.notices(&filter, &page).await?;
        let room = wanted - shown.events.len();
        shown.more = part.next.is_some() || part.items.len() > room;
        for row in part.items.into_iter().take(room) {
            shown.events.push(Event::of(row)?);
        }
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    context.printer.result(&shown, || {
        let header = ["time", "type", "id", "data"];
        with_more(print::table(header, shown.events.iter().map(Event::row)), shown.more)
    })
}

impl Event {
    fn of(row: NoticeRow) -> Result<Self, Failure> {
        Ok(Self {
            kind: row.kind,
            id: row.id,
            position: row.position,
            time: rfc3339(row.at_us),
            tenant_id: row.tenant.to_string(),
            data: RawValue::from_string(row.body).map_err(Failure::failed)?,
        })
    }

    fn row(&self) -> [String; 4] {
        [self.time.clone(), self.kind.clone(), self.id.to_string(), self.data.get().to_owned()]
    }
}
