//! The audit of the tenant: who changed what; and the proof that nobody altered it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tollgate_store::{AuditFilter, AuditRow, PAGE_ROWS_MAX, PageRequest};
use tollgate_wire::admin as wire;

use super::{answer::Answer, call::Call, moment::rfc3339};
use crate::{problem::Refused, state::App};

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let page = call.store().audit_list(&filter(&call), &call.page()).await?;
    let items = page.items.into_iter().map(entry).collect::<Vec<_>>();
    Answer::ok(&wire::List { items, next: page.next })
}

fn filter(call: &Call) -> AuditFilter {
    AuditFilter {
        tenant: Some(call.tenant()),
        subject: call.query.owned("subject"),
        from_us: call.query.moment_us("from", call.now_us),
        to_us: call.query.moment_us("to", call.now_us),
    }
}

fn entry(row: AuditRow) -> wire::AuditEntry {
    let value = |text: Option<String>| text.and_then(|text| RawValue::from_string(text).ok());
    wire::AuditEntry {
        seq: row.seq,
        time: rfc3339(row.at_us),
        actor: row.actor,
        action: row.action,
        kind: row.entity,
        subject: row.subject,
        version: row.version,
        before: value(row.before),
        after: value(row.after),
        hash: hex(&row.hash),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) async fn verify(call: Call) -> Result<Answer, Refused> {
    let _place = place(&call)?;
    Answer::ok(&match call.store().audit_verify().await? {
        Ok(verified) => wire::AuditVerdict {
            ok: true,
            head: verified.head,
            hash: Some(hex(&verified.hash)),
            broken: None,
        },
        Err(broken) => wire::AuditVerdict {
            ok: false,
            head: broken.seq.saturating_sub(1),
            hash: None,
            broken: Some(format!("change {}: {}", broken.seq, broken.what)),
        },
    })
}

pub(crate) async fn export(call: Call) -> Result<Answer, Refused> {
    let place = place(&call)?;
    let filter = filter(&call);
    // The first page is read before anything is answered, so that what is wrong is a refusal.
    let page = PageRequest { limit: PAGE_ROWS_MAX, cursor: None };
    let first = call.store().audit_list(&filter, &page).await?;
    let app = call.app().clone();
    let next = if first.next.is_some() {
        Some(Rest { app, filter, cursor: first.next, _place: place })
    } else {
        None
    };
    let first = lines(first.items);
    let rest = stream::unfold(next, |rest| async move {
        let mut rest = rest?;
        match rest.page().await {
            Ok(text) => {
                let more = rest.cursor.is_some();
                Some((Ok(text), more.then_some(rest)))
            }
            // The connection is cut: who reads half of it must not take it for the whole.
            Err(refused) => Some((Err(std::io::Error::other(refused.code())), None)),
        }
    });
    let all = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
    Ok(Answer::other("application/x-ndjson", Body::from_stream(all)).kept_as("audit.ndjson"))
}

/// One of the few places for reading the whole audit.
fn place(call: &Call) -> Result<OwnedSemaphorePermit, Refused> {
    Arc::clone(&call.shared.audits).try_acquire_owned().map_err(|_| {
        Refused::Busy("the audit is being verified or exported already; wait for that to end".to_owned())
    })
}

/// What is still to be exported.
struct Rest {
    app: App,
    filter: AuditFilter,
    cursor: Option<String>,
    _place: OwnedSemaphorePermit,
}

impl Rest {
    async fn page(&mut self) -> Result<Bytes, Refused> {
        let page = PageRequest { limit: PAGE_ROWS_MAX, cursor: self.cursor.take() };
        let page = self.app.store().audit_list(&self.filter, &page).await?;
        self.cursor = page.next;
        Ok(lines(page.items))
    }
}

fn lines(rows: Vec<AuditRow>) -> Bytes {
    let mut text = Vec::new();
    for row in rows {
        // Writing plain values into memory cannot fail.
        let _written = serde_json::to_writer(&mut text, &entry(row));
        text.push(b'\n');
    }
    text.into()
}
