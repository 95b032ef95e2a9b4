//! What is shown only to those who may change it: the values of headers that a service adds on the way up
//! are often credentials of the upstream.

use tollgate_core::{
    authz::{Action, Right},
    resource::ServiceSpec,
};
use tollgate_store::{ResourceSpec, ResourceView};

use crate::session::SignedIn;

/// What stands in place of a value.
const HIDDEN: &str = "(hidden)";

/// A resource as somebody may see it.
pub(crate) fn seen_by(who: &SignedIn, mut view: ResourceView) -> ResourceView {
    if let ResourceSpec::Service(spec) = &mut view.spec {
        hide(who, spec);
    }
    view
}

/// Takes the values of added headers out of a service, unless who sees it may change services.
pub(crate) fn hide(who: &SignedIn, spec: &mut ServiceSpec) {
    if Action::ChangeResources.row().right(who.role) == Right::All {
        return;
    }
    for value in spec.request_headers.add.values_mut() {
        HIDDEN.clone_into(value);
    }
}
