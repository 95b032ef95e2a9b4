//! `tollgate events query --type budget.threshold`: the shares of budgets that were spent, each told once.

use serde::Serialize;
use tollgate_store::{AccountRow, Told};

use super::listed::{Count, Listed, with_more};
use crate::{
    cli::{QueryArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// The word for these events.
pub(super) const TYPE: &str = "budget.threshold";

/// One threshold as it is shown.
#[derive(Serialize)]
struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    time: String,
    budget_id: String,
    account_id: String,
    tenant_id: String,
    level: &'static str,
    holder: String,
    percent: u8,
    spent: String,
    currency: String,
}

pub(super) async fn query(context: &Context, args: QueryArgs) -> Result<(), Failure> {
    let filter = &args.filter;
    if filter.service.is_some() || filter.code.is_some() || filter.key.is_some() || filter.consumer.is_some()
    {
        return Err(Failure::Usage(format!(
            "{TYPE} is about a budget; leave --key, --consumer, --service and --code away"
        )));
    }
    let store = context.store().await?;
    let now_us = context.now_us();
    let span = (
        args.from.map_or(i64::MIN, |moment| moment.at_us(now_us)),
        args.to.map_or(i64::MAX, |moment| moment.at_us(now_us)),
    );
    let told = store.thresholds_told(None, span).await?;
    if args.count {
        let shown = Count { count: told.len() as u64 };
        return context.printer.result(&shown, || shown.count.to_string());
    }
    let wanted = args.limit as usize;
    let mut shown = Listed { events: Vec::new(), more: told.len() > wanted };
    // The newest first, as with other events.
    for told in told.iter().rev().take(wanted) {
        shown.events.push(Event::of(told, &store.account_row(told.account).await?));
    }
    const HEADER: [&str; 5] = ["time", "budget", "holder", "percent", "spent"];
    context
        .printer
        .result(&shown, || with_more(print::table(HEADER, shown.events.iter().map(Event::row)), shown.more))
}

impl Event {
    fn of(told: &Told, account: &AccountRow) -> Self {
        Self {
            kind: TYPE,
            time: rfc3339(told.at_us),
            budget_id: told.budget.to_string(),
            account_id: told.account.to_string(),
            tenant_id: told.tenant.to_string(),
            level: account.level.name(),
            holder: account.holder.clone(),
            percent: told.percent,
            spent: told.spent.to_text(told.currency),
            currency: told.currency.to_string(),
        }
    }

    fn row(&self) -> [String; 5] {
        let Self { time, budget_id, holder, percent, spent, currency, .. } = self;
        let words = [format!("{percent} %"), format!("{spent} {currency}")];
        let [percent, spent] = words;
        [time.clone(), budget_id.clone(), holder.clone(), percent, spent]
    }
}
