//! Checking what services of kind `predict` say of themselves, and which paths they take.

use crate::{
    built_in::refuse_forwarding,
    field_error::FieldError,
    predict_spec::{INFERENCE_PATH, PREDICT_BYTES_MAX, PREDICT_PATH},
    resource::{MatchSpec, ServiceKind, ServiceSpec},
};

/// Checks what is of kind `predict` alone.
pub(crate) fn check_predict(spec: &ServiceSpec, errors: &mut Vec<FieldError>) {
    if spec.kind != ServiceKind::Predict {
        return;
    }
    let words = (
        "models say themselves where they are; leave it away for kind `predict`",
        "models are granted to keys; serve holders of keys only",
    );
    refuse_forwarding(spec, words, errors);
    if spec.body_bytes_max.is_some_and(|bytes| bytes > PREDICT_BYTES_MAX) {
        let problem = format!("inputs are held in memory; at most {PREDICT_BYTES_MAX} bytes are allowed");
        errors.push(FieldError::new("body_bytes_max", problem));
    }
}

/// The second match of a service: a predict service at its usual path takes the Open Inference Protocol v2 as well.
#[must_use]
pub fn second_match(spec: &ServiceSpec) -> Option<MatchSpec> {
    let is_usual = spec.kind == ServiceKind::Predict
        && spec.matches.path_prefix.as_deref().map(|prefix| prefix.trim_end_matches('/'))
            == Some(PREDICT_PATH);
    is_usual.then(|| MatchSpec { path_prefix: Some(INFERENCE_PATH.to_owned()), ..spec.matches.clone() })
}
