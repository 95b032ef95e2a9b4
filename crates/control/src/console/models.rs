//! Models: which versions take requests on this node, under which names, and how that goes.

use askama::Template;
use axum::response::Response;
use tollgate_core::authz::Action;

use super::{
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};
use crate::{ModelCondition, tenant_models::of_tenant};

#[derive(Template)]
#[template(path = "models.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
}

struct Row {
    project: String,
    model: ModelCondition,
}

impl Row {
    /// How it is, in words.
    fn words(&self) -> &'static str {
        match (self.model.state, self.model.is_served) {
            ("loading", _) => "loading",
            ("serving", _) => "serving",
            (_, true) => "serving its former file",
            (_, false) => "cannot be used",
        }
    }

    fn aliases(&self) -> String {
        self.model.aliases.join(", ")
    }

    fn median(&self) -> String {
        at_most(self.model.tallied.median_us)
    }

    fn p99(&self) -> String {
        at_most(self.model.tallied.p99_us)
    }
}

/// A power of two of microseconds, in words.
fn at_most(micros: u64) -> String {
    match micros {
        0 => "–".to_owned(),
        1..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let scope = visit.scope(Action::ReadServices)?;
    let models = of_tenant(visit.app.control(), scope).await?;
    let rows = models.into_iter().map(|(project, model)| Row { project: project.name, model }).collect();
    html(&Page { rows, shell: visit.shell("Models") })
}
