//! The threads that models run on, and what waits for them.
//!
//! Bounded: each request holds one of the places of its model until it is called back, and what is past its deadline
//! is called back without being run. Joined requests wait in one place for at most the window of their model.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tollgate_core::{
    serving::{Done, Engine, NotRun, Ran},
    tensor::Tensor,
    time::Clock,
};

use crate::onnx::Onnx;

/// How requests of a model are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joining {
    /// How long the first waits, nanoseconds.
    pub(crate) window_ns: u64,
    /// Rows at which they go at once.
    pub(crate) rows_max: usize,
}

/// The threads. They end when the value is dropped, after what waits.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    clock: Arc<dyn Clock>,
}

/// Something else to be done on the threads.
type Aside = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    /// Before models: bodies that are read, each of which holds its room until then.
    aside: VecDeque<Aside>,
    ready: VecDeque<Work>,
    /// At most one for each model and shape of a row.
    gathering: Vec<Gathering>,
    is_closed: bool,
}

/// What a thread does next.
enum Next {
    Run(Work),
    Aside(Aside),
}

/// Requests to be run together.
struct Work {
    model: Arc<Onnx>,
    jobs: Vec<Job>,
}

struct Gathering {
    work: Work,
    rows: usize,
    due_ns: u64,
}

struct Job {
    inputs: Vec<Tensor>,
    deadline_ns: u64,
    done: Done,
}

impl Pool {
    /// Starts the threads, at least one.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(threads: usize, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new(), clock });
        let mut pool = Self { shared, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            let named = std::thread::Builder::new().name(format!("model-{number}"));
            pool.threads.push(named.spawn(move || shared.work())?);
        }
        Ok(pool)
    }

    /// Does something on one of the threads, before models.
    pub(crate) fn aside(&self, work: Aside) {
        self.shared.lock().aside.push_back(work);
        self.shared.wake.notify_one();
    }

    /// What runs a model here.
    pub(crate) fn engine(&self, model: Arc<Onnx>, joining: Option<Joining>) -> Arc<dyn Engine> {
        let joining = joining.filter(|_| model.is_joinable());
        Arc::new(Runner { shared: Arc::clone(&self.shared), model, joining })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has called its requests back by dropping them.
            let _ended = thread.join();
        }
    }
}

/// Runs one model on the threads.
struct Runner {
    shared: Arc<Shared>,
    model: Arc<Onnx>,
    joining: Option<Joining>,
}

impl Engine for Runner {
    fn run_here(&self, inputs: Vec<Tensor>) -> Result<Ran, Vec<Tensor>> {
        // Who wants requests joined gets them joined.
        if self.joining.is_some() || !self.model.is_cheap(&inputs) {
            return Err(inputs);
        }
        Ok(self.model.run(inputs).map_err(NotRun::Failed))
    }

    fn submit(&self, inputs: Vec<Tensor>, deadline_ns: u64, done: Done) {
        let job = Job { inputs, deadline_ns, done };
        let mut queue = self.shared.lock();
        match self.joining {
            None => queue.ready.push_back(Work { model: Arc::clone(&self.model), jobs: vec![job] }),
            Some(joining) => queue.gather(&self.model, joining, job, self.shared.clock.mono_ns()),
        }
        drop(queue);
        self.shared.wake.notify_one();
    }
}

impl Queue {
    fn gather(&mut self, model: &Arc<Onnx>, joining: Joining, job: Job, now_ns: u64) {
        let rows = rows_of(&job);
        let fits = |gathering: &Gathering| {
            Arc::ptr_eq(&gathering.work.model, model)
                && gathering.rows + rows <= joining.rows_max
                && gathering.work.jobs.first().is_some_and(|first| can_join(first, &job))
        };
        let place = self.gathering.iter().position(fits);
        let place = place.unwrap_or_else(|| {
            let work = Work { model: Arc::clone(model), jobs: Vec::new() };
            self.gathering.push(Gathering {
                work,
                rows: 0,
                due_ns: now_ns.saturating_add(joining.window_ns),
            });
            self.gathering.len() - 1
        });
        if let Some(gathering) = self.gathering.get_mut(place) {
            gathering.rows += rows;
            gathering.work.jobs.push(job);
            if gathering.rows >= joining.rows_max {
                let full = self.gathering.swap_remove(place);
                self.ready.push_back(full.work);
            }
        }
    }

    /// What is to be run now, or how long nothing is.
    fn next(&mut self, now_ns: u64) -> Result<Next, Option<u64>> {
        if let Some(work) = self.aside.pop_front() {
            return Ok(Next::Aside(work));
        }
        if let Some(work) = self.ready.pop_front() {
            return Ok(Next::Run(work));
        }
        let first = self.gathering.iter().enumerate().min_by_key(|(_, gathering)| gathering.due_ns);
        match first.map(|(place, gathering)| (place, gathering.due_ns)) {
            None => Err(None),
            Some((place, due_ns)) if due_ns <= now_ns || self.is_closed => {
                Ok(Next::Run(self.gathering.swap_remove(place).work))
            }
            Some((_, due_ns)) => Err(Some(due_ns - now_ns)),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread, from start to end.
    fn work(&self) {
        let mut queue = self.lock();
        loop {
            queue = match queue.next(self.clock.mono_ns()) {
                Ok(next) => {
                    drop(queue);
                    match next {
                        Next::Run(work) => work.run(self.clock.mono_ns()),
                        Next::Aside(work) => work(),
                    }
                    self.lock()
                }
                Err(None) if queue.is_closed => return,
                Err(None) => self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Err(Some(wait_ns)) => {
                    let waited = self.wake.wait_timeout(queue, Duration::from_nanos(wait_ns));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Work {
    fn run(self, now_ns: u64) {
        let Self { model, jobs } = self;
        let (mut jobs, late): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| now_ns < job.deadline_ns);
        for job in late {
            (job.done)(Err(NotRun::Late));
        }
        if jobs.len() > 1 {
            match run_joined(&model, &jobs) {
                Some(answers) => {
                    for (job, answer) in jobs.into_iter().zip(answers) {
                        (job.done)(Ok(answer));
                    }
                    return;
                }
                // One may have failed for all: each is tried by itself.
                None => tracing::debug!("requests that were joined are run one by one"),
            }
        }
        for Job { inputs, done, .. } in jobs.drain(..) {
            done(model.run(inputs).map_err(NotRun::Failed));
        }
    }
}

fn rows_of(job: &Job) -> usize {
    job.inputs.first().map_or(1, Tensor::rows)
}

/// Whether rows of two requests can stand below each other: alike in all but their number, which is the same for
/// every input of one request.
fn can_join(one: &Job, other: &Job) -> bool {
    let alike = |job: &Job| job.inputs.iter().all(|tensor| tensor.rows() == rows_of(job));
    let tails = one.inputs.iter().zip(&other.inputs).all(|(a, b)| a.shape.get(1..) == b.shape.get(1..));
    alike(one) && alike(other) && tails
}

/// Runs several requests as one; `None` when the model does not answer row by row.
fn run_joined(model: &Onnx, jobs: &[Job]) -> Option<Vec<Vec<Tensor>>> {
    let mut joined: Vec<Tensor> = jobs.first()?.inputs.clone();
    for job in jobs.iter().skip(1) {
        for (own, more) in joined.iter_mut().zip(&job.inputs) {
            if !own.data.append(more.data.clone()) {
                return None;
            }
            *own.shape.first_mut()? += more.rows();
        }
    }
    let rows: usize = jobs.iter().map(rows_of).sum();
    let mut outputs = model.run(joined).ok()?;
    if outputs.iter().any(|output| output.shape.first() != Some(&rows)) {
        return None;
    }
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        let count = rows_of(job);
        let mut answer = Vec::with_capacity(outputs.len());
        for output in &mut outputs {
            let width: usize = output.shape.iter().skip(1).product();
            let rest = output.data.split_off(count * width);
            let data = std::mem::replace(&mut output.data, rest);
            let mut shape = output.shape.clone();
            *shape.first_mut()? = count;
            answer.push(Tensor { shape, data });
        }
        answers.push(answer);
    }
    Some(answers)
}
