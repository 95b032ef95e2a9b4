//! How the node is that answers.

use tollgate_wire::admin as wire;

use super::{answer::Answer, call::Call};
use crate::problem::Refused;

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let control = call.app().control();
    let report = control.health.report();
    let ready = report.is_ready();
    let parts = report.parts.into_iter().map(|part| wire::StatusPart {
        name: part.name.to_owned(),
        ok: part.ok,
        detail: part.detail,
    });
    Answer::ok(&wire::Status {
        ready,
        node: report.node,
        version: control.version.to_owned(),
        roles: report.roles.into_iter().map(str::to_owned).collect(),
        parts: parts.collect(),
    })
}
