//! The keys that a provider signs with, fetched when they are needed and kept for a while.

use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    fetch::Fetcher,
    jwt::{Claims, Expected, Jwk, Token},
};

/// How long keys are believed without asking again.
const KEPT_US: i64 = 3_600_000_000;
/// How long an unknown key makes nobody ask again.
const PAUSE_US: i64 = 60_000_000;
/// Keys that a provider may have.
const KEYS_MAX: usize = 64;

/// The keys of a provider.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    keys: Vec<Jwk>,
    /// Wall time, which never runs backwards.
    asked_us: Option<i64>,
    fetched_us: Option<i64>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// The claims of a token that one of the keys signed; why there are none, for the log.
    pub(crate) async fn verify(
        &self,
        fetcher: &Fetcher,
        url: &str,
        (token, expected): (&Token<'_>, &Expected<'_>),
    ) -> Result<Claims, String> {
        let key = self.key((fetcher, url), token.kid.as_deref(), expected.now_us).await?;
        token.verify(&key, expected).map_err(str::to_owned)
    }

    /// The key of this name; a provider with a single key need not name it.
    async fn key(
        &self,
        (fetcher, url): (&Fetcher, &str),
        kid: Option<&str>,
        now_us: i64,
    ) -> Result<Jwk, String> {
        // Held while fetching, so that many sign-ins at once ask once.
        let mut kept = self.kept.lock().await;
        let old = kept.fetched_us.is_none_or(|at| now_us - at > KEPT_US);
        let missing = named(&kept.keys, kid).is_none();
        let rested = kept.asked_us.is_none_or(|at| now_us - at > PAUSE_US);
        if (old || missing) && rested {
            kept.asked_us = Some(now_us);
            // Who could not be reached may be asked again at once.
            let found: Jwks = fetcher.json(url).await.inspect_err(|_| kept.asked_us = None)?;
            // Keys of kinds that are not known here are passed over.
            let keys = found.keys.into_iter().take(KEYS_MAX);
            kept.keys = keys.filter_map(|key| serde_json::from_value(key).ok()).collect();
            kept.fetched_us = Some(now_us);
        }
        named(&kept.keys, kid).cloned().ok_or_else(|| "the provider has no such key".to_owned())
    }
}

fn named<'k>(keys: &'k [Jwk], kid: Option<&str>) -> Option<&'k Jwk> {
    match (kid, keys) {
        (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}
