//! The audit: who changed what, with what was before and after, and whether the chain holds.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use tollgate_core::authz::Action;
use tollgate_store::{Anchors, AuditFilter, AuditRow, PageRequest, Seal};

use super::{
    form::encoded,
    shell::Shell,
    trail::{people, subject_name, subject_page},
    trouble::{Trouble, html, sentence},
    visit::Visit,
    words,
};
use crate::{admin::BASE, problem::Refused};

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    older: Option<String>,
    subject: String,
    problem: Option<String>,
    verdict: Option<Verdict>,
    verify: String,
    one: bool,
    /// Where the file begins; only for who may take it away.
    export: Option<String>,
    is_fresh: bool,
    sealed: Option<Seal>,
    /// The beginning of the key that signed it.
    sealed_by: String,
}

struct Row {
    row: AuditRow,
    /// Who did it, by the address where there is one.
    who: String,
    /// What it was about, by its name.
    name: Option<String>,
    /// The page of that.
    page: Option<String>,
    before: String,
    after: String,
}

struct Verdict {
    holds: bool,
    words: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ReadAudit)?;
    let subject = visit.query.owned("subject");
    let mut page = visit.rows();
    let one: Option<u64> = visit.query.text("seq").and_then(|text| text.parse().ok());
    if let Some(seq) = one {
        // The list is read from above the change downwards.
        page = PageRequest { limit: 1, cursor: Some(seq.saturating_add(1).to_string()) };
    }
    let filter =
        AuditFilter { tenant: Some(visit.tenant()), subject: subject.clone(), ..AuditFilter::default() };
    let (rows, next, problem) = match visit.store().audit_list(&filter, &page).await {
        Ok(page) => (page.items, page.next, None),
        Err(error) => match Refused::from(error) {
            refused @ Refused::Invalid(_) => (Vec::new(), None, Some(sentence(&refused.detail()))),
            refused => return Err(refused.into()),
        },
    };
    let people = people(&visit, &rows).await?;
    let rows = rows.into_iter().filter(|row| one.is_none_or(|seq| row.seq == seq)).map(|row| Row {
        who: people.get(&row.actor).unwrap_or(&row.actor).clone(),
        name: subject_name(&row),
        page: subject_page(&row),
        before: pretty(row.before.as_deref()),
        after: pretty(row.after.as_deref()),
        row,
    });
    let sealed = visit.store().checkpoints().await?.into_iter().next();
    let about = about(subject.as_deref());
    html(&Page {
        sealed_by: sealed.as_ref().map(|seal| beginning(&seal.key.to_string())).unwrap_or_default(),
        sealed,
        rows: rows.collect(),
        older: visit.older(next.as_deref()).filter(|_| one.is_none()),
        verdict: if visit.query.text("verify").is_some() { Some(verdict(&visit).await?) } else { None },
        verify: visit.link(&[("verify", Some("now"))]),
        subject: subject.unwrap_or_default(),
        problem,
        one: one.is_some(),
        export: visit.may(Action::ExportAudit).then(|| format!("/audit/export{about}")),
        is_fresh: visit.who.is_fresh,
        shell: visit.shell("Audit"),
    })
}

/// Takes the audit away as a file. That needs a fresh sign-in, so without one it leads there and back to the
/// list, where the file is asked for again.
pub(crate) async fn export(visit: Visit) -> Result<Response, Trouble> {
    let about = about(visit.query.text("subject"));
    match visit.permit(Action::ExportAudit) {
        Ok(_) => Ok(Redirect::to(&format!("{BASE}/audit/export{about}")).into_response()),
        Err(Trouble::Refused(Refused::SignInNotFresh)) => {
            Ok(Redirect::to(&format!("/confirm?next={}", encoded(&format!("/audit{about}")))).into_response())
        }
        Err(trouble) => Err(trouble),
    }
}

/// What narrows the list, as it stands in addresses.
fn about(subject: Option<&str>) -> String {
    subject.map(|subject| format!("?subject={}", encoded(subject))).unwrap_or_default()
}

/// Enough of a public key to tell it from others.
fn beginning(key: &str) -> String {
    key.chars().take(16).collect()
}

/// Recomputes the chain, one person at a time: it reads the whole audit.
async fn verdict(visit: &Visit) -> Result<Verdict, Trouble> {
    static PLACE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(1);
    let _place = PLACE
        .try_acquire()
        .map_err(|_| Refused::Busy("the audit is being verified already; wait for that to end".to_owned()))?;
    // Those that the database knows; the ones that prove against its administrators lie elsewhere.
    let mut anchors = Anchors::default();
    let mut wrong = None;
    for seal in visit.store().checkpoints().await? {
        wrong = wrong.or(anchors.add(seal).err());
    }
    if let Some(problem) = wrong {
        return Ok(Verdict { holds: false, words: format!("A checkpoint was altered: {problem}") });
    }
    Ok(match visit.store().audit_verify_against(&anchors).await? {
        Ok(verified) => Verdict {
            holds: true,
            words: format!(
                "The chain holds: {} changes, none altered, none missing, up to change {}",
                words::grouped(verified.rows),
                words::grouped(verified.head)
            ),
        },
        Err(broken) => Verdict {
            holds: false,
            words: format!("The chain is broken at change {}: {}", words::grouped(broken.seq), broken.what),
        },
    })
}

/// What was recorded, one field a line.
fn pretty(text: Option<&str>) -> String {
    let Some(text) = text else { return String::new() };
    let value: Result<serde_json::Value, _> = serde_json::from_str(text);
    value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| text.to_owned())
}
