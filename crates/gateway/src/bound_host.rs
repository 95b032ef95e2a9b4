//! The addresses of the hosts that keys are bound to: resolved forward, remembered for their TTL.
//!
//! One cache per lane, so that no lock stands in the way of a request. What cannot be resolved is
//! unknown, and a key bound to an unknown host is refused; an answer is never used past its time.

use std::{
    cell::RefCell, collections::HashMap, future::Future, net::IpAddr, pin::Pin, rc::Rc, time::Duration,
};

/// Bounds of resolving the hosts that keys are bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundHostOptions {
    /// An answer is used for at least this long, whatever its TTL says. Default 5 s.
    pub ttl_min: Duration,
    /// And for at most this long. Default 5 min.
    pub ttl_max: Duration,
    /// How long "there is no such host" is believed. Default 5 s.
    pub failure_ttl: Duration,
    /// How long one look-up may take. Default 2 s.
    pub timeout: Duration,
    /// Hosts remembered per lane; beyond it the oldest answers go. Default 4,096.
    pub hosts_max: usize,
    /// Look-ups under way at once per lane; more get `overloaded`. Default 32.
    pub lookups_max: usize,
}

impl Default for BoundHostOptions {
    fn default() -> Self {
        Self {
            ttl_min: Duration::from_secs(5),
            ttl_max: Duration::from_secs(300),
            failure_ttl: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            hosts_max: 4_096,
            lookups_max: 32,
        }
    }
}

/// What a name resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAnswer {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How long they hold, by the records' own word.
    pub ttl: Duration,
}

/// The name could not be resolved: there is no such host, or no name server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host could not be resolved")]
pub struct HostUnknown;

/// A look-up under way.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<HostAnswer, HostUnknown>> + 'a>>;

/// Resolves names forward. One value per lane, used by its thread only.
pub trait HostLookup {
    /// Addresses of `host`.
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a>;
}

/// Makes the look-up of a lane, on the lane's thread.
pub type MakeHostLookup = std::sync::Arc<dyn Fn() -> Rc<dyn HostLookup> + Send + Sync>;

/// The system's name servers and hosts file.
pub struct SystemHosts {
    resolver: Option<hickory_resolver::TokioResolver>,
}

impl SystemHosts {
    /// Reads the system's configuration; when it cannot be read, no host is known.
    #[must_use]
    pub fn new() -> Self {
        let built = hickory_resolver::Resolver::builder_tokio().and_then(|mut builder| {
            // Our own cache keeps the times; a second one below it would stretch them.
            builder.options_mut().cache_size = 0;
            builder.build()
        });
        let resolver = built
            .map_err(|error| {
                tracing::warn!(%error, "the system's name servers are not known; keys bound to a host are refused");
            })
            .ok();
        Self { resolver }
    }
}

impl Default for SystemHosts {
    fn default() -> Self {
        Self::new()
    }
}

impl HostLookup for SystemHosts {
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let resolver = self.resolver.as_ref().ok_or(HostUnknown)?;
            let found = resolver.lookup_ip(host).await.map_err(|error| {
                tracing::debug!(host, %error, "a bound host could not be resolved");
                HostUnknown
            })?;
            let ttl = found.as_lookup().answers().iter().map(|record| record.ttl).min().unwrap_or(0);
            let addresses: Vec<IpAddr> = found.iter().take(ADDRESSES_MAX).collect();
            if addresses.is_empty() {
                return Err(HostUnknown);
            }
            Ok(HostAnswer { addresses, ttl: Duration::from_secs(u64::from(ttl)) })
        })
    }
}

/// Addresses of one host that are kept.
const ADDRESSES_MAX: usize = 64;

/// What is known of a host now; `None` when it could not be resolved.
pub type Known = Option<Rc<[IpAddr]>>;

/// Too many look-ups are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many host look-ups are under way")]
pub struct TooManyLookups;

/// The hosts of one lane.
pub struct BoundHosts {
    lookup: Rc<dyn HostLookup>,
    options: BoundHostOptions,
    hosts: RefCell<HashMap<Box<str>, Rc<Host>>>,
    slots: tokio::sync::Semaphore,
}

/// One host: what is known, and a door that lets one look-up at a time through.
#[derive(Default)]
struct Host {
    known: RefCell<Option<Remembered>>,
    door: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Remembered {
    addresses: Known,
    until_ns: u64,
}

impl BoundHosts {
    /// No host known yet.
    pub fn new(lookup: Rc<dyn HostLookup>, options: BoundHostOptions) -> Self {
        let slots = tokio::sync::Semaphore::new(options.lookups_max);
        Self { lookup, options, hosts: RefCell::default(), slots }
    }

    /// What is remembered of `host` and still holds at `now_ns`; the outer `None` says that
    /// [`Self::resolve`] has to be asked.
    pub fn remembered(&self, host: &str, now_ns: u64) -> Option<Known> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Some(Rc::from([address])));
        }
        let hosts = self.hosts.borrow();
        hosts.get(host)?.fresh(now_ns)
    }

    /// The addresses of `host`. Callers that ask for one host at once share one look-up. `now_ns`
    /// is asked again after waiting.
    ///
    /// # Errors
    /// [`TooManyLookups`] beyond [`BoundHostOptions::lookups_max`].
    pub async fn resolve(&self, host: &str, now_ns: impl Fn() -> u64) -> Result<Known, TooManyLookups> {
        if let Some(known) = self.remembered(host, now_ns()) {
            return Ok(known);
        }
        let entry = self.entry(host, now_ns());
        let _door = entry.door.lock().await;
        if let Some(known) = entry.fresh(now_ns()) {
            return Ok(known);
        }
        // Taken inside the door: who waits for another's look-up makes none.
        let slot = self.slots.try_acquire().map_err(|_| TooManyLookups)?;
        let found = tokio::time::timeout(self.options.timeout, self.lookup.lookup(host)).await;
        drop(slot);
        let (addresses, ttl) = match found {
            Ok(Ok(answer)) => {
                let ttl = answer.ttl.clamp(self.options.ttl_min, self.options.ttl_max);
                (Some(Rc::from(answer.addresses)), ttl)
            }
            Ok(Err(HostUnknown)) | Err(_) => (None, self.options.failure_ttl),
        };
        let ttl_ns = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        let remembered = Remembered { addresses, until_ns: now_ns().saturating_add(ttl_ns) };
        let known = remembered.addresses.clone();
        entry.known.replace(Some(remembered));
        Ok(known)
    }

    fn entry(&self, host: &str, now_ns: u64) -> Rc<Host> {
        let mut hosts = self.hosts.borrow_mut();
        if let Some(entry) = hosts.get(host) {
            return entry.clone();
        }
        if hosts.len() >= self.options.hosts_max {
            hosts.retain(|_, entry| entry.fresh(now_ns).is_some());
            if hosts.len() >= self.options.hosts_max {
                hosts.clear();
            }
        }
        let entry = Rc::new(Host::default());
        hosts.insert(host.into(), entry.clone());
        entry
    }
}

impl Host {
    fn fresh(&self, now_ns: u64) -> Option<Known> {
        let known = self.known.borrow();
        known.as_ref().filter(|known| now_ns < known.until_ns).map(|known| known.addresses.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Script {
        asked: Cell<u32>,
        answer: Result<HostAnswer, HostUnknown>,
    }

    impl HostLookup for Script {
        fn lookup<'a>(&'a self, _host: &'a str) -> Lookup<'a> {
            Box::pin(async move {
                self.asked.set(self.asked.get() + 1);
                tokio::task::yield_now().await;
                self.answer.clone()
            })
        }
    }

    fn hosts(answer: Result<HostAnswer, HostUnknown>) -> (Rc<Script>, BoundHosts) {
        let script = Rc::new(Script { asked: Cell::new(0), answer });
        let options = BoundHostOptions { hosts_max: 2, lookups_max: 1, ..BoundHostOptions::default() };
        (script.clone(), BoundHosts::new(script, options))
    }

    fn answer(ttl: Duration) -> HostAnswer {
        HostAnswer { addresses: vec![IpAddr::from([192, 0, 2, 1])], ttl }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn an_answer_holds_for_its_ttl_and_no_longer() {
        let (script, hosts) = hosts(Ok(answer(Duration::from_secs(60))));
        run(async {
            for now in [0, 59_999_999_999] {
                assert_eq!(hosts.resolve("a.example", || now).await.unwrap().unwrap().len(), 1);
            }
            assert_eq!(script.asked.get(), 1);
            hosts.resolve("a.example", || 60_000_000_000).await.unwrap();
            assert_eq!(script.asked.get(), 2);
        });
    }

    #[test]
    fn a_ttl_of_zero_is_raised_to_the_floor_and_a_huge_one_cut_to_the_ceiling() {
        for (ttl, until) in [(0, 5_000_000_000), (1_000_000, 300_000_000_000)] {
            let (_, hosts) = hosts(Ok(answer(Duration::from_secs(ttl))));
            run(async { hosts.resolve("a.example", || 0).await.unwrap() });
            assert!(hosts.remembered("a.example", until - 1).is_some());
            assert!(hosts.remembered("a.example", until).is_none());
        }
    }

    #[test]
    fn a_host_that_cannot_be_resolved_has_no_addresses() {
        let (_, hosts) = hosts(Err(HostUnknown));
        assert_eq!(run(async { hosts.resolve("gone.example", || 0).await }), Ok(None));
    }

    #[test]
    fn requests_that_ask_at_once_share_one_look_up() {
        let (script, hosts) = hosts(Ok(answer(Duration::from_secs(60))));
        run(async {
            let (first, second) = tokio::join!(hosts.resolve("a", || 0), hosts.resolve("a", || 0));
            assert_eq!(first, second);
        });
        assert_eq!(script.asked.get(), 1);
    }

    #[test]
    fn look_ups_under_way_are_bounded() {
        let (_, hosts) = hosts(Ok(answer(Duration::from_secs(60))));
        run(async {
            let (first, second) = tokio::join!(hosts.resolve("a", || 0), hosts.resolve("b", || 0));
            assert!(first.is_ok());
            assert_eq!(second, Err(TooManyLookups));
            assert!(hosts.resolve("b", || 0).await.is_ok(), "the place is given back");
        });
    }

    #[test]
    fn the_number_of_remembered_hosts_is_bounded() {
        let (_, hosts) = hosts(Ok(answer(Duration::from_secs(60))));
        run(async {
            for index in 0..50 {
                hosts.resolve(&format!("h{index}.example"), || 0).await.unwrap();
            }
        });
        assert!(hosts.hosts.borrow().len() <= 2);
    }

    #[test]
    fn the_system_knows_localhost() {
        let answer = run(async { SystemHosts::new().lookup("localhost").await }).unwrap();
        assert!(answer.addresses.iter().any(IpAddr::is_loopback), "{answer:?}");
    }
}
