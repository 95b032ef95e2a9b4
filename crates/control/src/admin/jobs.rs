//! Jobs: the same change to many keys. What they are and how they go on is in [`super::bulk`].

use tollgate_core::id::JobId;
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, bulk, call::Call, moment::rfc3339, view};
use crate::problem::Refused;

pub(crate) async fn start(call: Call) -> Result<Answer, Refused> {
    let asked: wire::NewJob = call.body()?;
    let row = bulk::start(call.app(), (&call.who, call.permit.clone()), &asked).await?;
    let location = format!("{BASE}/jobs/{}", row.id);
    Answer::accepted(&view::job(row)?, location)
}

pub(crate) async fn preview(call: Call) -> Result<Answer, Refused> {
    let keys: wire::KeySelection = call.body()?;
    let found = bulk::preview(call.app(), (&call.who, &call.permit), &keys).await?;
    Answer::ok(&wire::JobPreview {
        keys: found.keys,
        live: found.live,
        used: found.used,
        addresses: found.addresses,
        last_used_at: found.last_used_us.map(rfc3339),
    })
}

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let actor = call.who.user.to_string();
    let actor = call.permit.consumers().is_some().then_some(actor.as_str());
    let page = call.store().list_jobs((call.tenant(), actor), &call.page(), call.now_us).await?;
    let items = page.items.into_iter().map(view::job).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&wire::List { items, next: page.next })
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let id: JobId = call.id()?;
    let row = call.store().job(call.tenant(), id, call.now_us).await?;
    if call.permit.consumers().is_some() && row.actor != call.who.user.to_string() {
        return Err(Refused::NotFound(format!("there is no job `{id}`; list them, or correct the id")));
    }
    Answer::ok(&view::job(row)?)
}

pub(crate) async fn cancel(call: Call) -> Result<Answer, Refused> {
    let row = call.store().cancel_job(&call.permit, (call.tenant(), call.id()?), call.now_us).await?;
    Answer::ok(&view::job(row)?)
}
