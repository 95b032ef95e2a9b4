//! Prices: the tenant's own, the operator's, those that Tollgate ships with, each in its versions.

use std::collections::HashMap;

use tollgate_core::{
    id::{PriceId, TenantId},
    money::{price::PriceSpec, prices::STARTING},
};
use tollgate_store::{PriceAt, PriceView, Store};
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call, moment::rfc3339};
use crate::problem::Refused;

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let all = known(call.store(), call.tenant(), (call.query.flag("ended"), call.now_us)).await?;
    let search = call.query.text("search").map(str::to_lowercase);
    let provider = call.query.text("provider");
    let origin = call.query.text("origin");
    let fits = |price: &wire::Price| {
        let is_found = search.as_ref().is_none_or(|search| price.spec.model.to_lowercase().contains(search));
        is_found
            && provider.is_none_or(|provider| price.spec.provider.name() == provider)
            && origin.is_none_or(|origin| price.origin == origin)
    };
    Answer::part(all.into_iter().filter(fits), &call.page())
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let found = call.store().price(call.tenant(), call.id::<PriceId>()?).await?;
    let version = found.version;
    Ok(Answer::ok(&alone(&call, found).await?)?.version(version))
}

pub(crate) async fn create(call: Call) -> Result<Answer, Refused> {
    let spec = own(call.body()?, &call.who.tenant.name)?;
    let made = call.store().add_price(&call.permit, spec, call.now_us).await?;
    call.known_here(made.seq).await;
    let (version, location) = (made.value.version, format!("{BASE}/prices/{}", made.value.id));
    Ok(Answer::created(&alone(&call, made.value).await?, location)?.version(version))
}

pub(crate) async fn end(call: Call) -> Result<Answer, Refused> {
    let at = PriceAt { tenant: call.tenant(), id: call.id()?, version: call.expected_version()? };
    let done = call.store().end_price(&call.permit, at, call.now_us).await?;
    call.known_here(done.seq).await;
    Ok(Answer::nothing())
}

/// A price as somebody of a tenant may write it: for that tenant.
pub(crate) fn own(spec: PriceSpec, tenant: &str) -> Result<PriceSpec, Refused> {
    if spec.tenant.as_ref().is_some_and(|named| named != tenant) {
        return Err(Refused::invalid("tenant", format!("it is `{tenant}` here; leave it away")));
    }
    Ok(PriceSpec { tenant: Some(tenant.to_owned()), ..spec })
}

/// All prices that a tenant sees: own ones, the operator's, those shipped; by provider and model in each.
pub(crate) async fn known(
    store: &Store,
    tenant: TenantId,
    (ended, now_us): (bool, i64),
) -> Result<Vec<wire::Price>, Refused> {
    let rows = store.list_prices(tenant, ended).await?;
    let current = current(&rows, now_us);
    let mut own = Vec::new();
    let mut operators = Vec::new();
    for row in rows {
        let is_current = current.get(&(row.tenant, row.name.clone())) == Some(&row.id);
        let list = if row.tenant.is_some() { &mut own } else { &mut operators };
        list.push(shown(row, is_current));
    }
    own.append(&mut operators);
    let mut shipped: Vec<&PriceSpec> = STARTING.as_deref().unwrap_or_default().iter().collect();
    shipped.sort_by(|a, b| {
        let order = |spec: &PriceSpec| (spec.provider, spec.model.clone(), spec.service_tier.clone());
        order(a).cmp(&order(b))
    });
    own.extend(shipped.into_iter().map(|spec| wire::Price {
        id: None,
        version: 1,
        origin: "shipped".to_owned(),
        current: true,
        from: None,
        ended_at: None,
        spec: spec.clone(),
    }));
    Ok(own)
}

/// The version of each price that counts now.
fn current(rows: &[PriceView], now_us: i64) -> HashMap<(Option<TenantId>, String), PriceId> {
    let mut current: HashMap<_, (i64, PriceId)> = HashMap::new();
    for row in rows.iter().filter(|row| row.withdrawn_us.is_none() && row.from_us <= now_us) {
        let best = current.entry((row.tenant, row.name.clone())).or_insert((row.from_us, row.id));
        if row.from_us >= best.0 {
            *best = (row.from_us, row.id);
        }
    }
    current.into_iter().map(|(name, (_, id))| (name, id)).collect()
}

async fn alone(call: &Call, row: PriceView) -> Result<wire::Price, Refused> {
    let rows = call.store().list_prices(call.tenant(), false).await?;
    let is_current = current(&rows, call.now_us).get(&(row.tenant, row.name.clone())) == Some(&row.id);
    Ok(shown(row, is_current))
}

fn shown(row: PriceView, current: bool) -> wire::Price {
    wire::Price {
        id: Some(row.id.to_string()),
        version: row.version,
        origin: if row.tenant.is_some() { "own" } else { "operator" }.to_owned(),
        current,
        from: (row.from_us != i64::MIN).then(|| rfc3339(row.from_us)),
        ended_at: row.withdrawn_us.map(rfc3339),
        spec: row.spec,
    }
}
