//! The list of rules, with what they did last; and the list of blocks.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::Action,
    id::{BlockId, KeyId},
    rule::spec::{RuleMode, RuleSpec},
};
use tollgate_store::{
    BlockFilter, BlockView, Entity, FiringFilter, FiringView, PageRequest, ResourceFilter, ResourceSpec,
};

use super::{
    rule_words::sentence,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::problem::Refused;

/// What rules did that a page shows.
pub(super) const LAST: PageRequest = PageRequest { limit: 20, cursor: None };

#[derive(Template)]
#[template(path = "rules.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    older: Option<String>,
    search: String,
    firings: Vec<FiringView>,
    /// Blocks that hold, at most 100.
    held: usize,
    may_create: bool,
}

struct Row {
    id: String,
    project: String,
    spec: RuleSpec,
    sentence: String,
    observes: bool,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let mut filter = ResourceFilter::all(visit.scope(Action::ReadAutomation)?, Entity::Rule);
    filter.search = visit.query.owned("search");
    let page = visit.store().list_resources(&filter, &visit.rows()).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for item in page.items {
        let ResourceSpec::Rule(spec) = item.spec else { continue };
        rows.push(Row {
            id: item.id.to_string(),
            project: item.project.name,
            sentence: sentence(&spec),
            observes: spec.mode == RuleMode::Observe,
            spec: *spec,
        });
    }
    let firings = FiringFilter { tenant: Some(visit.tenant()), rule: None };
    html(&Page {
        rows,
        older: visit.older(page.next.as_deref()),
        search: visit.query.owned("search").unwrap_or_default(),
        firings: visit.store().list_firings(&firings, &LAST).await?.items,
        held: held(&visit).await?,
        may_create: visit.may_all(Action::ChangeResources),
        shell: visit.shell("Rules"),
    })
}

async fn held(visit: &Visit) -> Result<usize, Trouble> {
    const COUNTED: PageRequest = PageRequest { limit: 100, cursor: None };
    let scope = Some(visit.scope(Action::ReadKeys)?);
    let filter = BlockFilter { scope, held: Some(true), key: None, rule: None };
    Ok(visit.store().list_blocks(&filter, &COUNTED).await?.items.len())
}

#[derive(Template)]
#[template(path = "blocks.html")]
struct Blocks {
    shell: Shell,
    blocks: Vec<BlockView>,
    older: Option<String>,
    all: bool,
    may_lift: bool,
}

pub(crate) async fn blocks(visit: Visit) -> Result<Response, Trouble> {
    let all = visit.query.text("all") == Some("1");
    let filter = BlockFilter {
        scope: Some(visit.scope(Action::ReadKeys)?),
        held: (!all).then_some(true),
        key: None,
        rule: None,
    };
    let page = visit.store().list_blocks(&filter, &visit.rows()).await?;
    html(&Blocks {
        blocks: page.items,
        older: visit.older(page.next.as_deref()),
        all,
        may_lift: visit.may_all(Action::ChangeBlocks),
        shell: visit.shell("Blocks"),
    })
}

/// The blocks that keep a key out, and did, newest first.
pub(super) async fn of_key(visit: &Visit, key: KeyId) -> Result<Vec<BlockView>, Trouble> {
    let scope = Some(visit.scope(Action::ReadKeys)?);
    let filter = BlockFilter { scope, held: None, key: Some(key), rule: None };
    Ok(visit.store().list_blocks(&filter, &LAST).await?.items)
}

/// Lifts a block, and leads back to where the form stood.
pub(crate) async fn lift(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeBlocks)?;
    let id: BlockId = id.parse().map_err(|_| Refused::not_found())?;
    let done = visit.store().lift_block(&permit, id, visit.now_us).await?;
    visit.known_here(done.seq).await;
    let back = match fields.text("key").and_then(|key| key.parse::<KeyId>().ok()) {
        Some(key) => format!("/keys/{key}?done=lifted"),
        None => "/blocks?done=lifted".to_owned(),
    };
    Ok(Redirect::to(&back).into_response())
}
