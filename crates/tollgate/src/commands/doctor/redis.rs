//! The look at Redis.

use super::finding::Finding;
use crate::config::Config;

/// Whether Redis answers and takes the script; nothing where none is set.
pub(super) async fn redis(config: &Config) -> Option<Finding> {
    const CHECK: &str = "redis";
    let url = config.redis.url.as_ref()?;
    Some(match tollgate_counters::shared::check(url.expose()).await {
        Ok(version) => Finding::ok(CHECK, format!("Redis {version} answers")),
        Err(why) => Finding::wrong(
            CHECK,
            format!("Redis does not answer: {why}"),
            "check `redis.url`; each node enforces its part of shared limits meanwhile",
        ),
    })
}
