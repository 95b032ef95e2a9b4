//! The way to Redis: one connection, one script, all that waits in one call.
//!
//! A connection on which anything fails is thrown away and made anew, a moment later. Requests whose call failed
//! are decided without Redis; that it may have taken for them all the same errs on the safe side.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fred::{
    clients::Client,
    interfaces::{ClientLike as _, LuaInterface as _},
    types::{Builder, ConnectHandle, config::Config},
};
use tokio::sync::mpsc;
use tollgate_core::{
    admit::sharing::{SharedCharge, SharedVerdict},
    counters::{Standing, Standings},
};

use super::{Ask, State, WAIT_MAX};

/// The script. One call is one step of Redis: nothing comes between.
const SCRIPT: &str = include_str!("gcra.lua");
/// Requests in one call.
const TOGETHER_MAX: usize = 128;
/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// The pause before another connection.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a connection that nobody uses is tried.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// Redis cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(String);

impl From<fred::error::Error> for LinkError {
    fn from(error: fred::error::Error) -> Self {
        Self(error.details().to_owned())
    }
}

/// Makes connections.
pub(super) struct Maker(Config);

impl Maker {
    pub(super) fn of(url: &str) -> Result<Self, LinkError> {
        // The client takes other schemes for this one.
        if !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(LinkError("it does not begin with `redis://` or `rediss://`".to_owned()));
        }
        let mut config = Config::from_url(url)?;
        config.fail_fast = true;
        Ok(Self(config))
    }

    async fn connect(&self) -> Result<Link, LinkError> {
        let client = Builder::from_config(self.0.clone())
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT_MAX;
                connection.internal_command_timeout = CONNECT_MAX;
                connection.max_command_attempts = 1;
            })
            .with_performance_config(|performance| performance.default_command_timeout = WAIT_MAX)
            .build()?;
        let mut link = Link { handle: client.connect(), client, hash: String::new() };
        let connected = async {
            link.client.wait_for_connect().await?;
            link.client.script_load::<String, _>(SCRIPT).await
        };
        link.hash = within(CONNECT_MAX, connected).await?;
        link.prove().await?;
        Ok(link)
    }
}

/// One connection; its task ends with it.
struct Link {
    client: Client,
    handle: ConnectHandle,
    hash: String,
}

impl Link {
    /// Counts something by the script: a server that answers may refuse writes all the same (a replica, a full
    /// memory, a disk that fails).
    async fn prove(&self) -> Result<(), LinkError> {
        // One request with one limit that is always full again.
        let arguments = vec![1, 1, 1, 1_000, 1];
        let keys = vec!["{tollgate}:proof".to_owned()];
        let proved = self.client.evalsha::<Vec<i64>, _, _, _>(self.hash.clone(), keys, arguments);
        within(WAIT_MAX, proved).await.map(|_said| ())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Asks Redis for all who wait, until nobody is left who could.
pub(super) async fn run(maker: Maker, mut asks: mpsc::Receiver<Ask>, state: Arc<State>) {
    let mut told = None;
    while !asks.is_closed() {
        let failed = match maker.connect().await {
            Err(error) => error,
            Ok(link) => {
                state.is_up.store(true, Ordering::Relaxed);
                let Some(failed) = serve(&link, &mut asks, &mut told).await else { return };
                state.is_up.store(false, Ordering::Relaxed);
                failed
            }
        };
        if told.replace(false) != Some(false) {
            tracing::error!(
                cause = %failed,
                "Redis does not answer; each node enforces its part of shared limits until it does"
            );
        }
        // Who waits is decided without.
        while asks.try_recv().is_ok() {}
        tokio::time::sleep(PAUSE).await;
    }
}

/// Serves until something fails; `None` when nobody is left to ask. That Redis answers is told when it has: a
/// server that fails at every call would be told of without end.
async fn serve(link: &Link, asks: &mut mpsc::Receiver<Ask>, told: &mut Option<bool>) -> Option<LinkError> {
    loop {
        match tokio::time::timeout(TRIED_EVERY, asks.recv()).await {
            Ok(None) => return None,
            Ok(Some(first)) => {
                let mut all = vec![first];
                while all.len() < TOGETHER_MAX
                    && let Ok(next) = asks.try_recv()
                {
                    all.push(next);
                }
                // Whoever has gone away must not be counted.
                all.retain(|ask| !ask.answer.is_closed());
                if let Err(error) = answer(link, all).await {
                    return Some(error);
                }
            }
            Err(_nobody_asked) => {
                if let Err(error) = link.prove().await {
                    return Some(error);
                }
            }
        }
        if told.replace(true) != Some(true) {
            tracing::info!("Redis answers; shared limits are counted there");
        }
    }
}

/// Answers asks by one call.
async fn answer(link: &Link, asks: Vec<Ask>) -> Result<(), LinkError> {
    if asks.is_empty() {
        return Ok(());
    }
    let charges = || asks.iter().flat_map(|ask| &ask.charges);
    let keys: Vec<String> = charges().map(key_of).collect();
    let mut arguments: Vec<i64> = vec![number(asks.len() as u64)];
    for ask in &asks {
        arguments.push(number(ask.charges.len() as u64));
        for charge in &ask.charges {
            let amount = u64::from(charge.amount);
            arguments.extend([charge.gcra.interval_ns, charge.gcra.burst, amount].map(number));
        }
    }
    let called = link.client.evalsha::<Vec<i64>, _, _, _>(link.hash.clone(), keys, arguments);
    let said = within(WAIT_MAX, called).await?;
    let mut said = said.into_iter();
    for ask in asks {
        let verdict = verdict(&ask.charges, &mut said);
        let verdict = verdict.ok_or_else(|| LinkError("the answer of the script is cut off".to_owned()))?;
        // Whoever has gone away hears nothing.
        let _heard = ask.answer.send(verdict);
    }
    Ok(())
}

/// Reads the verdict on one request.
fn verdict(charges: &[SharedCharge], said: &mut impl Iterator<Item = i64>) -> Option<SharedVerdict> {
    let (refused, retry_us) = (said.next()?, said.next()?);
    let mut standings = Standings::new();
    for _ in charges {
        let remaining = said.next()?.max(0).unsigned_abs();
        let reset_after_ns = nanos(said.next()?);
        standings.push(Standing { remaining, reset_after_ns, window: None });
    }
    if refused <= 0 {
        return Some(SharedVerdict::Passed(standings));
    }
    let index = usize::try_from(refused - 1).ok().filter(|index| *index < charges.len())?;
    standings.truncate(index + 1);
    let retry_after_ns = (retry_us >= 0).then(|| nanos(retry_us));
    Some(SharedVerdict::Exhausted { index, retry_after_ns, standings })
}

/// Whether Redis at a URL answers, takes the script and lets it write; its version.
///
/// # Errors
/// Why not.
pub async fn check(url: &str) -> Result<String, LinkError> {
    let link = Maker::of(url)?.connect().await?;
    let info: String = within(CONNECT_MAX, link.client.info(None)).await?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    Ok(version.unwrap_or("an unknown version").trim().to_owned())
}

async fn within<T>(
    time: Duration,
    called: impl Future<Output = Result<T, fred::error::Error>>,
) -> Result<T, LinkError> {
    match tokio::time::timeout(time, called).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(LinkError(format!("no answer within {} ms", time.as_millis()))),
    }
}

/// The name of a count. All of them lie in one slot, for one call touches many.
fn key_of(charge: &SharedCharge) -> String {
    format!("{{tollgate}}:{:016x}:{:016x}", charge.rule.0, charge.subject)
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn nanos(micros: i64) -> u64 {
    micros.max(0).unsigned_abs().saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use tollgate_core::{
        counters::{RuleId, WhenGone},
        limits::Gcra,
    };

    use super::*;

    fn charge() -> SharedCharge {
        SharedCharge {
            rule: RuleId(1),
            subject: 2,
            amount: 1,
            gcra: Gcra { interval_ns: 1, burst: 1 },
            when_gone: WhenGone::Divides,
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_or_names_no_limit_is_none() {
        let charges = [charge(), charge()];
        let whole = [2, 7, 1, 2, 0, 3];
        let read = |said: &[i64]| verdict(&charges, &mut said.iter().copied());
        assert!(matches!(
            read(&whole),
            Some(SharedVerdict::Exhausted { index: 1, retry_after_ns: Some(7_000), .. })
        ));
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None);
        }
        assert_eq!(read(&[3, 7, 1, 2, 0, 3]), None);
        assert!(matches!(
            read(&[1, -1, 1, 2, 0, 3]),
            Some(SharedVerdict::Exhausted { retry_after_ns: None, .. })
        ));
    }

    #[test]
    fn a_url_that_means_nothing_is_refused() {
        assert!(Maker::of("redis://127.0.0.1:6379/1").is_ok());
        for url in ["", "127.0.0.1", "http://127.0.0.1", "redis://127.0.0.1:x"] {
            assert!(Maker::of(url).is_err(), "{url}");
        }
    }
}
