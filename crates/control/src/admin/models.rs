//! Models as this node sees them.

use tollgate_core::id::ProjectId;
use tollgate_store::{Named, Scope};
use tollgate_wire::admin as wire;

use super::{answer::Answer, call::Call};
use crate::{ModelCondition, problem::Refused, tenant_models::of_tenant};

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let page = call.page();
    let from = match page.cursor.as_deref() {
        Some(cursor) => cursor.parse().map_err(|_| Refused::invalid("cursor", "it is none of this list"))?,
        None => 0_usize,
    };
    let limit = page.limit as usize;
    let scope = Scope::of(call.tenant(), &call.permit);
    let all = of_tenant(call.app().control(), scope).await?;
    let mut rest = all.into_iter().skip(from);
    let shown = |(project, model): (Named<ProjectId>, ModelCondition)| wire::Model {
        id: model.id.to_string(),
        project: super::view::named(&project),
        name: model.name,
        version: model.version,
        aliases: model.aliases,
        source: model.source,
        state: model.state.to_owned(),
        problem: model.problem,
        under_way: model.under_way,
        answered: model.tallied.answered,
        failed: model.tallied.failed,
        refused: model.tallied.refused,
        median_us: model.tallied.median_us,
        p99_us: model.tallied.p99_us,
    };
    let items: Vec<wire::Model> = rest.by_ref().take(limit).map(shown).collect();
    let next = rest.next().map(|_| (from + limit).to_string());
    Answer::ok(&wire::List { items, next })
}
