//! Models that take requests: what the gateway asks for, and what answers it.
//!
//! The port between the gateway and whatever holds models: it finds the version that a request means and runs it.
//! Nothing here waits: an answer is called back.

use std::sync::{
    Arc,
    atomic::{
        AtomicU32, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use crate::{
    id::ProjectId,
    model::Model,
    tensor::{Tensor, TensorSpec},
};

/// Holds models.
pub trait Models: Send + Sync {
    /// The version of a model that takes requests under this version or alias; under none, the one that is
    /// `latest`.
    ///
    /// # Errors
    /// When none does.
    fn find(&self, project: ProjectId, name: &str, version: Option<&str>) -> Result<Arc<Served>, Unserved>;

    /// Whether every version of a project that should take requests does.
    fn is_ready(&self, project: ProjectId) -> bool;

    /// Does something that takes too long for a lane on the threads that models run on, before them. Where there are
    /// none, or they end, it is dropped. Who calls bounds how much waits.
    fn aside(&self, work: Box<dyn FnOnce() + Send>);
}

/// A version that takes requests.
pub struct Served {
    /// What was written of it.
    pub model: Model,
    /// What it takes.
    pub inputs: Box<[TensorSpec]>,
    /// What it gives; empty of a remote model.
    pub outputs: Box<[TensorSpec]>,
    /// What runs it; `None` of a remote model, which the gateway asks itself.
    pub engine: Option<Arc<dyn Engine>>,
    /// Requests that it takes at once.
    pub places: Arc<Places>,
    /// How they went.
    pub tally: Arc<Tally>,
}

/// Why no version takes requests under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// There is no such model in the project.
    NoModel,
    /// The model has no such version or alias.
    NoVersion,
    /// It is there, and cannot be used: it was not loaded yet, or its file is broken.
    NotLoaded,
}

/// Called once with the outputs, in the order of [`Served::outputs`].
pub type Done = Box<dyn FnOnce(Ran) + Send>;

/// What a run gave: the outputs, in the order of [`Served::outputs`].
pub type Ran = Result<Vec<Tensor>, NotRun>;

/// Runs a model.
pub trait Engine: Send + Sync {
    /// Takes inputs, in the order of [`Served::inputs`] and of their types and shapes, and calls back, perhaps on
    /// another thread. What has not begun at the deadline (nanoseconds of the monotonic clock) does not begin.
    fn submit(&self, inputs: Vec<Tensor>, deadline_ns: u64, done: Done);

    /// Runs it at once on the thread that calls, where it is known to cost too little to be handed to another.
    ///
    /// # Errors
    /// Gives the inputs back where it is not.
    fn run_here(&self, inputs: Vec<Tensor>) -> Result<Ran, Vec<Tensor>> {
        Err(inputs)
    }
}

/// Why a model gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRun {
    /// It waited until its deadline.
    Late,
    /// The model failed on these inputs; the cause, for the log.
    Failed(String),
}

/// Requests of one version that wait or run at once.
#[derive(Debug)]
pub struct Places {
    taken: AtomicU32,
    most: u32,
}

impl Places {
    /// So many.
    #[must_use]
    pub const fn new(most: u32) -> Self {
        Self { taken: AtomicU32::new(0), most }
    }

    /// Takes one; `None` when all are taken. It is given back when it is dropped.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken: u32| (taken < self.most).then_some(taken + 1);
        self.taken.try_update(AcqRel, Acquire, one_more).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.taken.load(Relaxed)
    }
}

/// One place.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, AcqRel);
    }
}

/// How the requests of one version went on this node, since it started.
#[derive(Debug, Default)]
pub struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    /// Answers by the power of two of their microseconds.
    took: [AtomicU64; SCALES],
}

/// Powers of two of microseconds that are told apart: the last is over half an hour.
const SCALES: usize = 32;

/// What a tally says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallied {
    /// Answered.
    pub answered: u64,
    /// Failed or late.
    pub failed: u64,
    /// Refused because too many were under way.
    pub refused: u64,
    /// Half of the answers took at most this many microseconds, to the next power of two; 0 without any.
    pub median_us: u64,
    /// And of a hundred ninety-nine this many.
    pub p99_us: u64,
}

impl Tally {
    /// Counts an answer.
    pub fn answered(&self, took_ns: u64) {
        let scale = (u64::BITS - (took_ns / 1_000).leading_zeros()) as usize;
        if let Some(count) = self.took.get(scale.min(SCALES - 1)) {
            count.fetch_add(1, Relaxed);
        }
        self.answered.fetch_add(1, Relaxed);
    }

    /// Counts a request that got no answer.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// Counts a request that was one too many.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// What it says now.
    #[must_use]
    pub fn read(&self) -> Tallied {
        let counts: Vec<u64> = self.took.iter().map(|count| count.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let within = |percent: u64| {
            let wanted = (total * percent).div_ceil(100);
            let mut seen = 0;
            let scale = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            if total == 0 { 0 } else { scale.map_or(u64::MAX, |scale| 1 << scale) }
        };
        Tallied {
            answered: self.answered.load(Relaxed),
            failed: self.failed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            median_us: within(50),
            p99_us: within(99),
        }
    }
}

/// Holds none: for processes without the gateway, and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoModels;

impl Models for NoModels {
    fn find(&self, _: ProjectId, _: &str, _: Option<&str>) -> Result<Arc<Served>, Unserved> {
        Err(Unserved::NoModel)
    }

    fn is_ready(&self, _: ProjectId) -> bool {
        true
    }

    fn aside(&self, _: Box<dyn FnOnce() + Send>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again_and_no_more() {
        let places = Arc::new(Places::new(2));
        let (one, two) = (places.take(), places.take());
        assert!(one.is_some() && two.is_some() && places.take().is_none());
        drop(one);
        assert_eq!(places.taken(), 1);
        assert!(places.take().is_some());
    }

    #[test]
    fn a_tally_tells_the_median_and_the_slowest_to_a_power_of_two() {
        let tally = Tally::default();
        assert_eq!(tally.read(), Tallied::default());
        (0..98).for_each(|_| tally.answered(100_000));
        tally.answered(40_000_000);
        tally.answered(40_000_000);
        let read = tally.read();
        assert_eq!((read.answered, read.median_us, read.p99_us), (100, 128, 65_536));
    }
}
