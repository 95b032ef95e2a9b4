//! Whole documents of resources: what `tollgate apply` and `tollgate export` do, for the tenant of
//! whoever calls.

use tollgate_core::resource::Resources;
use tollgate_store::ApplyMode;
use tollgate_wire::admin as wire;

use super::{answer::Answer, call::Call};
use crate::problem::Refused;

pub(crate) async fn apply(call: Call) -> Result<Answer, Refused> {
    let mut resources: Resources = call.body()?;
    let tenant = &call.who.tenant.name;
    // Short names are those of the own tenant, whatever other tenants call theirs.
    let projects = resources
        .services
        .iter_mut()
        .map(|spec| &mut spec.project)
        .chain(resources.policies.iter_mut().map(|spec| &mut spec.project))
        .chain(resources.consumers.iter_mut().map(|spec| &mut spec.project))
        .chain(resources.event_types.iter_mut().map(|spec| &mut spec.project))
        .chain(resources.rules.iter_mut().map(|spec| &mut spec.project))
        .chain(resources.meters.iter_mut().map(|spec| &mut spec.project))
        .chain(resources.models.iter_mut().map(|spec| &mut spec.project))
        .chain(resources.webhooks.iter_mut().filter_map(|spec| spec.project.as_mut()));
    for project in projects.filter(|project| !project.contains('/')) {
        *project = format!("{tenant}/{project}");
    }
    let mode = ApplyMode { dry_run: call.query.flag("dry_run"), prune: call.query.flag("prune") };
    let plan = call.store().apply(&call.permit, &resources, mode, call.now_us).await?;
    call.known_here(plan.seq).await;
    let changes = plan
        .changes
        .into_iter()
        .map(|change| wire::PlannedChange {
            op: change.op.name().to_owned(),
            kind: change.kind.name().to_owned(),
            name: change.name,
            fields: change.fields,
        })
        .collect();
    Answer::ok(&wire::ApplyPlan { dry_run: mode.dry_run, changes })
}

pub(crate) async fn export(call: Call) -> Result<Answer, Refused> {
    let resources = call.store().export_of(call.tenant()).await?;
    Answer::ok(&resources)
}
