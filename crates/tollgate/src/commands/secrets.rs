//! `tollgate secrets …`: sets and removes secrets, never shows one.

use std::io::Read as _;

use serde::Serialize;
use tollgate_core::{authz::Action, id::SecretId, secret::Secret};
use tollgate_store::{SECRET_BYTES_MAX, SecretView, Store};

use crate::{
    cli::{SecretsCommand, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

#[derive(Serialize)]
struct Shown {
    id: SecretId,
    project: String,
    name: String,
    version: u64,
    changed_at: String,
    /// Whether this node has the key that it is encrypted under.
    readable: bool,
}

#[derive(Serialize)]
struct List {
    secrets: Vec<Shown>,
}

#[derive(Serialize)]
struct Removed {
    id: SecretId,
    removed: bool,
}

#[derive(Serialize)]
struct Rewrapped {
    key: String,
    count: u64,
}

#[derive(Serialize)]
struct Sealed {
    file: String,
    count: u64,
}

#[derive(Serialize)]
struct Prepared {
    key: String,
}

pub(crate) async fn run(context: &Context, command: SecretsCommand) -> Result<(), Failure> {
    let permit = context.permit(Action::ChangeProviderCredentials)?;
    let store = context.store().await?;
    match command {
        SecretsCommand::Set { project, name, value_stdin: _ } => {
            let value = read_value()?;
            let set = store.put_secret(&permit, (&project, &name, &value), context.now_us()).await?.value;
            let shown = Shown::of(set);
            context.printer.result(&shown, || {
                let verb = if shown.version == 1 { "set" } else { "replaced" };
                format!("The secret `{}` of project `{}` is {verb}.", shown.name, shown.project)
            })
        }
        SecretsCommand::List => {
            let secrets = store.list_secrets(None).await?;
            let shown = List { secrets: secrets.into_iter().map(Shown::of).collect() };
            context.printer.result(&shown, || {
                let header = ["id", "project", "name", "version", "changed", "readable here"];
                print::table(header, shown.secrets.iter().map(Shown::row))
            })
        }
        SecretsCommand::Remove { project, name } => {
            let found = store.find_secret(&project, &name).await?;
            store.remove_secret(&permit, (found.id, None), context.now_us()).await?;
            context.printer.result(&Removed { id: found.id, removed: true }, || {
                format!("The secret `{name}` of project `{project}` is removed.")
            })
        }
        SecretsCommand::Seal => seal(context, &store).await,
        SecretsCommand::Rewrap { prepare: true } => {
            let shown = Prepared { key: store.prepare_rewrap(&permit).await? };
            let file = context.config.secrets_key_file();
            context.printer.result(&shown, || {
                format!(
                    "Key {} is in {}.\nCopy the file to every node, then run `tollgate secrets rewrap`.",
                    shown.key,
                    file.display()
                )
            })
        }
        SecretsCommand::Rewrap { prepare: false } => {
            let done = store.rewrap_secrets(&permit, context.now_us()).await?;
            let shown = Rewrapped { key: done.key, count: done.count };
            context.printer.result(&shown, || {
                format!(
                    "{} secrets are encrypted under key {} now.\nBackups from before need the former file of \
                     keys: keep it as long as them, and away from them.",
                    shown.count, shown.key
                )
            })
        }
    }
}

/// Makes the file of keys, and encrypts what is in the clear.
async fn seal(context: &Context, store: &Store) -> Result<(), Failure> {
    store.make_key_file().await?;
    let count = store.seal_what_is_clear().await?;
    let shown = Sealed { file: context.config.secrets_key_file().display().to_string(), count };
    context.printer.result(&shown, || {
        format!(
            "{} rows that were in the clear are encrypted now.\nThe keys are in {}: every node needs this file.",
            shown.count, shown.file
        )
    })
}

/// The value on standard input, without the end of its line.
fn read_value() -> Result<Secret<String>, Failure> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(SECRET_BYTES_MAX as u64 + 3);
    let read = input.read_to_string(&mut text);
    let text = Secret::new(text);
    let value = Secret::new(text.expose().trim_end_matches(['\r', '\n']).to_owned());
    read.map_err(|_| Failure::Usage("the value on standard input is not UTF-8 text".to_owned()))?;
    Ok(value)
}

impl Shown {
    fn of(view: SecretView) -> Self {
        Self {
            id: view.id,
            project: view.project.name,
            name: view.name,
            version: view.version,
            changed_at: rfc3339(view.changed_us),
            readable: view.is_readable,
        }
    }

    fn row(&self) -> [String; 6] {
        [
            self.id.to_string(),
            self.project.clone(),
            self.name.clone(),
            self.version.to_string(),
            self.changed_at.clone(),
            if self.readable { "yes" } else { "no" }.to_owned(),
        ]
    }
}
