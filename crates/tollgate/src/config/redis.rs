//! The setting of Redis, where limits are counted that all nodes share.

use std::sync::Arc;

use tollgate_core::secret::Secret;

use super::{
    people::setting,
    settings::{Setting, put},
    value::text,
};

/// Settings of Redis.
#[derive(Debug, Default)]
pub struct Redis {
    /// Where it is, with its password; each node enforces its part of shared limits when not set.
    pub url: Option<Arc<Secret<String>>>,
}

/// The settings.
pub(super) const SETTINGS: &[Setting] = &[setting(
    ("redis.url", "`redis://` or `rediss://`, with user and password where it asks for them", ""),
    "The Redis that counts limits with `mode = \"shared\"`. Without it, and while it does not answer, each node \
     enforces the limit divided by the live nodes, and a limit with `security = true` lets nothing through.",
    |written, config| put(&mut config.redis.url, text(written).and_then(url).map(Some)),
)];

fn url(text: String) -> Result<Arc<Secret<String>>, String> {
    let is_one = ["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme));
    if is_one {
        return Ok(Arc::new(Secret::new(text)));
    }
    Err("that is no URL of Redis; write `redis://HOST:PORT`, or `rediss://` for TLS".to_owned())
}
