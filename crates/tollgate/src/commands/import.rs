//! `tollgate keys import`

use std::{io::Read, path::Path};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tollgate_core::{authz::Action, secret::Secret};
use tollgate_store::{Encoding, ImportOptions, ImportReport, ImportScheme, Store};

use crate::{
    cli::{EncodingName, ImportArgs, SchemeName},
    context::Context,
    failure::Failure,
    import_file::{self, Row},
    print,
};

/// Collisions and rejects that are shown one by one.
const SHOWN_MAX: usize = 1000;

#[derive(Serialize)]
struct Report {
    accepted: u64,
    consumers_created: u64,
    collisions: u64,
    rejected: u64,
    applied: bool,
    /// The first of them, at most 1000.
    collision_lines: Vec<Collision>,
    rejected_lines: Vec<Reject>,
}

#[derive(Serialize)]
struct Collision {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_key: Option<String>,
}

#[derive(Serialize)]
struct Reject {
    line: u64,
    reason: String,
}

pub(crate) async fn run(context: &Context, args: &ImportArgs) -> Result<(), Failure> {
    let permit = context.permit(Action::ChangeKeys)?;
    let store = context.store().await?;
    let options = ImportOptions {
        project: project(&store, args).await?,
        scheme: scheme(args)?,
        environment: args.environment,
        consumer: args.consumer.clone(),
        policy: args.policy.clone(),
        dry_run: args.dry_run,
    };
    let (input, bytes) = open(&args.file)?;
    let bar = progress(bytes);
    let rows = import_file::rows(bar.wrap_read(input), is_json_lines(&args.file)).map_err(Failure::Usage)?;
    // Rows that cannot be read at all never reach the store; its report knows the others.
    let unreadable = std::sync::Mutex::new(Vec::new());
    let readable = rows.filter_map(|row| match row {
        Row::Good(row) => Some(*row),
        Row::Bad { line, reason } => {
            if let Ok(mut unreadable) = unreadable.lock() {
                unreadable.push((line, reason));
            }
            None
        }
    });
    let outcome = store.import_keys(&permit, &options, readable, context.now_us()).await;
    bar.finish_and_clear();
    let report = shown(outcome?, unreadable.into_inner().unwrap_or_default(), args.dry_run);
    context.printer.result(&report, || in_words(&report))?;
    if report.rejected == 0 {
        return Ok(());
    }
    let problem =
        format!("{} rows were not imported; correct them and run the import again", report.rejected);
    if report.accepted == 0 && report.collisions == 0 {
        return Err(Failure::Failed(problem));
    }
    print::say(&format!("warning: {problem}"));
    Ok(())
}

/// The project named, or the only one there is.
async fn project(store: &Store, args: &ImportArgs) -> Result<String, Failure> {
    if let Some(project) = &args.project {
        return Ok(project.clone());
    }
    let projects = store.export().await?.projects;
    match projects.as_slice() {
        [only] => Ok(format!("{}/{}", only.tenant, only.name)),
        [] => Err(Failure::failed("there is no project yet; create one with `tollgate apply`")),
        _ => Err(Failure::Usage("there is more than one project; say which with --project".to_owned())),
    }
}

fn scheme(args: &ImportArgs) -> Result<ImportScheme, Failure> {
    let encoding = match args.encoding {
        EncodingName::Hex => Encoding::Hex,
        EncodingName::Base64 => Encoding::Base64,
    };
    Ok(match args.scheme {
        SchemeName::Plain => ImportScheme::Plain,
        SchemeName::Sha256 => ImportScheme::Sha256(encoding),
        SchemeName::Sha512 => ImportScheme::Sha512(encoding),
        SchemeName::Bcrypt => ImportScheme::Bcrypt,
        SchemeName::Argon2 => ImportScheme::Argon2,
        SchemeName::HmacSha256 => {
            let path = args
                .secret_file
                .as_ref()
                .ok_or_else(|| Failure::Usage("hmac-sha256 needs --secret-file".to_owned()))?;
            let mut secret = std::fs::read(path).map_err(|error| {
                let reason = crate::config::reason(&error);
                Failure::Usage(format!("cannot read {}: {reason}", path.display()))
            })?;
            while matches!(secret.last(), Some(b'\n' | b'\r')) {
                secret.pop();
            }
            ImportScheme::HmacSha256 { encoding, secret: Secret::new(secret) }
        }
    })
}

fn is_json_lines(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ["jsonl", "ndjson", "json"].iter().any(|known| ending == *known))
}

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, u64), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), 0));
    }
    let file = std::fs::File::open(path).map_err(|error| {
        let reason = crate::config::reason(&error);
        Failure::Usage(format!("cannot read {}: {reason}", path.display()))
    })?;
    let bytes = file.metadata().map(|metadata| metadata.len()).unwrap_or(0);
    Ok((Box::new(file), bytes))
}

/// A bar on stderr, when that is a terminal.
fn progress(bytes: u64) -> ProgressBar {
    let bar = if bytes == 0 { ProgressBar::no_length() } else { ProgressBar::new(bytes) };
    if let Ok(style) = ProgressStyle::with_template("importing  {bar:40}  {bytes}/{total_bytes}  {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

fn shown(report: ImportReport, unreadable: Vec<(u64, String)>, dry_run: bool) -> Report {
    let rejects = report.rejected.into_iter().map(|reject| (reject.line, reject.reason));
    let mut rejected: Vec<Reject> =
        rejects.chain(unreadable).map(|(line, reason)| Reject { line, reason }).collect();
    rejected.sort_by_key(|reject| reject.line);
    let collisions = report.collisions.len() as u64;
    let collision_lines = report.collisions.into_iter().take(SHOWN_MAX).map(|collision| Collision {
        line: collision.line,
        with_line: collision.with_line,
        with_key: collision.with_key.map(|key| key.to_string()),
    });
    Report {
        accepted: report.accepted,
        consumers_created: report.consumers_created,
        collisions,
        rejected: rejected.len() as u64,
        applied: !dry_run,
        collision_lines: collision_lines.collect(),
        rejected_lines: rejected.into_iter().take(SHOWN_MAX).collect(),
    }
}

fn in_words(report: &Report) -> String {
    let did = if report.applied { "imported" } else { "could be imported; nothing was changed" };
    let mut text = format!(
        "{} keys {did}, {} consumers created, {} collisions, {} rejected.\n",
        report.accepted, report.consumers_created, report.collisions, report.rejected
    );
    for reject in &report.rejected_lines {
        text.push_str(&format!("  line {}: {}\n", reject.line, reject.reason));
    }
    for collision in &report.collision_lines {
        let with = match (&collision.with_line, &collision.with_key) {
            (Some(line), _) => format!("line {line}"),
            (None, Some(key)) => key.clone(),
            (None, None) => "a key that is there".to_owned(),
        };
        text.push_str(&format!("  line {}: the same secret as {with}\n", collision.line));
    }
    text
}
