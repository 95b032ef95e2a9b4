//! `tollgate rules …`: what a rule would have done to recorded traffic.

use serde::Serialize;
use tollgate_core::{
    backtest::{Backtest, Would},
    id::{ConsumerId, ProjectId, ServiceId},
    rule::{
        Rule, RuleRow,
        spec::{Action, Whose},
    },
    tables::{Snapshot, Tables},
    time::Span,
};
use tollgate_store::{Parts, Recorded, ReplaySpan, Store};

use super::{apply, blocks, going::Going, recorded};
use crate::{
    cli::{RuleBacktestArgs, RulesCommand, time::rfc3339},
    context::Context,
    failure::Failure,
    print, resource_file,
};

#[derive(Serialize)]
struct Outcome {
    rule: String,
    from: String,
    to: String,
    /// Requests of the rule's project that were looked at.
    requests: u64,
    /// Of these, those that it would have refused.
    refused: u64,
    would: Vec<Shown>,
    /// Firings that are not in the list.
    more: u64,
    /// What recorded traffic cannot say.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Shown {
    time: String,
    action: &'static str,
    whose: &'static str,
    subject_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    until: Option<String>,
    reason: String,
    refused: u64,
}

pub(crate) async fn run(context: &Context, command: RulesCommand) -> Result<(), Failure> {
    match command {
        RulesCommand::Log => blocks::log(context).await,
        RulesCommand::Backtest(args) => backtest(context, &args).await,
    }
}

async fn backtest(context: &Context, args: &RuleBacktestArgs) -> Result<(), Failure> {
    let store = context.store().await?;
    recorded::bring_in(context, &store).await?;
    let snapshot = Snapshot::with_capacity(0);
    store.load(&snapshot).await?;
    let tables = snapshot.tables();
    let rule = rule(&tables, args)?;
    let to_us = context.now_us();
    let last_us = i64::try_from(args.last.as_micros()).unwrap_or(i64::MAX);
    let from_us = to_us.saturating_sub(last_us);
    let mut backtest = Backtest::new(rule);
    through(context, &store, (from_us, to_us), &mut backtest).await?;
    let outcome = outcome(&backtest, (&snapshot, &tables), (from_us, to_us), &store).await?;
    context.printer.result(&outcome, || in_words(&outcome, args.last))
}

/// The rule in force, or the one of the file.
fn rule(tables: &Tables, args: &RuleBacktestArgs) -> Result<Rule, Failure> {
    let (project, name) = match args.rule.rsplit_once('/') {
        Some((project, name)) => (Some(project), name),
        None => (None, args.rule.as_str()),
    };
    let Some(file) = &args.file else {
        let fits = |rule: &&Rule| {
            &*rule.name == name && project.is_none_or(|wanted| is_project(tables, rule.project, wanted))
        };
        let mut found = tables.rules.iter().filter(fits);
        return match (found.next(), found.next()) {
            (Some(rule), None) => Ok(rule.clone()),
            (Some(_), Some(_)) => Err(Failure::failed(format!(
                "more than one project has a rule `{name}`; write tenant/project/rule"
            ))),
            (None, _) => Err(Failure::failed(format!(
                "there is no rule `{}`; correct the name, or try one of a file with --file",
                args.rule
            ))),
        };
    };
    let (shown, text) = apply::read(file)?;
    let parsed = resource_file::parse(&shown, &text).map_err(|errors| apply::refused(&shown, &errors))?;
    let spec = parsed.resources.rules.iter().find(|spec| {
        spec.name == name
            && project
                .is_none_or(|wanted| spec.project == wanted || spec.project.ends_with(&format!("/{wanted}")))
    });
    let spec = spec.ok_or_else(|| Failure::failed(format!("{shown} has no rule `{}`", args.rule)))?;
    let project = tables.projects.keys().find(|id| is_project(tables, **id, &spec.project)).copied();
    let project = project.ok_or_else(|| {
        Failure::failed(format!("there is no project `{}`, so nothing of it was recorded", spec.project))
    })?;
    let named = |name: &str| {
        let own = |service: &&std::sync::Arc<tollgate_core::service::Service>| {
            service.project == project && service.name() == name
        };
        tables.services.values().find(own).map(|service| service.id)
    };
    Rule::compile(spec, RuleRow { id: 0, project }, named).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
        Failure::failed(format!("rule `{name}` of {shown} is wrong:\n{}", lines.join("\n")))
    })
}

/// Whether a project is called so: `name` or `tenant/name`.
pub(super) fn is_project(tables: &Tables, id: ProjectId, written: &str) -> bool {
    let Some(project) = tables.projects.get(&id) else { return false };
    match written.split_once('/') {
        None => &*project.name == written,
        Some((tenant, name)) => {
            let own = tables.tenants.get(&project.tenant);
            &*project.name == name && own.is_some_and(|own| &*own.name == tenant)
        }
    }
}

async fn through(
    context: &Context,
    store: &Store,
    (from_us, to_us): (i64, i64),
    backtest: &mut Backtest,
) -> Result<(), Failure> {
    let parts = Parts { texts: false, calls: true };
    let span = ReplaySpan { from_us, to_us, tenant: None, parts, records_max: u64::MAX };
    let mut replay = store.replay(span).await?;
    let mut going = Going::new(context, (from_us, to_us));
    loop {
        let part = replay.next().await?;
        let Some(last) = part.last() else { return Ok(()) };
        going.on(part.len() as u64, last.entry.at_us);
        part.iter().filter_map(Recorded::seen).for_each(|seen| backtest.look(&seen));
    }
}

async fn outcome(
    backtest: &Backtest,
    (snapshot, tables): (&Snapshot, &Tables),
    (from_us, to_us): (i64, i64),
    store: &Store,
) -> Result<Outcome, Failure> {
    let rule = backtest.rule();
    let mut notes = Vec::new();
    match store.oldest_decision_us().await? {
        None => {
            notes.push("no decisions are recorded; `retention.decisions` says how long they are kept".into())
        }
        Some(oldest) if oldest > from_us => {
            notes.push(format!("the oldest decision that is kept is of {}", rfc3339(oldest)));
        }
        Some(_) => {}
    }
    if backtest.refused_then() > 0 {
        let count = backtest.refused_then();
        notes.push(format!("{count} requests were refused by a block at the time; they count as not made"));
    }
    if rule.action == Action::Block && matches!(rule.until, tollgate_core::rule::Until::Manual) {
        notes.push("a block that somebody has to lift is taken to hold to the end".to_owned());
    }
    let shown = |would: &Would| Shown {
        time: rfc3339(would.at_us),
        action: rule.action.name(),
        whose: would.subject.whose.noun(),
        subject_id: would.subject.to_string(),
        subject: name((snapshot, tables), would),
        until: would.until_us.map(rfc3339),
        reason: format!("{} within {}", rule.in_words(would.value), window(rule)),
        refused: would.refused,
    };
    Ok(Outcome {
        rule: rule.name.to_string(),
        from: rfc3339(from_us),
        to: rfc3339(to_us),
        requests: backtest.seen(),
        refused: backtest.refused(),
        would: backtest.woulds().iter().map(shown).collect(),
        more: backtest.more(),
        notes,
    })
}

fn window(rule: &Rule) -> Span {
    Span::from_millis(rule.window_us.unsigned_abs() / 1_000)
}

fn name((snapshot, tables): (&Snapshot, &Tables), would: &Would) -> Option<String> {
    let id = would.subject.id;
    match would.subject.whose {
        Whose::Key => None,
        Whose::Consumer => snapshot.consumer(ConsumerId(id)).map(|consumer| consumer.name.to_string()),
        Whose::Project => tables.projects.get(&ProjectId(id)).map(|project| project.name.to_string()),
        Whose::Service => tables.services.get(&ServiceId(id)).map(|service| service.name().to_owned()),
    }
}

fn in_words(outcome: &Outcome, last: Span) -> String {
    let Outcome { rule, requests, refused, would, more, .. } = outcome;
    let count = would.len() as u64 + more;
    let mut text = format!(
        "In the last {last} rule {rule} would have acted {count} times and refused {refused} of {requests} requests.\n"
    );
    if !would.is_empty() {
        let rows = would.iter().map(|shown| {
            [
                shown.time.clone(),
                shown.action.to_owned(),
                format!("{} {}", shown.whose, shown.subject.as_ref().unwrap_or(&shown.subject_id)),
                shown.until.clone().unwrap_or_default(),
                shown.reason.clone(),
                shown.refused.to_string(),
            ]
        });
        text.push_str(&print::table(["time", "would", "whom", "until", "because", "refused"], rows));
        text.push('\n');
    }
    for note in &outcome.notes {
        text.push_str(&format!("Note: {note}.\n"));
    }
    text
}
