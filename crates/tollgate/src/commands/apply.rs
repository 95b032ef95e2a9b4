//! `tollgate apply` and `tollgate export`

use std::{io::Read as _, path::Path};

use serde::Serialize;
use tollgate_core::authz::Action;
use tollgate_store::{ApplyMode, Op, Plan, StoreError};

use crate::{
    cli::ApplyArgs,
    context::Context,
    failure::Failure,
    located::Located,
    resource_file::{self, FILE_BYTES_MAX},
};

#[derive(Serialize)]
struct ShownPlan {
    changes: Vec<ShownChange>,
    applied: bool,
    /// The number of the last change; 0 when nothing was changed.
    seq: u64,
}

#[derive(Serialize)]
struct ShownChange {
    op: &'static str,
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
}

pub(crate) async fn run(context: &Context, args: &ApplyArgs) -> Result<(), Failure> {
    let (name, text) = read(&args.file)?;
    let file = resource_file::parse(&name, &text).map_err(|errors| refused(&name, &errors))?;
    let permit = context.permit(Action::ChangeResources)?;
    let store = context.store_or_new().await?;
    let mode = ApplyMode { dry_run: args.dry_run, prune: args.prune };
    let plan = match store.apply(&permit, &file.resources, mode, context.now_us()).await {
        Ok(plan) => plan,
        Err(StoreError::Invalid(errors)) => {
            let mut located: Vec<Located> = errors.iter().map(|error| file.places.locate(error)).collect();
            located.sort();
            return Err(refused(&name, &located));
        }
        Err(error) => return Err(error.into()),
    };
    let shown = shown(plan, args.dry_run);
    context.printer.result(&shown, || in_words(&shown))
}

pub(crate) async fn export(context: &Context) -> Result<(), Failure> {
    let resources = context.store().await?.export().await?;
    let text = toml::to_string(&resources).map_err(Failure::failed)?;
    context.printer.text(&text)
}

/// Reads a file of resources, or standard input.
pub(super) fn read(path: &Path) -> Result<(String, String), Failure> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let unreadable = |error: std::io::Error| {
        let reason = crate::config::reason(&error);
        Failure::Usage(format!("cannot read {name}: {reason}"))
    };
    let mut text = String::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(limit).read_to_string(&mut text).map_err(unreadable)?;
    }
    if text.len() > FILE_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "{name} is larger than {} MiB; split it into several files",
            FILE_BYTES_MAX >> 20
        )));
    }
    Ok((name, text))
}

pub(super) fn refused(name: &str, errors: &[Located]) -> Failure {
    let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
    let noun =
        if errors.len() == 1 { "1 thing is".to_owned() } else { format!("{} things are", errors.len()) };
    Failure::failed(format!("{name} was not applied, {noun} wrong:\n{}", lines.join("\n")))
}

fn shown(plan: Plan, dry_run: bool) -> ShownPlan {
    let changes = plan.changes.into_iter().map(|change| ShownChange {
        op: change.op.name(),
        kind: change.kind.name(),
        name: change.name,
        fields: change.fields,
    });
    ShownPlan { changes: changes.collect(), applied: !dry_run, seq: plan.seq }
}

fn in_words(plan: &ShownPlan) -> String {
    if plan.changes.is_empty() {
        return "Nothing to change: everything is so already.".to_owned();
    }
    let lines: String = plan
        .changes
        .iter()
        .map(|change| {
            let fields = if change.fields.is_empty() {
                String::new()
            } else {
                format!("  ({})", change.fields.join(", "))
            };
            format!("  {:<7} {:<9} {}{fields}\n", change.op, change.kind, change.name)
        })
        .collect();
    let count = |op: Op| plan.changes.iter().filter(|change| change.op == op.name()).count();
    let (created, updated, deleted) = (count(Op::Create), count(Op::Update), count(Op::Delete));
    let end = if plan.applied {
        format!("Applied as change {}: {created} created, {updated} updated, {deleted} deleted.", plan.seq)
    } else {
        format!("Nothing was changed: {created} to create, {updated} to update, {deleted} to delete.")
    };
    lines + &end
}
