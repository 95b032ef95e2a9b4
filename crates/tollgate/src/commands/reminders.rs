//! `tollgate events query --type key.expiring` and its like: what people were reminded of.

use serde::Serialize;
use tollgate_store::{PAGE_ROWS_MAX, PageRequest, Reminder, ReminderFilter, ReminderKind};

use super::listed::{Count, Listed, with_more};
use crate::{
    cli::{QueryArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// One reminder as it is shown.
#[derive(Serialize)]
struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Its number, without gaps.
    number: u64,
    time: String,
    tenant_id: String,
    project: String,
    consumer: String,
    key_id: String,
    key_name: Option<String>,
    /// When the key expires, when its secret became old, since when it counts as unused.
    due: String,
    /// For a key that expires: the reminder of how many days before this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    /// Whether it is still so.
    open: bool,
}

pub(super) async fn query(context: &Context, kind: ReminderKind, args: QueryArgs) -> Result<(), Failure> {
    if args.filter.service.is_some() || args.filter.code.is_some() {
        return Err(Failure::Usage(format!(
            "{} is about a key, it has no service and no code; leave --service and --code away",
            kind.event()
        )));
    }
    let store = context.store().await?;
    let now_us = context.now_us();
    let mut filter = ReminderFilter { kind: Some(kind), ..ReminderFilter::default() };
    if let Some(key) = &args.filter.key {
        filter.key = Some(store.find_key(key).await?);
    }
    if let Some(consumer) = &args.filter.consumer {
        filter.consumers = Some(vec![store.find_consumer(consumer).await?.id]);
    }
    filter.from_us = args.from.map(|moment| moment.at_us(now_us));
    filter.to_us = args.to.map(|moment| moment.at_us(now_us));
    if args.count {
        let shown = Count { count: store.count_reminders(&filter).await? };
        return context.printer.result(&shown, || shown.count.to_string());
    }
    let wanted = args.limit as usize;
    let mut page = PageRequest { limit: args.limit.clamp(1, PAGE_ROWS_MAX), cursor: None };
    let mut shown = Listed::empty();
    while shown.events.len() < wanted {
        let part = store.reminders(&filter, &page).await?;
        let room = wanted - shown.events.len();
        shown.more = part.next.is_some() || part.items.len() > room;
        shown.events.extend(part.items.into_iter().take(room).map(Event::of));
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    context.printer.result(&shown, || {
        let header = ["time", "type", "key", "consumer", "due", "still so"];
        with_more(print::table(header, shown.events.iter().map(Event::row)), shown.more)
    })
}

impl Event {
    fn of(reminder: Reminder) -> Self {
        Self {
            kind: reminder.kind.event(),
            number: reminder.number,
            time: rfc3339(reminder.at_us),
            tenant_id: reminder.tenant.to_string(),
            project: reminder.project.name,
            consumer: reminder.consumer.name,
            key_id: reminder.key.to_string(),
            key_name: reminder.key_name,
            due: rfc3339(reminder.due_us),
            days: reminder.days,
            open: reminder.is_open,
        }
    }

    fn row(&self) -> [String; 6] {
        [
            self.time.clone(),
            self.kind.to_owned(),
            self.key_name.clone().unwrap_or_else(|| self.key_id.clone()),
            format!("{}/{}", self.project, self.consumer),
            self.due.clone(),
            if self.open { "yes" } else { "no" }.to_owned(),
        ]
    }
}
