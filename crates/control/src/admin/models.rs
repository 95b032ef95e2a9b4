//! Models as this node sees them.

use tollgate_core::id::ProjectId;
use tollgate_store::{Named, Scope};
use tollgate_wire::admin as wire;

use super::{answer::Answer, call::Call};
use crate::{ModelCondition, problem::Refused, tenant_models::of_tenant};

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let scope = Scope::of(call.tenant(), &call.permit);
    let all = of_tenant(call.app().control(), scope).await?;
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
    Answer::part(all.into_iter().map(shown), &call.page())
}
