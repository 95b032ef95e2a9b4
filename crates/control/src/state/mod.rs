//! What handlers share: the store, the clock, and what sign-in keeps between requests.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use tollgate_core::time::Clock;
use tollgate_store::{SessionLimits, Store};

use crate::{follow::Follow, health::Health};

/// What the listener shows, and what it works on.
#[derive(Clone)]
pub struct Control {
    /// How the parts of the process are.
    pub health: Arc<dyn Health>,
    /// The metrics in Prometheus' text form.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The version of the binary.
    pub version: &'static str,
    /// The rows.
    pub store: Arc<Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How people sign in.
    pub sign_in: SignInOptions,
    /// Brings what is changed here to what decides here.
    pub follow: Arc<dyn Follow>,
}

/// How people sign in, and how the listener is reached.
#[derive(Clone, Debug)]
pub struct SignInOptions {
    /// How long a session may stay unused.
    pub session_idle: Duration,
    /// How long a session may last at all.
    pub session_life: Duration,
    /// How old the sign-in may be for what needs a fresh one.
    pub fresh: Duration,
    /// Where browsers reach the listener, `https://tollgate.example.com`, without a path; `None` where
    /// the `Host` of requests is to be believed.
    pub public_url: Option<String>,
    /// Peers that are believed when they say on whose behalf they call.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for SignInOptions {
    fn default() -> Self {
        Self {
            session_idle: Duration::from_secs(30 * 60),
            session_life: Duration::from_secs(12 * 3600),
            fresh: Duration::from_secs(10 * 60),
            public_url: None,
            trusted_proxies: Vec::new(),
        }
    }
}

impl SignInOptions {
    /// How long sessions last.
    pub(crate) fn limits(&self) -> SessionLimits {
        SessionLimits { idle_us: micros(self.session_idle), life_us: micros(self.session_life) }
    }
}

/// What every handler may ask for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    control: Arc<Control>,
}

impl App {
    pub(crate) fn new(control: Control) -> Self {
        Self { control: Arc::new(control) }
    }

    /// What the listener was started with.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// The rows.
    pub(crate) fn store(&self) -> &Store {
        &self.control.store
    }

    /// How people sign in.
    pub(crate) fn options(&self) -> &SignInOptions {
        &self.control.sign_in
    }

    /// The present wall time, microseconds.
    pub(crate) fn now_us(&self) -> i64 {
        self.control.clock.now().wall_us
    }
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A length of time in microseconds.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
