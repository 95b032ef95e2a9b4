//! The look at sinks that nobody hands records on to any more.

use tollgate_store::{Lag, Store};
use tollgate_workers::METERS_SINK;

use super::finding::Finding;
use crate::config::Config;

/// What is said of every sink that has a cursor and is not set; a sink that is behind keeps records from being
/// forgotten.
pub(super) async fn left_over(store: &Store, config: &Config) -> Vec<Finding> {
    const CHECK: &str = "sinks";
    let (Ok(mut lags), Ok(streams)) = (store.outbox_lag().await, store.stream_lag().await) else {
        // Why the database does not answer is said by the look at it.
        return Vec::new();
    };
    lags.extend(streams);
    let left = lags.iter().filter(|lag| !is_set(config, &lag.sink));
    left.map(|Lag { sink, records, .. }| {
        Finding::warning(
            CHECK,
            format!(
                "`{sink}` is in the settings no more; {records} record(s) that it has not had are kept for it, \
                 however old they are"
            ),
            format!("set it again, or have it forgotten: `tollgate outbox forget {sink}`"),
        )
    })
    .collect()
}

/// Whether a sink is set on this node.
fn is_set(config: &Config, sink: &str) -> bool {
    let kafka = config.events.kafka.brokers.is_some();
    match sink {
        METERS_SINK => true,
        "kafka" => kafka,
        "audit" => kafka && config.topics.audit.is_some(),
        "decisions" => kafka && config.topics.decisions.is_some(),
        "influx" => config.influx.url.is_some(),
        _ => false,
    }
}
