//! Proving that nobody altered the audit: against the database, or an export of it without one.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use serde::Serialize;
use tollgate_store::{Anchors, Broken, CheckpointKey, PublicKey, Verified, verify_export};

use super::hexadecimal;
use crate::{
    cli::{AuditExportArgs, AuditVerifyArgs},
    config,
    context::Context,
    data_dir,
    failure::Failure,
    print,
};

#[derive(Serialize)]
struct Proof {
    intact: bool,
    changes: u64,
    /// Checkpoints that it was held against.
    checkpoints: usize,
    /// Up to which change nothing can have been cut off or computed anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    proven_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct Key {
    public_key: String,
    key_file: String,
}

pub(super) async fn verify(context: &Context, args: AuditVerifyArgs) -> Result<(), Failure> {
    let anchors = match anchors(context, &args) {
        Ok(anchors) => anchors,
        Err(Unanchored::Failure(failure)) => return Err(failure),
        Err(Unanchored::Altered(problem)) => {
            return tell(context, &Proof::nothing(format!("checkpoints: {problem}")));
        }
    };
    if anchors.is_empty() && !args.without_checkpoints && should_be_anchored(context, &args).await? {
        let problem = "there are no checkpoints to hold it against, though some were signed; give them with \
                       --checkpoints, or see what the chain alone proves with --without-checkpoints";
        return tell(context, &Proof::nothing(problem.to_owned()));
    }
    let outcome = match &args.export {
        Some(file) => verify_export(&mut *input(file)?, &anchors)
            .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?,
        None => context.store().await?.audit_verify_against(&anchors).await?,
    };
    tell(context, &Proof::of(outcome, &anchors))
}

impl Proof {
    fn nothing(problem: String) -> Self {
        Self {
            intact: false,
            changes: 0,
            checkpoints: 0,
            proven_to: None,
            hash: None,
            broken_at: None,
            problem: Some(problem),
        }
    }

    fn of(outcome: Result<Verified, Broken>, anchors: &Anchors) -> Self {
        let checkpoints = anchors.len();
        match outcome {
            Ok(verified) => Self {
                intact: true,
                changes: verified.rows,
                checkpoints,
                proven_to: anchors.last().map(|seal| seal.checkpoint.seq),
                hash: Some(hexadecimal(&verified.hash)),
                broken_at: None,
                problem: None,
            },
            Err(broken) => Self {
                intact: false,
                changes: broken.seq.saturating_sub(1),
                checkpoints,
                proven_to: None,
                hash: None,
                broken_at: Some(broken.seq),
                problem: Some(broken.what),
            },
        }
    }

    fn words(&self) -> String {
        let problem = self.problem.as_deref().unwrap_or_default();
        match (&self.hash, self.broken_at) {
            (Some(hash), _) => {
                let intact = format!("The chain of {} changes is intact. Its end is {hash}.", self.changes);
                match self.proven_to {
                    Some(seq) => {
                        let (after, noun) = (
                            self.changes.saturating_sub(seq),
                            if self.checkpoints == 1 { "checkpoint" } else { "checkpoints" },
                        );
                        format!(
                            "{intact}\n{} {noun} agree with it up to change {seq}; {after} later are not sealed yet.",
                            self.checkpoints
                        )
                    }
                    None => format!(
                        "{intact}\nIt was held against no checkpoint: that its end was cut off would not show."
                    ),
                }
            }
            (None, Some(seq)) => format!("The chain is BROKEN at change {seq}: {problem}."),
            (None, None) => format!("Nothing is proven: {problem}."),
        }
    }
}

fn tell(context: &Context, proof: &Proof) -> Result<(), Failure> {
    context.printer.result(proof, || proof.words())?;
    if proof.intact {
        return Ok(());
    }
    print::say(
        "error: the audit or its checkpoints were altered outside Tollgate; keep all of it for evidence and compare it with a backup",
    );
    Err(Failure::Said)
}

/// Whether there must be checkpoints somewhere: this node has a key, or the database knows of one.
async fn should_be_anchored(context: &Context, args: &AuditVerifyArgs) -> Result<bool, Failure> {
    if args.checkpoints.is_some() || context.config.audit_key_file().exists() {
        return Ok(true);
    }
    Ok(!context.store().await?.checkpoints().await?.is_empty())
}

enum Unanchored {
    Failure(Failure),
    Altered(String),
}

impl From<Failure> for Unanchored {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The checkpoints that were asked for, or those of this node, where it has any.
fn anchors(context: &Context, args: &AuditVerifyArgs) -> Result<Anchors, Unanchored> {
    let own = context.config.audit_checkpoint_file();
    let path = match &args.checkpoints {
        Some(path) => path,
        None if own.exists() => &own,
        None => return Ok(Anchors::default()),
    };
    let mut trusted = Vec::new();
    for text in &args.public_key {
        trusted.extend(public_keys(text)?);
    }
    if trusted.is_empty() {
        let file = context.config.audit_key_file();
        if !file.exists() {
            return Err(Unanchored::Failure(Failure::failed(format!(
                "there is no key at {}; give the one that signed with --public-key",
                file.display()
            ))));
        }
        trusted.push(data_dir::audit_key(&file)?.public());
    }
    let altered = |problem: String| Unanchored::Altered(format!("{}: {problem}", path.display()));
    Anchors::read(&mut *input(path)?, &trusted).map_err(altered)
}

/// A key, or the keys of a file, one a line.
fn public_keys(text: &str) -> Result<Vec<PublicKey>, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(vec![key]);
    }
    let lines = std::fs::read_to_string(text).map_err(|error| {
        Failure::failed(format!(
            "--public-key {text}: it is no key of 64 hexadecimal digits, and as a file: {}",
            config::reason(&error)
        ))
    })?;
    let keys = lines.lines().filter(|line| !line.trim().is_empty());
    keys.map(|line| line.parse().map_err(|problem| Failure::failed(format!("{text}: {problem}")))).collect()
}

fn input(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path)
        .map_err(|error| Failure::failed(format!("{}: {}", path.display(), config::reason(&error))))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Writes the whole audit. What is read of it is proven by whoever verifies it, not here.
pub(super) async fn export(context: &Context, args: AuditExportArgs) -> Result<(), Failure> {
    let store = context.store().await?;
    let mut out: Box<dyn Write> = match &args.to {
        None => Box::new(io::stdout()),
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).open(path);
            Box::new(file.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?)
        }
    };
    let mut out = BufWriter::new(&mut *out);
    writeln!(out, "{}", store.audit_export_head().await?)?;
    let mut last = 0;
    loop {
        let lines = store.audit_export(last).await?;
        let Some((seq, _)) = lines.last() else { break };
        last = *seq;
        for (_, line) in &lines {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    if args.to.is_some() {
        print::say(&format!("{last} changes were written"));
    }
    Ok(())
}

pub(super) fn public_key(context: &Context) -> Result<(), Failure> {
    let file = context.config.audit_key_file();
    data_dir::create(&context.config.data_dir)?;
    let key: CheckpointKey = data_dir::audit_key(&file)?;
    let shown = Key { public_key: key.public().to_string(), key_file: file.display().to_string() };
    context.printer.result(&shown, || shown.public_key.clone())
}
