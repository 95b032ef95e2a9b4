//! Where a lane's remote models are: origins made ready once, and how their servers are. Asking them is the business
//! of `predict`. Invariant: bounded, whatever models are registered and taken away.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use tollgate_core::{code::Code, id::ServiceId, predict_spec::RemoteSpec, reach::Hold};

use crate::{
    denial::Denial,
    http::upstream::Origin,
    service::balance::{Condition, Registry},
};

/// Origins that a lane keeps; when there are more it begins anew.
const KEPT_MAX: usize = 1024;

/// Origins by their URL, and how far they reach.
type Kept = HashMap<(String, Hold), (Origin, Arc<Condition>)>;

/// Where remote models are, made ready.
#[derive(Default)]
pub(crate) struct Remotes(RefCell<Kept>);

impl Remotes {
    /// Where a remote model is, in an installation of so many tenants.
    pub(crate) fn of(
        &self,
        registry: &Registry,
        service: ServiceId,
        (remote, tenants): (&RemoteSpec, usize),
    ) -> Result<(Origin, Arc<Condition>), Denial> {
        let hold = remote.marks().hold(tenants);
        let key = (remote.url.clone(), hold);
        if let Some((origin, condition)) = self.0.borrow().get(&key) {
            return Ok((origin.clone(), Arc::clone(condition)));
        }
        let origin = Origin::parse(&remote.url).map_err(|error| {
            tracing::error!(url = remote.url, %error, "the server of a model cannot be asked");
            Denial::new(Code::ModelUnavailable, "")
        })?;
        let origin = registry.held(origin, hold);
        let condition = registry.condition(service, &remote.url);
        let mut kept = self.0.borrow_mut();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (origin.clone(), Arc::clone(&condition)));
        Ok((origin, condition))
    }
}
