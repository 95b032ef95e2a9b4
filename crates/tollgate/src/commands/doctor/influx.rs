//! The look at InfluxDB.

use std::{net::IpAddr, time::Duration};

use tollgate_workers::{InfluxOptions, InfluxTarget};

use super::finding::Finding;
use crate::config::Config;

/// How long it may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Whether InfluxDB would take points; nothing where none is set.
pub(super) async fn influx(config: &Config) -> Option<Finding> {
    const CHECK: &str = "influx";
    let options = config.influx.options()?;
    Some(match options.check(ANSWER_WITHIN).await {
        Err(why) => Finding::wrong(
            CHECK,
            format!("{} does not take points: {why}", options.url),
            "check `influx.url`, the database or bucket (it must be there), and user or token; points wait in the database meanwhile",
        ),
        Ok(_) if sends_secrets_in_the_clear(&options) => Finding::warning(
            CHECK,
            format!("{} takes points, and its user or token goes there in the clear", options.url),
            "use `https://`, or a network that nobody else reads",
        ),
        Ok(version) => {
            let version = version.map(|version| format!(" ({version})")).unwrap_or_default();
            Finding::ok(CHECK, format!("{} takes points{version}", options.url))
        }
    })
}

fn sends_secrets_in_the_clear(options: &InfluxOptions) -> bool {
    let has_secret = match &options.target {
        InfluxTarget::Database { user, .. } => user.is_some(),
        InfluxTarget::Bucket { token, .. } => token.is_some(),
    };
    let Some(rest) = options.url.strip_prefix("http://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_own = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    has_secret && !is_own
}
