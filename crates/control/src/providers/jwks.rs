//! The keys that a provider signs with, fetched when they are needed and kept for a while.
//!
//! One request at a time asks for them. Whoever needs a key that is known does not wait for it, and a
//! provider that cannot be reached ends nobody's sign-in for as long as its last keys are believed.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::{
    fetch::Fetcher,
    jwt::{Claims, Expected, Jwk, Token},
};

/// How long keys are believed without asking again.
const KEPT_US: i64 = 3_600_000_000;
/// How long keys are believed while the provider cannot be asked.
const BELIEVED_US: i64 = 6 * KEPT_US;
/// How long nobody asks again after the provider could not be reached.
const REST_US: i64 = 5_000_000;
/// How long an unknown key makes nobody ask again.
const PAUSE_US: i64 = 60_000_000;
const NO_SUCH_KEY: &str = "the provider has no such key";
/// Keys that a provider may have.
const KEYS_MAX: usize = 64;

/// The keys of a provider.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Never held while waiting.
    kept: Mutex<Kept>,
    /// Held while fetching, so that many sign-ins at once ask once.
    fetching: tokio::sync::Mutex<()>,
}

/// Times are wall time, which never runs backwards.
#[derive(Debug, Default)]
struct Kept {
    keys: Vec<Jwk>,
    asked_us: Option<i64>,
    failed_us: Option<i64>,
    fetched_us: Option<i64>,
}

impl Kept {
    /// The key of this name, while it is believed, and whether the provider should be asked now.
    fn look(&self, kid: Option<&str>, now_us: i64) -> (Option<Jwk>, bool) {
        let within = |at: Option<i64>, us: i64| at.is_some_and(|at| now_us - at <= us);
        let believed = within(self.fetched_us, BELIEVED_US);
        let key = named(&self.keys, kid).filter(|_| believed).cloned();
        let is_wanted = key.is_none() || !within(self.fetched_us, KEPT_US);
        let rests = within(self.asked_us, PAUSE_US) || within(self.failed_us, REST_US);
        (key, is_wanted && !rests)
    }
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
        let (key, asks) = self.kept().look(kid, now_us);
        if !asks {
            return key.ok_or_else(|| self.without(now_us));
        }
        let turn = match &key {
            Some(_) => self.fetching.try_lock().ok(),
            None => Some(self.fetching.lock().await),
        };
        // Somebody may have asked while this waited.
        let (key, asks) = self.kept().look(kid, now_us);
        if turn.is_none() || !asks {
            return key.ok_or_else(|| self.without(now_us));
        }
        let found: Result<Jwks, String> = fetcher.json(url).await;
        let mut kept = self.kept();
        match found {
            Ok(found) => {
                // Keys of kinds that are not known here are passed over.
                let keys = found.keys.into_iter().take(KEYS_MAX);
                kept.keys = keys.filter_map(|key| serde_json::from_value(key).ok()).collect();
                (kept.asked_us, kept.fetched_us, kept.failed_us) = (Some(now_us), Some(now_us), None);
                named(&kept.keys, kid).cloned().ok_or_else(|| NO_SUCH_KEY.to_owned())
            }
            Err(why) => {
                kept.failed_us = Some(now_us);
                if key.is_some() {
                    tracing::warn!(
                        why,
                        "the provider's keys are used though it cannot be asked for new ones"
                    );
                }
                key.ok_or(why)
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn without(&self, now_us: i64) -> String {
        let failed = self.kept().failed_us.is_some_and(|at| now_us - at <= REST_US);
        if failed { "the provider's keys could not be fetched a moment ago" } else { NO_SUCH_KEY }.to_owned()
    }
}

fn named<'k>(keys: &'k [Jwk], kid: Option<&str>) -> Option<&'k Jwk> {
    match (kid, keys) {
        (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// A provider that closes every connection, how often it was asked.
    async fn broken() -> (String, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        (url, asked)
    }

    #[tokio::test]
    async fn a_provider_that_fails_is_left_alone_for_a_moment() {
        let (url, asked) = broken().await;
        let (keys, fetcher) = (Keys::default(), Fetcher::default());
        for now_us in [0, 1, REST_US] {
            assert!(keys.key((&fetcher, &url), Some("a"), now_us).await.is_err());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(keys.key((&fetcher, &url), Some("a"), REST_US + 1).await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn known_keys_hold_while_the_provider_is_gone() {
        let (url, asked) = broken().await;
        let (keys, fetcher) = (Keys::default(), Fetcher::default());
        let known = serde_json::json!({ "kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB" });
        keys.kept().keys = vec![serde_json::from_value(known).unwrap()];
        keys.kept().fetched_us = Some(0);
        let key = |now_us| keys.key((&fetcher, &url), Some("a"), now_us);
        assert!(key(KEPT_US).await.is_ok());
        assert_eq!(asked.load(Ordering::SeqCst), 0, "they are new");
        assert!(key(KEPT_US + 1).await.is_ok());
        assert_eq!(asked.load(Ordering::SeqCst), 1, "they are old, and could not be asked for");
        let waits = keys.fetching.lock().await;
        assert!(key(BELIEVED_US).await.is_ok(), "nobody waits for somebody else who asks");
        drop(waits);
        assert!(key(BELIEVED_US + 1).await.is_err(), "but not for ever");
    }
}
