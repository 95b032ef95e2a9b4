//! Notices: what happened that webhooks are told, as a list beside that of requests.

use askama::Template;
use axum::response::Response;
use tollgate_core::{authz::Action, notice::NoticeKind};
use tollgate_store::{NoticeFilter, NoticeRow};

use super::{
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};

#[derive(Template)]
#[template(path = "notices.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    older: Option<String>,
    kinds: &'static [NoticeKind],
    kind: String,
    key: String,
    problem: Option<&'static str>,
    may_webhooks: bool,
}

/// A notice as a line.
struct Row {
    notice: NoticeRow,
    /// The rest of what there is to say, by name.
    said: Vec<(String, String)>,
    /// What it is about, in words.
    about: String,
}

/// Fields that the line shows by themselves, or not at all.
const KNOWN: [&str; 10] = [
    "tenant",
    "tenant_id",
    "project",
    "project_id",
    "consumer",
    "consumer_id",
    "service_id",
    "key",
    "key_id",
    "key_name",
];

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadEvents)?;
    let (kind, key) = (visit.query.owned("type"), visit.query.owned("key"));
    let key_id = key.as_deref().map(str::parse).transpose();
    let problem = key_id.is_err().then_some("Write a key id such as key_….");
    let filter = NoticeFilter {
        tenant: Some(visit.tenant()),
        consumers: permit.consumers().map(<[_]>::to_vec),
        key: key_id.unwrap_or_default(),
        kind: kind.clone(),
        ..NoticeFilter::default()
    };
    let found = visit.store().notices(&filter, &visit.rows()).await?;
    html(&Page {
        rows: found.items.into_iter().map(Row::of).collect(),
        older: visit.older(found.next.as_deref()),
        kinds: NoticeKind::ALL,
        kind: kind.unwrap_or_default(),
        key: key.unwrap_or_default(),
        problem,
        may_webhooks: visit.may_all(Action::ReadAutomation),
        shell: visit.shell("Notices"),
    })
}

impl Row {
    fn of(notice: NoticeRow) -> Self {
        let body = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&notice.body);
        let body = body.unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let parts = [text("project"), text("consumer"), text("key_name").or_else(|| text("key"))];
        let about = parts.into_iter().flatten().collect::<Vec<_>>().join(" / ");
        let said = body.iter().filter(|(name, value)| !KNOWN.contains(&name.as_str()) && !value.is_null());
        let words =
            |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let said = said.map(|(name, value)| (name.replace('_', " "), words(value))).collect();
        Self { about, said, notice }
    }
}
