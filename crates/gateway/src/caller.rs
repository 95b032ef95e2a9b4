//! Who was let through: what the decision means for what goes upstream and for the answer.

use std::rc::Rc;

use smallvec::SmallVec;
use tollgate_core::{key::check_shape, keyring::KeyRecord};

use crate::{
    denial::RateFields,
    http::head::RequestHead,
    identity::Granted,
    request::credential::{Place, Places, for_each},
};

/// Who was let through, and what that means for the request and its answer.
pub(crate) struct Caller {
    /// When that was decided, nanoseconds.
    pub(crate) at_ns: u64,
    /// Where credentials stood that must not travel on.
    pub(crate) strip: SmallVec<[Place; 1]>,
    /// Who it is; `None` at a public service.
    pub(crate) identity: Option<Identity>,
    /// Rate headers of the answer.
    pub(crate) rate: RateFields,
}

/// What upstreams are told of a caller.
pub(crate) struct Identity {
    pub(crate) record: KeyRecord,
    pub(crate) granted: Rc<Granted>,
}

impl Caller {
    /// Nobody in particular. What looks like a key of ours is kept from the upstream all the same.
    pub(crate) fn public(head: &RequestHead, places: &Places, at_ns: u64) -> Self {
        let mut strip = SmallVec::new();
        let flaw = for_each(head, head.query(), places, |presented| {
            if check_shape(&presented.secret).is_ok() {
                strip.push(presented.place);
            }
        });
        if flaw.is_err() {
            // Several `Authorization` fields: none can be vouched for.
            strip.push(Place::Authorization);
        }
        Self { at_ns, strip, identity: None, rate: RateFields::default() }
    }
}
