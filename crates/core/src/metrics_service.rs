//! Checking what services of kind `metrics` say of themselves.

use crate::{
    built_in::refuse_forwarding,
    field_error::FieldError,
    metric::check_measurement,
    metrics_spec::{METRICS_BODY_BYTES_MAX, POINTS_MAX},
    resource::{ServiceKind, ServiceSpec},
};

/// Checks what is of kind `metrics` alone.
pub(crate) fn check_metrics(spec: &ServiceSpec, errors: &mut Vec<FieldError>) {
    if spec.kind != ServiceKind::Metrics {
        if spec.metrics.is_some() {
            let problem =
                "only services with `kind = \"metrics\"` have it; leave it away, or change the kind";
            errors.push(FieldError::new("metrics", problem));
        }
        return;
    }
    let words = (
        "points go to the InfluxDB of the settings `influx.*`; leave it away for kind `metrics`",
        "points are booked to who holds a key; serve holders of keys only",
    );
    refuse_forwarding(spec, words, errors);
    if spec.body_bytes_max.is_some_and(|bytes| bytes > METRICS_BODY_BYTES_MAX) {
        let problem = "points are held in memory until they are durable; at most 67108864 bytes are allowed";
        errors.push(FieldError::new("body_bytes_max", problem));
    }
    let Some(metrics) = &spec.metrics else { return };
    if let Some(Err(problem)) = metrics.measurement.as_deref().map(check_measurement) {
        errors.push(FieldError::new("metrics.measurement", problem));
    }
    if let Some(points) = metrics.points_max.filter(|points| !(1..=POINTS_MAX).contains(points)) {
        errors.push(FieldError::new("metrics.points_max", format!("{points} is outside 1 to {POINTS_MAX}")));
    }
}
