//! What services that end in Tollgate itself cannot have: whatever is about forwarding, and callers without a key.

use crate::{field_error::FieldError, resource::ServiceSpec};

/// Refuses the fields of forwarding, and `public`, each with the words of the kind.
pub(crate) fn refuse_forwarding(
    spec: &ServiceSpec,
    (forwarding, public): (&'static str, &'static str),
    errors: &mut Vec<FieldError>,
) {
    let fields = [
        ("upstreams", !spec.upstreams.is_empty(), forwarding),
        ("rewrite", spec.rewrite.is_some(), forwarding),
        ("health", spec.health.is_some(), forwarding),
        ("tls", spec.tls.is_some(), forwarding),
        ("websocket", spec.websocket, forwarding),
        ("assertion", spec.assertion, forwarding),
        ("strip_prefix", spec.strip_prefix, forwarding),
        ("public", spec.public, public),
    ];
    for (field, _, problem) in fields.into_iter().filter(|(_, is_there, _)| *is_there) {
        errors.push(FieldError::new(field, problem));
    }
}
