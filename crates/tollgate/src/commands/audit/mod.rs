//! `tollgate audit …`: listing is here, proving in `proof`.

mod proof;

use serde::Serialize;
use serde_json::Value;
use tollgate_store::{AuditFilter, AuditRow, PAGE_ROWS_MAX, PageRequest};

use crate::{
    cli::{AuditCommand, AuditListArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

#[derive(Serialize)]
struct Changes {
    changes: Vec<Change>,
    /// Whether there are more than were asked for.
    more: bool,
}

#[derive(Serialize)]
struct Change {
    seq: u64,
    time: String,
    actor: String,
    action: String,
    entity: String,
    subject: String,
    version: u64,
    before: Option<Value>,
    after: Option<Value>,
    hash: String,
}

pub(crate) async fn run(context: &Context, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List(args) => list(context, args).await,
        AuditCommand::Verify(args) => proof::verify(context, args).await,
        AuditCommand::Export(args) => proof::export(context, args).await,
        AuditCommand::PublicKey => proof::public_key(context),
    }
}

async fn list(context: &Context, args: AuditListArgs) -> Result<(), Failure> {
    let store = context.store().await?;
    let now_us = context.now_us();
    let filter = AuditFilter {
        tenant: None,
        subject: args.subject,
        from_us: args.from.map(|moment| moment.at_us(now_us)),
        to_us: args.to.map(|moment| moment.at_us(now_us)),
    };
    let mut page = PageRequest { limit: args.limit.clamp(1, PAGE_ROWS_MAX), cursor: None };
    let mut shown = Changes { changes: Vec::new(), more: false };
    let wanted = args.limit as usize;
    while shown.changes.len() < wanted {
        let part = store.audit_list(&filter, &page).await?;
        let room = wanted - shown.changes.len();
        shown.more = part.next.is_some() || part.items.len() > room;
        shown.changes.extend(part.items.into_iter().take(room).map(Change::of));
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    context.printer.result(&shown, || {
        let header = ["seq", "time", "who", "did", "to", "after"];
        print::table(header, shown.changes.iter().map(Change::row))
    })
}

impl Change {
    fn of(row: AuditRow) -> Self {
        let json = |text: Option<String>| {
            text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
        };
        Self {
            seq: row.seq,
            time: rfc3339(row.at_us),
            actor: row.actor,
            action: row.action,
            entity: row.entity,
            subject: row.subject,
            version: row.version,
            before: json(row.before),
            after: json(row.after),
            hash: hexadecimal(&row.hash),
        }
    }

    fn row(&self) -> [String; 6] {
        const SHOWN: usize = 60;
        let after = self.after.as_ref().map(Value::to_string).unwrap_or_default();
        let cut: String = after.chars().take(SHOWN).collect();
        let after = if cut.len() < after.len() { format!("{cut}…") } else { cut };
        [
            self.seq.to_string(),
            self.time.clone(),
            self.actor.clone(),
            self.action.clone(),
            self.subject.clone(),
            after,
        ]
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
