//! Places for changes to many keys. Each tenant has its own, so that none waits for another's jobs; steps are
//! taken in turn, so that many jobs do not hold the database from everybody else.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollgate_core::id::TenantId;

/// Jobs of one tenant that this process works on at once; more are refused, not queued.
const TENANT_MAX: usize = 2;
/// Jobs of all tenants that this process works on at once.
const ALL_MAX: usize = 64;
/// Steps that are taken at once; the others wait in their order.
const STEPS_MAX: usize = 2;

/// The places that there are.
pub(crate) struct JobSlots {
    taken: Arc<Mutex<BTreeMap<TenantId, usize>>>,
    steps: Arc<Semaphore>,
}

/// A place that is taken, until it is dropped.
pub(crate) struct JobSlot {
    tenant: TenantId,
    taken: Arc<Mutex<BTreeMap<TenantId, usize>>>,
}

impl Default for JobSlots {
    fn default() -> Self {
        Self { taken: Arc::default(), steps: Arc::new(Semaphore::new(STEPS_MAX)) }
    }
}

impl JobSlots {
    /// A place for a job that begins; `None` when the tenant, or the process, works on as many as it may.
    pub(crate) fn take(&self, tenant: TenantId) -> Option<JobSlot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&tenant).copied().unwrap_or_default();
        if own >= TENANT_MAX || taken.values().sum::<usize>() >= ALL_MAX {
            return None;
        }
        taken.insert(tenant, own + 1);
        Some(JobSlot { tenant, taken: Arc::clone(&self.taken) })
    }

    /// Whether a job of some tenant could be taken over.
    pub(crate) fn has_room(&self) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).values().sum::<usize>() < ALL_MAX
    }

    /// The place of a job that was taken over, of which there may be more than the tenant could begin:
    /// asked for after [`JobSlots::has_room`], by one task.
    pub(crate) fn adopt(&self, tenant: TenantId) -> JobSlot {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant).or_default() += 1;
        JobSlot { tenant, taken: Arc::clone(&self.taken) }
    }

    /// Waits for one's turn to take a step; it is over when what is given is dropped.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed; were it so, steps would go on without turns.
        Arc::clone(&self.steps).acquire_owned().await.ok()
    }
}

impl Drop for JobSlot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_of_a_tenant_leave_room_for_others() {
        let slots = JobSlots::default();
        let (busy, other) = (TenantId(1), TenantId(2));
        let held: Vec<_> = (0..TENANT_MAX).filter_map(|_| slots.take(busy)).collect();
        assert_eq!(held.len(), TENANT_MAX);
        assert!(slots.take(busy).is_none(), "as many as a tenant may");
        let beside = slots.take(other);
        assert!(beside.is_some(), "another tenant does not wait");
        let adopted = slots.adopt(busy);
        drop(held);
        assert!(slots.take(busy).is_some(), "what ended gave its place back");
        drop((adopted, beside));
        assert!(slots.taken.lock().unwrap().is_empty(), "nothing is kept of who has no job");
    }

    #[test]
    fn the_jobs_of_all_are_bounded() {
        let slots = JobSlots::default();
        let held: Vec<_> = (0..200).filter_map(|tenant| slots.take(TenantId(tenant))).collect();
        assert_eq!(held.len(), ALL_MAX);
        assert!(!slots.has_room());
        drop(held);
        assert!(slots.has_room());
    }
}
