//! `tollgate keys …`

use serde::Serialize;
use tollgate_core::{authz::Action, keyring::KeyState, time::Clock as _};
use tollgate_store::{
    Committed, KeyFilter, KeyView, NewKey, PAGE_ROWS_MAX, PageRequest, Rotation, Store, Waited,
};

use super::{import, recorded, view};
use crate::{
    cli::{CreateArgs, KeysCommand, ListArgs, RevokeArgs, RotateArgs, StateName},
    context::{Context, random_secret},
    failure::Failure,
    print,
};

pub(crate) async fn run(context: &Context, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Create(args) => create(context, args).await,
        KeysCommand::List(args) => list(context, args).await,
        KeysCommand::Show { id } => show(context, &id).await,
        KeysCommand::Disable { id } => switch(context, &id, KeyState::Disabled).await,
        KeysCommand::Enable { id } => switch(context, &id, KeyState::Active).await,
        KeysCommand::Expire { id, when } => {
            let permit = context.permit(Action::ChangeKeys)?;
            let store = context.store().await?;
            let (key, now_us) = (store.find_key(&id).await?, context.now_us());
            let changed = store.set_key_expiry(&permit, key, when.at_us(now_us), now_us).await?;
            print_key(context, changed.value)
        }
        KeysCommand::Revoke(args) => revoke(context, &args).await,
        KeysCommand::Rotate(args) => rotate(context, &args).await,
        KeysCommand::Import(args) => import::run(context, &args).await,
    }
}

async fn create(context: &Context, args: CreateArgs) -> Result<(), Failure> {
    let permit = context.permit(Action::ChangeKeys)?;
    let store = context.store().await?;
    let now_us = context.now_us();
    let new = NewKey {
        project: args.project,
        consumer: args.consumer,
        policy: args.policy,
        environment: args.environment,
        name: args.name,
        expires_us: args.expires.at_us(now_us),
        bind_host: args.bind_host,
        allow_ips: (!args.allow_ips.is_empty()).then_some(args.allow_ips),
        metadata: args.metadata.into_iter().collect(),
    };
    let created = store.create_key(&permit, new, &random_secret()?, now_us).await?.value;
    let shown = view::Created::of(&created);
    context.printer.result(&shown, || shown.in_words())
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<view::Key>,
    /// Whether there are more than were asked for.
    more: bool,
}

async fn list(context: &Context, args: ListArgs) -> Result<(), Failure> {
    let store = context.store().await?;
    let filter = KeyFilter {
        project: args.project,
        consumer: args.consumer,
        state: args.state.map(|state| match state {
            StateName::Active => KeyState::Active,
            StateName::Disabled => KeyState::Disabled,
            StateName::Blocked => KeyState::Blocked,
            StateName::Revoked => KeyState::Revoked,
        }),
        environment: args.environment,
        ..KeyFilter::default()
    };
    let now_us = context.now_us();
    let mut page = PageRequest { limit: args.limit.clamp(1, PAGE_ROWS_MAX), cursor: None };
    let mut shown = Keys { keys: Vec::new(), more: false };
    let wanted = args.limit as usize;
    while shown.keys.len() < wanted {
        let part = store.list_keys(&filter, &page).await?;
        let room = wanted - shown.keys.len();
        shown.more = part.next.is_some() || part.items.len() > room;
        shown.keys.extend(part.items.into_iter().take(room).map(|key| view::Key::of(key, now_us)));
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    context.printer.result(&shown, || {
        let mut text = print::table(view::Key::HEADER, shown.keys.iter().map(view::Key::row));
        if shown.more {
            text.push_str("\nThere are more; raise --limit.");
        }
        text
    })
}

async fn show(context: &Context, id: &str) -> Result<(), Failure> {
    let store = context.store().await?;
    // The last use of each secret comes with the usage records.
    recorded::ship_local(context, &store).await;
    let detail = store.show_key(id).await?;
    let shown = view::Key::with_secrets(detail, context.now_us());
    context.printer.result(&shown, || shown.in_words())
}

async fn switch(context: &Context, id: &str, state: KeyState) -> Result<(), Failure> {
    let permit = context.permit(Action::ChangeKeys)?;
    let store = context.store().await?;
    let id = store.find_key(id).await?;
    let changed = store.set_key_state(&permit, id, state, context.now_us()).await?;
    print_key(context, changed.value)
}

fn print_key(context: &Context, key: KeyView) -> Result<(), Failure> {
    let shown = view::Key::of(key, context.now_us());
    context.printer.result(&shown, || shown.in_words())
}

#[derive(Serialize)]
struct Revoked {
    #[serde(flatten)]
    key: view::Key,
    /// How waiting ended: `all_applied`, `lease_elapsed`; nothing without --wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<&'static str>,
}

async fn revoke(context: &Context, args: &RevokeArgs) -> Result<(), Failure> {
    let permit = context.permit(Action::ChangeKeys)?;
    let store = context.store().await?;
    let id = store.find_key(&args.id).await?;
    let changed = store.set_key_state(&permit, id, KeyState::Revoked, context.now_us()).await?;
    let waited = if args.wait { Some(wait(context, &store, &changed).await?) } else { None };
    let shown = Revoked { key: view::Key::of(changed.value, context.now_us()), waited };
    context.printer.result(&shown, || {
        let end = match waited {
            None => "Running nodes learn of it within 250 ms; use --wait to be sure.",
            Some("all_applied") => "No running node accepts it any more.",
            Some(_) => "Nodes that did not answer have stopped trusting what they knew.",
        };
        format!("{}\n{end}", shown.key.in_words())
    })
}

async fn wait(
    context: &Context,
    store: &Store,
    changed: &Committed<KeyView>,
) -> Result<&'static str, Failure> {
    let committed_ns = context.clock.now().mono_ns;
    let waited = store.wait_applied(changed.seq, committed_ns, context.clock.as_ref()).await?;
    Ok(match waited {
        Waited::AllApplied => "all_applied",
        Waited::LeaseElapsed => "lease_elapsed",
    })
}

async fn rotate(context: &Context, args: &RotateArgs) -> Result<(), Failure> {
    let permit = context.permit(Action::ChangeKeys)?;
    let store = context.store().await?;
    let rotation = Rotation {
        id: store.find_key(&args.id).await?,
        overlap_us: i64::try_from(args.overlap.as_micros()).unwrap_or(i64::MAX),
    };
    let rotated = store.rotate_key(&permit, rotation, &random_secret()?, context.now_us()).await?.value;
    let shown = view::Created::of(&rotated);
    context.printer.result(&shown, || shown.in_words())
}
