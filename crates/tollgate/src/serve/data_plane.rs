//! The data plane: the journal, and the listeners whose answers are written into it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tollgate_core::{serving::Models, tables::Snapshot};
use tollgate_counters::LocalCounters;
use tollgate_gateway::{
    http::serve::Serving,
    intake::Intake,
    ports::{Ports, system_host_lookup},
    service_api,
};
use tollgate_journal::{Journal, Options as JournalOptions, Writer};

use super::{listeners, shared::Shared, sinks::Rehashes, treasury::Purse};
use crate::{cli::Role, clock::SystemClock, config::Config, failure::Failure};

/// The largest segment of the journal.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// The smallest.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Segments are a multiple of this.
const SEGMENT_BYTES_STEP: u64 = 4096;

/// What the data plane's listeners share.
pub(super) struct DataPlane {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) counters: Arc<LocalCounters>,
    pub(super) limits: Shared,
    pub(super) treasury: Arc<Purse>,
    pub(super) clock: Arc<SystemClock>,
    pub(super) rehashes: mpsc::Sender<tollgate_store::Rehash>,
    pub(super) intake: Arc<dyn Intake>,
    pub(super) models: Arc<dyn Models>,
}

impl DataPlane {
    /// Starts the gateway and the service API, as far as the roles want them.
    pub(super) fn listen(
        &self,
        config: &Config,
        roles: &[Role],
        journal: &Journal,
    ) -> Result<(Option<Serving>, Option<Serving>), Failure> {
        let lanes = listeners::lanes(config);
        let mut gateway = None;
        if roles.contains(&Role::Gateway) {
            let listener = listeners::listener(config, &config.gateway.listener)?;
            let ports = self.ports(writers(journal, 0..lanes)?);
            let served = tollgate_gateway::serve(listener, listeners::options(config)?, ports);
            gateway = Some(served.map_err(Failure::failed)?);
        }
        let mut service_api = None;
        if roles.contains(&Role::ServiceApi) {
            let listener = listeners::listener(config, &config.service_api)?;
            let ports = self.ports(writers(journal, lanes..lanes * 2)?);
            let served = service_api::serve(listener, listeners::options(config)?, ports);
            service_api = Some(served.map_err(Failure::failed)?);
        }
        Ok((gateway, service_api))
    }

    fn ports(&self, writers: Vec<Writer>) -> Ports<LocalCounters> {
        Ports {
            snapshot: self.snapshot.clone(),
            counters: self.counters.clone(),
            limits: Arc::new(self.limits.clone()),
            treasury: self.treasury.clone(),
            writers,
            clock: self.clock.clone(),
            intake: self.intake.clone(),
            models: self.models.clone(),
            rehash: Arc::new(Rehashes(self.rehashes.clone())),
            host_lookup: system_host_lookup(),
        }
    }
}

fn writers(journal: &Journal, lanes: std::ops::Range<u16>) -> Result<Vec<Writer>, Failure> {
    lanes.map(|lane| Ok(journal.writer(lane)?)).collect()
}

/// The journal, where anything is answered that must be counted.
pub(super) fn open_journal(config: &Config, roles: &[Role], boot: u64) -> Result<Option<Journal>, Failure> {
    let listeners =
        [Role::Gateway, Role::ServiceApi].iter().filter(|role| roles.contains(role)).count() as u64;
    if listeners == 0 {
        return Ok(None);
    }
    let lanes = u64::from(listeners::lanes(config)) * listeners;
    // Every lane holds up to three segments; half of the room is for what waits to be shipped.
    let fitting = config.journal.bytes_max / (lanes * 6) / SEGMENT_BYTES_STEP * SEGMENT_BYTES_STEP;
    let options = JournalOptions {
        segment_bytes: fitting.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        bytes_max: config.journal.bytes_max,
        ..JournalOptions::default()
    };
    let (journal, recovery) = Journal::open(config.journal_dir(), boot, options)?;
    if recovery.records > 0 || recovery.lost_records > 0 {
        tracing::info!(
            records = recovery.records,
            torn = recovery.torn_records,
            lost = recovery.lost_records,
            "an earlier run left usage records; they are shipped first"
        );
    }
    Ok(Some(journal))
}
