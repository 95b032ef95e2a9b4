//! The queue before the database: bounded in batches and bytes, emptied a group at a time.

use std::{
    collections::HashSet,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
    time::MissedTickBehavior,
};
use tollgate_core::{
    event::{Batch, NotTaken, Taken},
    id::TenantId,
    key::Digest,
};

use super::{beside::Beside, commit::Committer, known::Known};
use crate::open::Store;

/// Bounds of an [`Ingester`].
#[derive(Clone, Copy, Debug)]
pub struct IngestOptions {
    /// Batches that may wait. Default 4,096.
    pub batches_max: usize,
    /// Bytes of batches that may wait. Default 64 MiB: half a second of what two cores commit.
    pub bytes_max: u64,
    /// Ids that are remembered; the oldest are forgotten first. Default 16,777,216, about 32 bytes each.
    pub ids_max: usize,
    /// How long ids and names of requests are remembered, microseconds. Default a day.
    pub remembered_us: i64,
    /// Bytes that must stay free on the disk of an embedded database. Default 1 GiB.
    pub disk_free_min: u64,
    /// Bytes of records, as they are packed, that may lie in the database. Default 100 GiB.
    pub kept_bytes_max: u64,
    /// How often it is looked how much lies in the database. Default a minute.
    pub look_every: Duration,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            batches_max: 4096,
            bytes_max: 64 << 20,
            ids_max: 1 << 24,
            remembered_us: 86_400_000_000,
            disk_free_min: 1 << 30,
            kept_bytes_max: 100 << 30,
            look_every: LOOK_EVERY,
        }
    }
}

/// Bytes of one group, from which on it is committed: what waits longer waits for the next one.
const GROUP_BYTES: u64 = 8 << 20;
/// Batches of one group.
const GROUP_BATCHES: usize = 1024;

/// How often it is looked how much lies in the database where nothing is said, beside the task that commits: the
/// look goes over all blocks. What this process adds in between is counted; what others add may lie there beyond
/// the bound.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Takes batches; cheap to clone.
#[derive(Clone)]
pub struct Ingester {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Waiting>,
}

struct Shared {
    store: Store,
    options: IngestOptions,
    waiting_bytes: AtomicU64,
    /// Bytes that this process has written since its start.
    written_bytes: Arc<AtomicU64>,
    /// What lay in the database at the last look, less (wrapping) what was written until that began: with
    /// `written_bytes` it is what lies there now.
    looked_bytes: AtomicU64,
    /// Whether too little was free on the disk at the last look, which is before each group. Then each batch looks
    /// again, so that nothing waits for nothing.
    is_disk_full: AtomicBool,
    /// Requests with a name that are on their way.
    names: Mutex<HashSet<Name>>,
}

impl Shared {
    /// Bytes of records that lie in the database.
    fn kept_bytes(&self) -> u64 {
        let written = self.written_bytes.load(Ordering::Relaxed);
        self.looked_bytes.load(Ordering::Relaxed).wrapping_add(written)
    }

    /// Why nothing can be taken: the disk of the database is almost full. Asks the operating system.
    fn look_at_disk(&self) -> Option<NotTaken> {
        let is_full = self.store.free_bytes().is_some_and(|free| free < self.options.disk_free_min);
        self.is_disk_full.store(is_full, Ordering::Relaxed);
        let why = "the disk of the database is almost full; records are taken again when there is room";
        is_full.then_some(NotTaken::Overloaded { why, retry_after_s: 30 })
    }

    async fn look(self: Arc<Self>) {
        let written = self.written_bytes.load(Ordering::Relaxed);
        // A database that cannot say it cannot take records either, and that is told there.
        if let Ok(bytes) = self.store.kept_event_bytes().await {
            self.looked_bytes.store(bytes.wrapping_sub(written), Ordering::Relaxed);
        }
    }
}

type Name = (TenantId, Digest);

/// What became of a batch, and which of its records were new; none where it was taken before.
pub(super) type Answer = Result<(Taken, Vec<bool>), NotTaken>;

/// A batch that waits, and who waits for it.
pub(super) struct Waiting {
    pub(super) batch: Batch,
    /// What is written in the same commit.
    pub(super) beside: Option<Box<dyn Beside>>,
    pub(super) answer: oneshot::Sender<Answer>,
    /// Given back before it is answered: who repeats the request then is not told that it is under way.
    pub(super) place: Place,
}

/// What a batch takes of the queue; given back when it is dropped.
pub(super) struct Place {
    shared: Arc<Shared>,
    bytes: u64,
    name: Option<Name>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.waiting_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        if let Some(name) = self.name {
            self.shared.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        }
    }
}

impl Ingester {
    /// Starts the task that commits.
    #[must_use]
    pub fn start(store: Store, options: IngestOptions) -> (Self, Committing) {
        let (queue, inbox) = mpsc::channel(options.batches_max.max(1));
        let known = Known::new(options.ids_max);
        let written_bytes = Arc::new(AtomicU64::new(0));
        let committer =
            Committer { store: store.clone(), known, options, written_bytes: Arc::clone(&written_bytes) };
        let names = Mutex::default();
        let (waiting_bytes, looked_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let is_disk_full = AtomicBool::new(false);
        let shared = Arc::new(Shared {
            store,
            options,
            waiting_bytes,
            written_bytes,
            looked_bytes,
            is_disk_full,
            names,
        });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run((committer, Arc::clone(&shared)), inbox, stopped));
        (Self { shared, queue }, Committing { stop, task })
    }

    /// How long ids are remembered, microseconds.
    #[must_use]
    pub fn remembered_us(&self) -> i64 {
        self.shared.options.remembered_us
    }

    /// Takes a batch; answers once it is durable. Dropping the answer does not take the batch back. What there
    /// is no room for is refused at once.
    pub fn submit(&self, batch: Batch) -> impl Future<Output = Result<Taken, NotTaken>> + Send + 'static {
        let queued = self.enqueue(batch, None);
        async move {
            match queued?.await {
                Ok(answer) => answer.map(|(taken, _)| taken),
                // The task is gone in the middle of it.
                Err(_) => Err(NotTaken::Unavailable),
            }
        }
    }

    /// Takes a batch, and writes something else in its commit; says which of its records were new.
    pub(crate) fn submit_beside(
        &self,
        batch: Batch,
        beside: Box<dyn Beside>,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let queued = self.enqueue(batch, Some(beside));
        async move { queued?.await.unwrap_or(Err(NotTaken::Unavailable)) }
    }

    fn enqueue(
        &self,
        batch: Batch,
        beside: Option<Box<dyn Beside>>,
    ) -> Result<oneshot::Receiver<Answer>, NotTaken> {
        let overloaded = |why| NotTaken::Overloaded { why, retry_after_s: 1 };
        let Shared { options, waiting_bytes, is_disk_full, names, .. } = &*self.shared;
        if is_disk_full.load(Ordering::Relaxed)
            && let Some(refused) = self.shared.look_at_disk()
        {
            return Err(refused);
        }
        if self.shared.kept_bytes() >= options.kept_bytes_max {
            let why = "as many records lie in the database as may; they are taken again when some have gone";
            return Err(NotTaken::Overloaded { why, retry_after_s: 30 });
        }
        let bytes = batch.buffer.len() as u64;
        let room = |waiting: u64| {
            waiting.checked_add(bytes).filter(|after| waiting == 0 || *after <= options.bytes_max)
        };
        if waiting_bytes.try_update(Ordering::AcqRel, Ordering::Acquire, room).is_err() {
            return Err(overloaded("more records wait for the database than there is room for"));
        }
        let mut place = Place { shared: Arc::clone(&self.shared), bytes, name: None };
        if let Some(name) = batch.name {
            let name = (batch.sender.tenant, name.name);
            if !names.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
                return Err(NotTaken::UnderWay);
            }
            place.name = Some(name);
        }
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Waiting { batch, beside, answer, place }) {
            Ok(()) => Ok(answered),
            Err(_) => Err(overloaded("more batches wait for the database than there is room for")),
        }
    }
}

/// The task that commits.
pub struct Committing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Committing {
    /// Takes nothing new, commits what waits, and ends.
    ///
    /// # Errors
    /// When the task had ended badly.
    pub async fn end(self) -> Result<(), tokio::task::JoinError> {
        // A task that is gone hears nothing.
        let _gone = self.stop.send(());
        self.task.await
    }
}

/// Tells who waits for each batch of a group what became of it.
pub(super) fn answer(group: Vec<Waiting>, answers: impl IntoIterator<Item = Answer>) {
    for (waiting, answer) in group.into_iter().zip(answers) {
        let Waiting { answer: to, place, .. } = waiting;
        drop(place);
        // Who went away does not want to know; the batch is kept all the same.
        let _gone = to.send(answer);
    }
}

async fn run(
    (mut committer, shared): (Committer, Arc<Shared>),
    mut inbox: mpsc::Receiver<Waiting>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut group = Vec::new();
    let mut is_stopping = false;
    let mut looks = tokio::time::interval(shared.options.look_every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Dropped with this task; one at a time.
    let mut looking = JoinSet::new();
    loop {
        let first = tokio::select! {
            first = inbox.recv() => first,
            asked = &mut stop, if !is_stopping => {
                is_stopping = true;
                // Let go of is not asked: then it goes on for as long as there is an ingester.
                if asked.is_ok() {
                    inbox.close();
                }
                continue;
            }
            _ = looks.tick() => {
                while looking.try_join_next().is_some() {}
                if looking.is_empty() {
                    looking.spawn(Arc::clone(&shared).look());
                }
                continue;
            }
        };
        let Some(first) = first else { return };
        let mut bytes = first.batch.buffer.len() as u64;
        group.push(first);
        while bytes < GROUP_BYTES && group.len() < GROUP_BATCHES {
            let Ok(next) = inbox.try_recv() else { break };
            bytes += next.batch.buffer.len() as u64;
            group.push(next);
        }
        let group = std::mem::take(&mut group);
        match shared.look_at_disk() {
            None => committer.commit(group).await,
            Some(refused) => answer(group, std::iter::repeat_with(|| Err(refused.clone()))),
        }
    }
}
