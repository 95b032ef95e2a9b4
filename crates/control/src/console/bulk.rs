//! The same change to many keys: the page that says what it would break and asks, and the page that shows how
//! far it is. What jobs are and how they go on is the business of the API's `bulk`.

use askama::Template;
use axum::{
    body::Body,
    extract::Path,
    http::header,
    response::{IntoResponse as _, Redirect, Response},
};
use futures_util::stream;
use tollgate_core::{
    authz::Action,
    field_error::FieldError,
    id::{ConsumerId, JobId},
};
use tollgate_store::{
    JobProgress, JobRow, KeyFilter, KeyView, KeysPreview, PAGE_ROWS_MAX, PageRequest, Store,
};
use tollgate_wire::admin::{KeySelection, NewJob};

use super::{
    consumer_form::{Errors, tags},
    form::Fields,
    once,
    shell::Shell,
    trail::who,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::{admin::bulk, problem::Refused, state::App};

/// The fields of the filter, as the list of keys has them, with what they are called.
const FILTER: [(&str, &str); 8] = [
    ("search", "Name or last four"),
    ("project", "Project"),
    ("consumer", "Consumer"),
    ("policy", "Policy"),
    ("state", "State"),
    ("environment", "Environment"),
    ("expires", "Expires within days"),
    ("metadata", "Tag"),
];
/// Jobs that the list shows.
const SHOWN: PageRequest = PageRequest { limit: 50, cursor: None };

#[derive(Template)]
#[template(path = "keys_bulk.html")]
struct Ask {
    shell: Shell,
    words: Vec<(&'static str, String)>,
    hidden: Vec<(&'static str, String)>,
    back: String,
    found: KeysPreview,
    draft: Draft,
    errors: Errors,
    once: String,
}

/// What was typed.
#[derive(Default)]
struct Draft {
    operation: String,
    set: String,
    remove: String,
}

impl Draft {
    fn read(fields: &Fields) -> Self {
        Self {
            operation: fields.owned("operation").unwrap_or_else(|| "tag".to_owned()),
            set: fields.exact("set").to_owned(),
            remove: fields.owned("remove").unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "job.html")]
struct Progress {
    shell: Shell,
    job: Job,
    /// Who began it.
    who: String,
    may_cancel: bool,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct Jobs {
    shell: Shell,
    jobs: Vec<Job>,
}

/// A job as pages show it.
struct Job {
    row: JobRow,
    /// What it does: `Revoke`.
    verb: &'static str,
    /// Which keys, in words.
    words: Vec<(&'static str, String)>,
    is_running: bool,
    /// How it stands.
    state: &'static str,
}

impl Job {
    fn of(row: JobRow) -> Result<Self, Trouble> {
        let asked: NewJob = serde_json::from_str(&row.request).map_err(|_| {
            Refused::Unavailable("the job cannot be read; a later Tollgate wrote it".to_owned())
        })?;
        let verb = match &asked {
            NewJob::Revoke { .. } => "Revoke",
            NewJob::Disable { .. } => "Disable",
            NewJob::Enable { .. } => "Enable",
            NewJob::Tag { .. } => "Tag",
        };
        let state = match row.progress {
            JobProgress::Running => "goes on",
            JobProgress::Done => "done",
            JobProgress::Failed => "failed",
            JobProgress::Cancelled => "cancelled",
            JobProgress::Lost => "waits for a node to go on",
        };
        let is_running = matches!(row.progress, JobProgress::Running | JobProgress::Lost);
        Ok(Self { verb, words: words(asked.keys()), is_running, state, row })
    }
}

/// A selection in words.
fn words(keys: &KeySelection) -> Vec<(&'static str, String)> {
    let parts = [
        ("Name or last four", &keys.search),
        ("Project", &keys.project),
        ("Consumer", &keys.consumer),
        ("Policy", &keys.policy),
        ("State", &keys.state),
        ("Environment", &keys.environment),
        ("Expires within", &keys.expires_before),
        ("Tag", &keys.metadata),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
}

/// The keys that a filter selects.
async fn selection(visit: &Visit, fields: &Fields) -> Result<KeySelection, Trouble> {
    let consumer = match fields.text("consumer") {
        Some(text) => Some(visit.store().consumer_of(visit.tenant(), text).await?.id.to_string()),
        None => None,
    };
    Ok(KeySelection {
        project: fields.owned("project"),
        consumer,
        policy: fields.owned("policy"),
        environment: fields.owned("environment"),
        state: fields.owned("state"),
        metadata: fields.owned("metadata"),
        search: fields.owned("search"),
        expires_before: fields.text("expires").map(|days| format!("{days}d")),
    })
}

pub(crate) async fn ask(visit: Visit) -> Result<Response, Trouble> {
    let fields = visit.query.clone();
    page(&visit, &fields, (Draft::read(&fields), Errors::default())).await
}

async fn page(visit: &Visit, fields: &Fields, (draft, errors): (Draft, Errors)) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ChangeKeys)?;
    let keys = selection(visit, fields).await?;
    if keys == KeySelection::default() {
        // Nothing selected is not everything.
        return Ok(Redirect::to("/keys").into_response());
    }
    let found = bulk::preview(&visit.app, (&visit.who, &permit), &keys).await?;
    let filled = FILTER.iter().filter_map(|(name, label)| Some((*name, *label, fields.owned(name)?)));
    let filled: Vec<_> = filled.collect();
    let query: Vec<String> =
        filled.iter().map(|(name, _, value)| format!("{name}={}", super::form::encoded(value))).collect();
    html(&Ask {
        words: filled.iter().map(|(_, label, value)| (*label, value.clone())).collect(),
        hidden: filled.into_iter().map(|(name, _, value)| (name, value)).collect(),
        back: format!("/keys?{}", query.join("&")),
        found,
        draft,
        errors,
        once: once::name()?,
        shell: visit.shell("Change keys"),
    })
}

/// Starts a job and leads to its page.
pub(crate) async fn start(posted: Posted) -> Result<Response, Trouble> {
    once::whole(start_whole(posted)).await
}

async fn start_whole(posted: Posted) -> Result<Response, Trouble> {
    let permit = posted.visit.permit(Action::ChangeKeys)?;
    let Posted { visit, fields } = &posted;
    let keys = selection(visit, fields).await?;
    let draft = Draft::read(fields);
    let live = bulk::preview(&visit.app, (&visit.who, &permit), &keys).await?.live;
    let asked = match asked(keys, &draft, (live, fields)) {
        Ok(asked) => asked,
        Err(errors) => return page(visit, fields, (draft, Errors(errors))).await,
    };
    let first = match once::take(&posted, &format!("job {}", draft.operation)).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    match bulk::start(&visit.app, (&visit.who, permit), &asked).await {
        Ok(row) => {
            let path = format!("/keys/jobs/{}", row.id);
            first.done(visit, path.clone()).await;
            Ok(Redirect::to(&path).into_response())
        }
        Err(refused) => {
            let trouble = refused.into();
            first.undone(visit, &trouble).await;
            page(visit, fields, (draft, Errors::from(trouble)?)).await
        }
    }
}

fn asked(
    keys: KeySelection,
    draft: &Draft,
    (live, fields): (u64, &Fields),
) -> Result<NewJob, Vec<FieldError>> {
    Ok(match draft.operation.as_str() {
        "disable" => NewJob::Disable { keys },
        "enable" => NewJob::Enable { keys },
        "revoke" => {
            // It cannot be undone: whoever does it says that they know how many.
            if fields.text("count") != Some(live.to_string().as_str()) {
                return Err(vec![FieldError::new("count", format!("type `{live}`, how many keys will end"))]);
            }
            NewJob::Revoke { keys }
        }
        _ => {
            let set = tags(&draft.set).map_err(|errors| {
                errors.into_iter().map(|error| FieldError::new("set", error.problem)).collect::<Vec<_>>()
            })?;
            let remove = fields.lines("remove");
            if set.is_empty() && remove.is_empty() {
                return Err(vec![FieldError::new("set", "say which tags to set or to take away")]);
            }
            NewJob::Tag { keys, set, remove }
        }
    })
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadKeys)?;
    let actor = visit.who.user.to_string();
    let actor = permit.consumers().is_some().then_some(actor.as_str());
    let found = visit.store().list_jobs((visit.tenant(), actor), &SHOWN, visit.now_us).await?;
    let jobs = found.items.into_iter().map(Job::of).collect::<Result<Vec<_>, _>>()?;
    html(&Jobs { shell: visit.shell("Changes to many keys"), jobs })
}

/// A job that may be seen; one that may not is as absent as one that is not there.
async fn seen(visit: &Visit, id: &str) -> Result<(JobRow, Option<Vec<ConsumerId>>), Trouble> {
    let permit = visit.permit(Action::ReadKeys)?;
    let id: JobId = id.parse().map_err(|_| Trouble::absent("job"))?;
    let row = visit.store().job(visit.tenant(), id, visit.now_us).await?;
    let consumers = permit.consumers().map(<[ConsumerId]>::to_vec);
    if consumers.is_some() && row.actor != visit.who.user.to_string() {
        return Err(Trouble::absent("job"));
    }
    Ok((row, consumers))
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let job = Job::of(seen(&visit, &id).await?.0)?;
    let shell = visit.shell(format!("{} keys", job.verb));
    let who = who(&visit, &job.row.actor).await?;
    html(&Progress { shell, who, may_cancel: visit.may_all(Action::ChangeKeys), job })
}

pub(crate) async fn cancel(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeKeys)?;
    let id = seen(&visit, &id).await?.0.id;
    match visit.store().cancel_job(&permit, (visit.tenant(), id), visit.now_us).await {
        // It came to its end before the button did.
        Ok(_) | Err(tollgate_store::StoreError::Conflict(_)) => {
            Ok(Redirect::to(&format!("/keys/jobs/{id}")).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// The keys that a job changed, as a table for spreadsheets; without secrets, for there are none anywhere.
pub(crate) async fn result(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let (row, consumers) = seen(&visit, &id).await?;
    let filter =
        KeyFilter { tenant: Some(visit.tenant()), consumers, job: Some(row.id), ..KeyFilter::default() };
    // The first page is read before anything is answered, so that what is wrong is a page that says so.
    let first = lines(visit.store(), &filter, None).await?;
    let head = "id,project,consumer,name,key,state\r\n".to_owned() + &first.0;
    let rest = Rest { app: visit.app.clone(), filter, cursor: first.1 };
    let rest = stream::unfold(Some(rest), |rest| async move {
        let mut rest = rest?;
        let cursor = rest.cursor.take()?;
        match lines(rest.app.store(), &rest.filter, Some(cursor)).await {
            Ok((text, cursor)) => {
                rest.cursor = cursor;
                Some((Ok(text), Some(rest)))
            }
            // The connection is cut: who reads half of it must not take it for the whole.
            Err(_) => Some((Err(std::io::Error::other("the keys cannot be read")), None)),
        }
    });
    let all = futures_util::StreamExt::chain(stream::iter([Ok(head)]), rest);
    let name = format!("attachment; filename=\"{}.csv\"", row.id);
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, &name)];
    Ok((headers, Body::from_stream(all)).into_response())
}

/// What is still to be written.
struct Rest {
    app: App,
    filter: KeyFilter,
    cursor: Option<String>,
}

async fn lines(
    store: &Store,
    filter: &KeyFilter,
    cursor: Option<String>,
) -> Result<(String, Option<String>), Trouble> {
    let page = store.list_keys(filter, &PageRequest { limit: PAGE_ROWS_MAX, cursor }).await?;
    Ok((page.items.iter().map(line).collect(), page.next))
}

fn line(key: &KeyView) -> String {
    let face = format!("{}_{}_…{}", key.face.prefix, key.face.environment, key.face.last4);
    let name = key.name.as_deref().unwrap_or_default();
    let id = key.id.to_string();
    let fields = [&id, &key.project.name, &key.consumer.name, name, &face, key.state.name()];
    format!("{}\r\n", fields.map(csv).join(","))
}

/// A field of a table (RFC 4180). What a spreadsheet would take for a formula is marked as text.
pub(super) fn csv(text: &str) -> String {
    let mark = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if mark.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::csv;

    #[test]
    fn a_field_is_no_formula_and_ends_where_it_ends() {
        assert_eq!(csv("plain"), "plain");
        assert_eq!(csv("a,b\"c"), "\"a,b\"\"c\"");
        assert_eq!(csv("=cmd()"), "\"'=cmd()\"");
    }
}
