//! Models: which versions are registered, whether they take requests on this node, and how that goes.

use askama::Template;
use axum::response::Response;
use tollgate_core::authz::Action;
use tollgate_store::{Entity, ResourceFilter};
use tollgate_wire::admin::Model;

use super::{
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};
use crate::admin::models::shown;

#[derive(Template)]
#[template(path = "models.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    older: Option<String>,
    may_create: bool,
}

struct Row {
    model: Model,
}

impl Row {
    fn words(&self) -> &'static str {
        words(&self.model)
    }

    fn aliases(&self) -> String {
        self.model.aliases.join(", ")
    }

    fn median(&self) -> String {
        at_most(self.model.median_us)
    }

    fn p99(&self) -> String {
        at_most(self.model.p99_us)
    }
}

/// How a version is, in words.
pub(super) fn words(model: &Model) -> &'static str {
    match model.state.as_str() {
        "loading" => "loading",
        "serving" => "serving",
        "serving_former" => "serving its former file",
        "unknown" => "not on this node",
        _ => "cannot be used",
    }
}

/// A power of two of microseconds, in words.
pub(super) fn at_most(micros: u64) -> String {
    match micros {
        0 => "–".to_owned(),
        1..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let filter = ResourceFilter::all(visit.scope(Action::ReadServices)?, Entity::Model);
    let page = visit.store().list_resources(&filter, &visit.rows()).await?;
    let conditions = visit.app.control().health.models();
    let models = page.items.into_iter().filter_map(|item| shown(item, &conditions));
    html(&Page {
        rows: models.map(|model| Row { model }).collect(),
        older: page.next.map(|next| visit.link(&[("cursor", Some(&next))])),
        may_create: visit.may_all(Action::ChangeResources),
        shell: visit.shell("Models"),
    })
}
