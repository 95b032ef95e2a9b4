//! `tollgate outbox …`: how far sinks are, and what to do about a record that they do not take.

use serde::Serialize;
use tollgate_core::{authz::Action, id::TenantId};
use tollgate_store::{Lag, ParkedFilter, ParkedRow, ParkedState, RefusedUsage};

use crate::{
    cli::{OutboxCommand, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

#[derive(Serialize)]
struct Status {
    sinks: Vec<Sink>,
}

#[derive(Serialize)]
struct Sink {
    sink: String,
    behind: u64,
    oldest: Option<String>,
    parked: u64,
    epoch: u64,
}

#[derive(Serialize)]
struct Forgotten<'a> {
    forgotten: &'a str,
}

#[derive(Serialize)]
struct Parked {
    parked: Vec<Shown>,
    refused_usage: Vec<Refused>,
}

/// A request or a message of the topic of usage that was passed over.
#[derive(Serialize)]
struct Refused {
    place: String,
    reason: String,
    time: String,
}

#[derive(Serialize)]
struct Shown {
    event_id: String,
    sink: String,
    #[serde(rename = "type")]
    kind: String,
    tenant_id: TenantId,
    reason: String,
    state: &'static str,
    time: String,
}

pub(crate) async fn run(context: &Context, command: OutboxCommand) -> Result<(), Failure> {
    match command {
        OutboxCommand::Status => status(context).await,
        OutboxCommand::List(args) => list(context, args.all).await,
        OutboxCommand::Retry(args) => release(context, &args.event, ParkedState::Retry).await,
        OutboxCommand::Forget(args) => forget(context, &args.sink).await,
        OutboxCommand::Skip(args) => release(context, &args.event, ParkedState::Skip).await,
    }
}

async fn status(context: &Context) -> Result<(), Failure> {
    let store = context.store().await?;
    let mut lags = store.outbox_lag().await?;
    lags.extend(store.stream_lag().await?);
    let sinks = lags.into_iter().map(|lag| {
        let Lag { sink, records, oldest_us, parked, epoch } = lag;
        Sink { sink, behind: records, oldest: oldest_us.map(rfc3339), parked, epoch }
    });
    let status = Status { sinks: sinks.collect() };
    let row = |sink: &Sink| {
        let oldest = sink.oldest.clone().unwrap_or_default();
        [sink.sink.clone(), sink.behind.to_string(), oldest, sink.parked.to_string()]
    };
    context.printer.result(&status, || {
        print::table(["sink", "behind", "oldest", "parked"], status.sinks.iter().map(row))
    })
}

async fn list(context: &Context, all: bool) -> Result<(), Failure> {
    let store = context.store().await?;
    let rows = store.parked(&ParkedFilter { open: !all, ..ParkedFilter::default() }).await?;
    let refused = store.refused_usage().await?.into_iter();
    let refused = refused.map(|RefusedUsage { place, reason, refused_us }| Refused {
        place,
        reason,
        time: rfc3339(refused_us),
    });
    let parked =
        Parked { parked: rows.into_iter().map(Shown::of).collect(), refused_usage: refused.collect() };
    context.printer.result(&parked, || {
        let records =
            print::table(["event", "type", "state", "since", "reason"], parked.parked.iter().map(Shown::row));
        if parked.refused_usage.is_empty() {
            return records;
        }
        let row = |one: &Refused| [one.place.clone(), one.time.clone(), one.reason.clone()];
        let usage = print::table(
            ["passed over from the usage topic", "since", "reason"],
            parked.refused_usage.iter().map(row),
        );
        format!("{records}\n\n{usage}")
    })
}

async fn release(context: &Context, event: &str, state: ParkedState) -> Result<(), Failure> {
    let store = context.store().await?;
    let permit = context.permit(Action::ChangeResources)?;
    let row = store.release_parked(&permit, (event, state), context.now_us()).await?;
    let shown = Shown::of(row);
    context.printer.result(&shown, || format!("{}: the relay does it within seconds", shown.event_id))
}

async fn forget(context: &Context, sink: &str) -> Result<(), Failure> {
    let store = context.store().await?;
    let permit = context.permit(Action::ChangeResources)?;
    store.forget_sink(&permit, sink, context.now_us()).await?;
    let forgotten = Forgotten { forgotten: sink };
    context.printer.result(&forgotten, || {
        format!("{sink}: forgotten; what only it waited for goes when its time has come")
    })
}

impl Shown {
    fn of(row: ParkedRow) -> Self {
        Self {
            event_id: row.event,
            sink: row.sink,
            kind: row.kind,
            tenant_id: row.tenant,
            reason: row.reason,
            state: row.state.name(),
            time: rfc3339(row.parked_us),
        }
    }

    fn row(&self) -> [String; 5] {
        [
            self.event_id.clone(),
            self.kind.clone(),
            self.state.to_owned(),
            self.time.clone(),
            self.reason.clone(),
        ]
    }
}
