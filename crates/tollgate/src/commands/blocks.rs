//! `tollgate blocks …` and `tollgate rules log`: whom rules keep out, lifting it, what rules did.

use serde::Serialize;
use tollgate_core::{
    authz,
    id::{BlockId, RuleId},
};
use tollgate_store::{BlockFilter, BlockView, FiringFilter, FiringView, PAGE_ROWS_MAX, PageRequest};

use crate::{
    cli::{BlockListArgs, BlocksCommand, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

#[derive(Serialize)]
struct List {
    blocks: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: BlockId,
    project: String,
    rule: String,
    whose: &'static str,
    subject_id: String,
    subject: String,
    service: Option<String>,
    from: String,
    until: Option<String>,
    reason: String,
    ended: Option<String>,
    ended_by: Option<String>,
}

#[derive(Serialize)]
struct Log {
    firings: Vec<Firing>,
}

#[derive(Serialize)]
struct Firing {
    time: String,
    project: String,
    rule: String,
    rule_id: RuleId,
    observed: bool,
    action: &'static str,
    whose: &'static str,
    subject_id: String,
    subject: String,
    until: Option<String>,
    reason: String,
}

pub(crate) async fn run(context: &Context, command: BlocksCommand) -> Result<(), Failure> {
    match command {
        BlocksCommand::List(args) => list(context, &args).await,
        BlocksCommand::Lift { id } => lift(context, id).await,
    }
}

async fn list(context: &Context, args: &BlockListArgs) -> Result<(), Failure> {
    let store = context.store().await?;
    let filter = BlockFilter { scope: None, held: (!args.all).then_some(true), key: args.key, rule: None };
    let page = store.list_blocks(&filter, &PageRequest { limit: PAGE_ROWS_MAX, cursor: None }).await?;
    let list = List { blocks: page.items.into_iter().map(Shown::of).collect() };
    context.printer.result(&list, || {
        let header = ["id", "rule", "of", "who", "service", "since", "until", "ended"];
        print::table(header, list.blocks.iter().map(Shown::row))
    })
}

async fn lift(context: &Context, id: BlockId) -> Result<(), Failure> {
    let store = context.store().await?;
    let permit = context.permit(authz::Action::ChangeBlocks)?;
    let done = store.lift_block(&permit, id, context.now_us()).await?;
    let shown = Shown::of(done.value);
    context.printer.result(&shown, || {
        let (by, when) = (shown.ended_by.as_deref().unwrap_or_default(), shown.ended.as_deref());
        format!("{id} ended at {} by {by}; nodes know it within a second", when.unwrap_or_default())
    })
}

/// What rules did last.
pub(super) async fn log(context: &Context) -> Result<(), Failure> {
    let store = context.store().await?;
    let page =
        store.list_firings(&FiringFilter::default(), &PageRequest { limit: 200, cursor: None }).await?;
    let log = Log { firings: page.items.into_iter().map(Firing::of).collect() };
    context.printer.result(&log, || {
        let header = ["time", "rule", "did", "to", "until", "because"];
        print::table(header, log.firings.iter().map(Firing::row))
    })
}

impl Shown {
    fn of(view: BlockView) -> Self {
        Self {
            id: view.id,
            project: view.project.name,
            rule: view.rule_name,
            whose: view.subject.whose.noun(),
            subject_id: view.subject.id,
            subject: view.subject.name,
            service: view.service.map(|service| service.name),
            from: rfc3339(view.from_us),
            until: view.until_us.map(rfc3339),
            reason: view.reason,
            ended: view.ended_us.map(rfc3339),
            ended_by: view.ended_by,
        }
    }

    fn row(&self) -> [String; 8] {
        let ended = self
            .ended
            .as_ref()
            .map(|ended| format!("{ended} by {}", self.ended_by.as_deref().unwrap_or_default()));
        [
            self.id.to_string(),
            self.rule.clone(),
            self.project.clone(),
            format!("{} {} ({})", self.whose, self.subject, self.subject_id),
            self.service.clone().unwrap_or_else(|| "all".to_owned()),
            self.from.clone(),
            self.until.clone().unwrap_or_else(|| "lifted".to_owned()),
            ended.unwrap_or_default(),
        ]
    }
}

impl Firing {
    fn of(view: FiringView) -> Self {
        Self {
            time: rfc3339(view.at_us),
            project: view.project.name,
            rule: view.rule_name,
            rule_id: view.rule,
            observed: view.observed,
            action: view.action.name(),
            whose: view.subject.whose.noun(),
            subject_id: view.subject.id,
            subject: view.subject.name,
            until: view.until_us.map(rfc3339),
            reason: view.words,
        }
    }

    fn row(&self) -> [String; 6] {
        let did = if self.observed { format!("would {}", self.action) } else { self.action.to_owned() };
        [
            self.time.clone(),
            format!("{}/{}", self.project, self.rule),
            did,
            format!("{} {}", self.whose, self.subject),
            self.until.clone().unwrap_or_default(),
            self.reason.clone(),
        ]
    }
}
