//! What handlers share: the store, the clock, and what sign-in keeps between requests.

mod job_slots;

use std::{net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::sync::Semaphore;
use tollgate_core::{secret::Secret, time::Clock};
use tollgate_store::{ReminderRules, SessionLimits, Store};

pub(crate) use job_slots::{JobSlot, JobSlots};

use crate::{
    follow::Follow,
    health::Health,
    mail::Courier,
    password::Passwords,
    problem::Refused,
    providers::{ProviderOptions, Providers},
    throttle::Throttle,
    trial::{ModelTrial, TRIALS_MAX},
};

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
    /// Tries models before what is written of them is kept.
    pub models: Arc<dyn ModelTrial>,
    /// How long things are kept, and when people are reminded.
    pub kept: Kept,
}

/// How long things are kept and when people are reminded, for people to read: what keeps to it is elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Single decisions; zero keeps none.
    pub decisions: Duration,
    /// Usage by day, and at most as long by hour and by minute.
    pub usage_days: Duration,
    /// Usage by hour.
    pub usage_hours: Duration,
    /// Usage by minute.
    pub usage_minutes: Duration,
    /// When somebody is reminded of a key.
    pub reminders: ReminderRules,
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
    /// Who sends mail; without one, links are handed over by whoever makes them.
    pub courier: Option<Arc<dyn Courier>>,
    /// Identity providers beside local accounts.
    pub providers: ProviderOptions,
}

impl Default for SignInOptions {
    fn default() -> Self {
        Self {
            session_idle: Duration::from_secs(30 * 60),
            session_life: Duration::from_secs(12 * 3600),
            fresh: Duration::from_secs(10 * 60),
            public_url: None,
            trusted_proxies: Vec::new(),
            courier: None,
            providers: ProviderOptions::default(),
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
    doors: Arc<Doors>,
}

/// What sign-in keeps between requests.
struct Doors {
    throttle: Throttle,
    passwords: Passwords,
    /// Places for making links to set new passwords.
    resets: Arc<Semaphore>,
    /// Places for trying models.
    trials: Arc<Semaphore>,
    providers: Providers,
    /// Places for changes to many keys.
    jobs: JobSlots,
    /// This run of the process, so that jobs know whose they are.
    run: u64,
}

/// Links to set a new password that are made at once.
const RESETS_MAX: usize = 8;

impl App {
    pub(crate) fn new(control: Control) -> Self {
        let resets = Arc::new(Semaphore::new(RESETS_MAX));
        let providers = Providers::new(&control.sign_in.providers);
        let mut run = [0; 8];
        // A run that shares its number with another takes its steps too, each of them once all the same.
        let _random = getrandom::fill(&mut run);
        let doors = Doors {
            throttle: Throttle::default(),
            passwords: Passwords::default(),
            resets,
            trials: Arc::new(Semaphore::new(TRIALS_MAX)),
            providers,
            jobs: JobSlots::default(),
            run: u64::from_le_bytes(run) >> 1,
        };
        Self { control: Arc::new(control), doors: Arc::new(doors) }
    }

    /// How many attempts to sign in there were.
    pub(crate) fn throttle(&self) -> &Throttle {
        &self.doors.throttle
    }

    /// The threads that hash passwords.
    pub(crate) fn passwords(&self) -> &Passwords {
        &self.doors.passwords
    }

    /// Identity providers.
    pub(crate) fn providers(&self) -> &Providers {
        &self.doors.providers
    }

    /// Places for making links to set new passwords.
    pub(crate) fn resets(&self) -> Arc<Semaphore> {
        Arc::clone(&self.doors.resets)
    }

    /// Places for trying models.
    pub(crate) fn trials(&self) -> Arc<Semaphore> {
        Arc::clone(&self.doors.trials)
    }

    /// Places for changes to many keys.
    pub(crate) fn jobs(&self) -> &JobSlots {
        &self.doors.jobs
    }

    /// This run of the process.
    pub(crate) fn run(&self) -> u64 {
        self.doors.run
    }

    /// The present moment of the clock that never jumps, nanoseconds.
    pub(crate) fn mono_ns(&self) -> u64 {
        self.control.clock.now().mono_ns
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

/// Random bytes from the operating system, for a secret.
pub(crate) fn random<const N: usize>() -> Result<Secret<[u8; N]>, Refused> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(Secret::new(bytes)),
        Err(_) => Err(Refused::Unavailable("the operating system gave no random numbers".to_owned())),
    }
}
