//! How this node is, for `/readyz` and the metrics.
//!
//! Ready means: it may be sent traffic. A database that does not answer is no reason not to be,
//! as long as the keys are known to be fresh: turning all nodes away at once would be worse.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tollgate_control::{Follow, Health, ModelCondition, Part, Report};
use tollgate_core::{tables::Snapshot, time::Clock};
use tollgate_inference::{Host, ModelState};
use tollgate_journal::{Journal, State};
use tollgate_workers::Progress;

use crate::{cli::Role, clock::SystemClock};

/// How far the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Starting = 0,
    Serving = 1,
    Draining = 2,
}

/// How this node is.
pub(super) struct NodeHealth {
    pub(super) node: u64,
    pub(super) roles: Vec<Role>,
    pub(super) clock: Arc<SystemClock>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) journal: Option<Arc<Journal>>,
    phase: AtomicU8,
    progress: std::sync::OnceLock<Arc<Progress>>,
    gateway_url: std::sync::OnceLock<String>,
    models: std::sync::OnceLock<Arc<Host>>,
}

impl NodeHealth {
    pub(super) fn new(
        node: u64,
        roles: &[Role],
        clock: Arc<SystemClock>,
        snapshot: Arc<Snapshot>,
        journal: Option<Arc<Journal>>,
    ) -> Self {
        Self {
            node,
            roles: roles.to_vec(),
            clock,
            snapshot,
            journal,
            phase: AtomicU8::new(Phase::Starting as u8),
            progress: std::sync::OnceLock::new(),
            gateway_url: std::sync::OnceLock::new(),
            models: std::sync::OnceLock::new(),
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(super) fn follow(&self, progress: Arc<Progress>) {
        let _first = self.progress.set(progress);
    }

    /// Remembers where programs reach the gateway.
    pub(super) fn reached_at(&self, gateway_url: String) {
        let _first = self.gateway_url.set(gateway_url);
    }

    /// Remembers what holds the models.
    pub(super) fn holds(&self, models: Option<Arc<Host>>) {
        let _first = models.map(|models| self.models.set(models));
    }

    /// Brings the metrics of the whole process up to date, before they are read.
    pub(super) fn measure(&self) {
        metrics::gauge!("tollgate_keyring_secrets").set(self.snapshot.keyring.len() as f64);
        let now = self.clock.now();
        let is_fresh = self.snapshot.is_fresh(now.mono_ns);
        metrics::gauge!("tollgate_keyring_fresh").set(if is_fresh { 1.0 } else { 0.0 });
        metrics::gauge!("tollgate_clock_behind_seconds").set(self.clock.behind_us() as f64 / 1e6);
        if let Some(progress) = self.progress.get() {
            metrics::gauge!("tollgate_feed_applied_seq").set(progress.applied_seq() as f64);
            metrics::counter!("tollgate_journal_shipped_records_total").absolute(progress.records_shipped());
            metrics::counter!("tollgate_journal_lost_records_total").absolute(progress.records_lost());
            metrics::gauge!("tollgate_audit_sealed_seq").set(progress.sealed_seq() as f64);
            let broken = if progress.is_audit_broken() { 1.0 } else { 0.0 };
            metrics::gauge!("tollgate_audit_broken").set(broken);
            let missing = if progress.are_checkpoints_missing() { 1.0 } else { 0.0 };
            metrics::gauge!("tollgate_audit_checkpoints_missing").set(missing);
            let ok = if progress.is_database_ok() { 1.0 } else { 0.0 };
            metrics::gauge!("tollgate_database_up").set(ok);
        }
        if let Some(models) = self.models.get() {
            models.measure();
        }
        if let Some(health) = self.journal.as_ref().map(|journal| journal.health()) {
            metrics::gauge!("tollgate_journal_bytes").set(health.bytes as f64);
            metrics::gauge!("tollgate_journal_bytes_max").set(health.bytes_max as f64);
        }
    }

    fn process(&self) -> Part {
        let (ok, detail) = match self.phase.load(Ordering::Acquire) {
            phase if phase == Phase::Serving as u8 => (true, "serving"),
            phase if phase == Phase::Draining as u8 => (false, "draining; it will end soon"),
            _ => (false, "starting"),
        };
        Part { name: "process", ok, detail: detail.to_owned() }
    }

    fn keys(&self) -> Part {
        let ok = self.snapshot.is_fresh(self.clock.now().mono_ns);
        let count = self.snapshot.keyring.len();
        let detail = if ok {
            format!("{count} secrets, fresh")
        } else {
            format!("{count} secrets, not known to be fresh")
        };
        Part { name: "keys", ok, detail }
    }

    fn database(&self) -> Part {
        let Some(progress) = self.progress.get() else {
            return Part { name: "database", ok: true, detail: "not asked yet".to_owned() };
        };
        let detail = match (progress.is_database_ok(), progress.was_restored()) {
            (true, false) => format!("change {}", progress.applied_seq()),
            (true, true) => "it was restored or failed over with loss; look at the log".to_owned(),
            (false, _) => "it does not answer; known keys are served until their lease ends".to_owned(),
        };
        Part { name: "database", ok: true, detail }
    }

    /// A model that cannot be used is no reason to turn the others' requests away.
    fn models(&self) -> Option<Part> {
        let states = self.models.get()?.states();
        let served = states.iter().filter(|state| state.condition.is_served()).count();
        let wrong = states.iter().filter(|state| state.problem.is_some()).count();
        let mut detail = format!("{served} of {} take requests", states.len());
        if wrong > 0 {
            detail.push_str(&format!(
                "; {wrong} cannot be used as they were written last: see `tollgate models list`"
            ));
        }
        (!states.is_empty()).then_some(Part { name: "models", ok: true, detail })
    }

    fn journal(&self) -> Option<Part> {
        let health = self.journal.as_ref()?.health();
        let (ok, detail) = match health.state {
            State::Running => (true, format!("{} of {} MiB", health.bytes >> 20, health.bytes_max >> 20)),
            State::Full => (false, "full; requests are refused until there is room".to_owned()),
            State::Failed => (false, "its disk failed; restart once it is sound".to_owned()),
        };
        Some(Part { name: "journal", ok, detail })
    }
}

/// How long a change that was committed here may take to be known here. It is durable either way.
const REACH_MAX: Duration = Duration::from_secs(2);

impl Follow for NodeHealth {
    fn reach(&self, seq: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let Some(progress) = self.progress.get() else { return };
            if tokio::time::timeout(REACH_MAX, progress.reach(seq)).await.is_err() {
                tracing::warn!(seq, "a change that was made here is not known here yet");
            }
        })
    }
}

impl Health for NodeHealth {
    fn models(&self) -> Vec<ModelCondition> {
        let states = self.models.get().map(|models| models.states()).unwrap_or_default();
        let shown = |state: ModelState| ModelCondition {
            id: state.id,
            project: state.project,
            name: state.name,
            version: state.version,
            aliases: state.aliases,
            source: state.source,
            state: state.condition.name(),
            is_served: state.condition.is_served(),
            problem: state.problem,
            under_way: state.under_way,
            tallied: state.tallied,
        };
        states.into_iter().map(shown).collect()
    }

    fn gateway_url(&self) -> Option<String> {
        self.gateway_url.get().cloned()
    }

    fn report(&self) -> Report {
        let mut parts = vec![self.process(), self.keys(), self.database()];
        parts.extend(self.journal());
        parts.extend(self.models());
        let roles = self.roles.iter().map(|role| match role {
            Role::Gateway => "gateway",
            Role::ServiceApi => "service-api",
            Role::Control => "control",
            Role::Workers => "workers",
        });
        Report { node: format!("{:016x}", self.node), roles: roles.collect(), parts }
    }
}
