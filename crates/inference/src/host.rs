//! The host: follows the tables, loads what is registered there, and says what takes requests.
//!
//! One thread of its own loads; nothing that takes time happens while requests look for their version. Keeps: a
//! version takes requests only after it was tried; what cannot be used leaves what was there before in its place.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use arc_swap::ArcSwap;
use tollgate_core::{
    id::{ModelId, ProjectId},
    model::{Model, inputs_of},
    predict_spec::{BATCH_ROWS_DEFAULT, ModelSpec},
    serving::{Models, Places, Served, Tally, Unserved},
    tables::{Snapshot, Tables},
    time::Clock,
};

use crate::{
    check::{check, warm_up},
    onnx::{FILE_BYTES_MAX, Onnx},
    pool::{Joining, Pool},
    serve::Serving,
    state::{Condition, ModelState},
    unusable::Unusable,
};

/// How often it is looked whether the tables have changed.
const LOOK: Duration = Duration::from_millis(50);
/// Every so many looks files are looked at too.
const LOOKS_A_FILE: u32 = 40;

/// Tries a file before it comes into this process.
pub trait Trial: Send + Sync {
    /// Whether these bytes are a model that can be used.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn run(&self, bytes: &[u8], spec: &ModelSpec) -> Result<(), String>;
}

/// Tries it in this process: for tests. A file that makes the operators fall over takes the process with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrialInside;

impl Trial for TrialInside {
    fn run(&self, bytes: &[u8], spec: &ModelSpec) -> Result<(), String> {
        check(bytes, spec.sample.as_ref()).map(drop).map_err(|error| error.to_string())
    }
}

/// What a host is made of.
pub struct HostOptions {
    /// The tables to follow.
    pub snapshot: Arc<Snapshot>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Threads that models run on.
    pub threads: usize,
    /// Tries files.
    pub trial: Arc<dyn Trial>,
}

/// Models of this process. Dropping it ends its threads.
pub struct Host {
    shared: Arc<Shared>,
    follower: Option<JoinHandle<()>>,
}

struct Shared {
    options: HostOptions,
    pool: Pool,
    serving: ArcSwap<Serving>,
    kept: Mutex<HashMap<ModelId, Kept>>,
    is_ended: Mutex<bool>,
    ended: Condvar,
}

/// What is known of one registered version.
#[derive(Clone)]
struct Kept {
    model: Model,
    /// The file that was tried last: with the same one nothing is tried again.
    tried: Option<Stamp>,
    /// What runs, and the file that it was made of.
    onnx: Option<(Arc<Onnx>, Stamp)>,
    served: Option<Arc<Served>>,
    problem: Option<String>,
    tally: Arc<Tally>,
}

/// What tells two states of a file apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    file: String,
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    sample: Option<tollgate_core::predict_spec::SampleSpec>,
}

impl Host {
    /// Starts it; what is registered now is loaded before it returns.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(options: HostOptions) -> std::io::Result<Self> {
        let pool = Pool::start(options.threads, Arc::clone(&options.clock))?;
        let shared = Arc::new(Shared {
            pool,
            serving: ArcSwap::default(),
            kept: Mutex::default(),
            is_ended: Mutex::new(false),
            ended: Condvar::new(),
            options,
        });
        let tables = shared.options.snapshot.tables();
        shared.follow(&tables);
        let own = Arc::clone(&shared);
        let follower =
            std::thread::Builder::new().name("models".to_owned()).spawn(move || own.run(tables))?;
        Ok(Self { shared, follower: Some(follower) })
    }

    /// How every version is, by name and version.
    #[must_use]
    pub fn states(&self) -> Vec<ModelState> {
        self.shared.states()
    }

    /// Brings the metrics up to date.
    pub fn measure(&self) {
        for state in self.states() {
            let labels = [("model", state.name), ("version", state.version)];
            let served = if state.condition.is_served() { 1.0 } else { 0.0 };
            metrics::gauge!("tollgate_model_serving", &labels).set(served);
            metrics::gauge!("tollgate_model_under_way", &labels).set(f64::from(state.under_way));
            metrics::counter!("tollgate_model_answered_total", &labels).absolute(state.tallied.answered);
            metrics::counter!("tollgate_model_failed_total", &labels).absolute(state.tallied.failed);
            metrics::counter!("tollgate_model_refused_total", &labels).absolute(state.tallied.refused);
        }
    }
}

impl Models for Host {
    fn find(&self, project: ProjectId, name: &str, version: Option<&str>) -> Result<Arc<Served>, Unserved> {
        self.shared.serving.load().find(project, name, version)
    }

    fn is_ready(&self, project: ProjectId) -> bool {
        self.shared.serving.load().is_ready(project)
    }

    fn aside(&self, work: Box<dyn FnOnce() + Send>) {
        self.shared.pool.aside(work);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        *self.shared.is_ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.ended.notify_all();
        if let Some(follower) = self.follower.take() {
            let _ended = follower.join();
        }
    }
}

impl Shared {
    fn run(&self, mut tables: Arc<Tables>) {
        let mut looks = 0_u32;
        loop {
            let ended = self.is_ended.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.ended.wait_timeout_while(ended, LOOK, |ended| !*ended);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
            looks = looks.wrapping_add(1);
            let current = self.options.snapshot.tables();
            let has_changed = !Arc::ptr_eq(&current, &tables);
            if has_changed || (looks.is_multiple_of(LOOKS_A_FILE) && !current.models.is_empty()) {
                tables = current;
                self.follow(&tables);
            }
        }
    }

    /// Brings what takes requests to what the tables say.
    fn follow(&self, tables: &Tables) {
        let mut changed = self.forget(tables);
        let mut others = HashSet::new();
        for model in tables.models.values().filter(|model| self.enrol(model)) {
            others.insert(model.id);
        }
        changed |= !others.is_empty();
        // Which names there are is known before anything is loaded, and one model that takes its time holds no
        // other back.
        if changed {
            self.publish();
        }
        for model in tables.models.values() {
            if self.follow_one(model, others.contains(&model.id)) {
                self.publish();
            }
        }
    }

    fn forget(&self, tables: &Tables) -> bool {
        let mut kept = self.kept();
        let before = kept.len();
        kept.retain(|id, _| tables.models.contains_key(id));
        kept.len() != before
    }

    /// Notes what is written of a version; whether it is new or other than it was. What runs goes on.
    fn enrol(&self, model: &Model) -> bool {
        let mut kept = self.kept();
        if let Some(known) = kept.get_mut(&model.id) {
            let is_other = known.model.spec != model.spec || known.model.project != model.project;
            known.model = model.clone();
            return is_other;
        }
        let (model, tally) = (model.clone(), Arc::default());
        kept.insert(model.id, Kept { model, tried: None, onnx: None, served: None, problem: None, tally });
        true
    }

    /// Whether anything is other than it was.
    fn follow_one(&self, model: &Model, is_other: bool) -> bool {
        // A copy, so that what is there stays while it is loaded; nobody but this thread changes it.
        let Some(mut kept) = self.kept().get(&model.id).cloned() else { return false };
        let changed = match &model.spec.file {
            None => is_other && self.serve_remote(&mut kept),
            Some(file) => self.serve_file(&mut kept, file, is_other),
        };
        self.kept().insert(model.id, kept);
        changed
    }

    fn serve_remote(&self, kept: &mut Kept) -> bool {
        let inputs = inputs_of(&kept.model.spec.inputs).unwrap_or_default();
        kept.onnx = None;
        kept.served = Some(Arc::new(Served {
            model: kept.model.clone(),
            inputs: inputs.into(),
            outputs: Box::default(),
            engine: None,
            places: Arc::new(Places::new(kept.model.spec.concurrency_max())),
            tally: Arc::clone(&kept.tally),
        }));
        kept.problem = None;
        true
    }

    fn serve_file(&self, kept: &mut Kept, file: &str, is_other: bool) -> bool {
        let spec = Arc::clone(&kept.model.spec);
        let stamp = match Stamp::of(file, &spec) {
            Ok(stamp) => stamp,
            Err(problem) => return kept.is_broken(problem, None),
        };
        if kept.tried.as_ref() != Some(&stamp) {
            match self.load(file, &spec) {
                Ok(onnx) => {
                    kept.onnx = Some((Arc::new(onnx), stamp.clone()));
                    kept.problem = None;
                    kept.tried = Some(stamp);
                    let (model, version) = (&*spec.name, &*spec.version);
                    tracing::info!(model, version, "a model was loaded");
                }
                Err(problem) => return kept.is_broken(problem.to_string(), Some(stamp)),
            }
        } else if !is_other {
            return false;
        }
        let Some((onnx, _)) = &kept.onnx else { return false };
        let joining = spec.batch.map(|batch| Joining {
            window_ns: batch.window.as_nanos(),
            rows_max: batch.rows_max.unwrap_or(BATCH_ROWS_DEFAULT) as usize,
        });
        kept.served = Some(Arc::new(Served {
            model: kept.model.clone(),
            inputs: onnx.inputs.clone(),
            outputs: onnx.outputs.clone(),
            engine: Some(self.pool.engine(Arc::clone(onnx), joining)),
            places: Arc::new(Places::new(spec.concurrency_max())),
            tally: Arc::clone(&kept.tally),
        }));
        true
    }

    /// Reads a file once: what was tried is what is loaded.
    fn load(&self, file: &str, spec: &ModelSpec) -> Result<Onnx, Unusable> {
        let bytes = read(Path::new(file)).map_err(Unusable::new)?;
        self.options.trial.run(&bytes, spec).map_err(Unusable::new)?;
        let onnx = Onnx::read(&bytes)?;
        warm_up(&onnx, spec.sample.as_ref())?;
        Ok(onnx)
    }

    fn publish(&self) {
        let kept = self.kept();
        let models = kept.values().map(|kept| (&kept.model, kept.served.clone()));
        let serving = Serving::of(models, &self.serving.load());
        drop(kept);
        self.serving.store(Arc::new(serving));
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<ModelId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn states(&self) -> Vec<ModelState> {
        let serving = self.serving.load();
        let mut states: Vec<ModelState> = self
            .kept()
            .values()
            .map(|kept| {
                let spec = &kept.model.spec;
                let served = kept.served.as_deref();
                ModelState {
                    id: kept.model.id,
                    project: kept.model.project,
                    name: spec.name.clone(),
                    version: spec.version.clone(),
                    aliases: served.map(|served| serving.aliases_of(served)).unwrap_or_default(),
                    source: source_of(spec),
                    condition: match (served, &kept.problem) {
                        (Some(_), None) => Condition::Serving,
                        (Some(_), Some(_)) => Condition::ServingFormer,
                        (None, Some(_)) => Condition::Broken,
                        (None, None) => Condition::Loading,
                    },
                    problem: kept.problem.clone(),
                    under_way: served.map_or(0, |served| served.places.taken()),
                    tallied: kept.tally.read(),
                }
            })
            .collect();
        states.sort_by(|a, b| (&a.name, &a.version, a.id).cmp(&(&b.name, &b.version, b.id)));
        states
    }
}

impl Kept {
    /// Notes that it cannot be used; what ran before goes on. Whether that is news.
    fn is_broken(&mut self, problem: String, stamp: Option<Stamp>) -> bool {
        let is_news = self.problem.as_ref() != Some(&problem);
        if is_news {
            let spec = &self.model.spec;
            let (model, version, still) = (&*spec.name, &*spec.version, self.served.is_some());
            tracing::error!(
                model,
                version,
                still_serving_the_former = still,
                "a model cannot be used: {problem}"
            );
        }
        self.problem = Some(problem);
        self.tried = stamp;
        is_news
    }
}

impl Stamp {
    fn of(file: &str, spec: &ModelSpec) -> Result<Self, String> {
        let found = std::fs::metadata(file).map_err(|error| format!("{file}: {error}"))?;
        if !found.is_file() {
            return Err(format!("{file}: it is not a file"));
        }
        Ok(Self {
            file: file.to_owned(),
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            sample: spec.sample.clone(),
        })
    }
}

/// Where a model is, in words.
fn source_of(spec: &ModelSpec) -> String {
    match (&spec.file, &spec.remote) {
        (Some(file), _) => file.clone(),
        (None, Some(remote)) => remote.url.clone(),
        (None, None) => String::new(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut bytes = Vec::new();
    File::open(file).map_err(problem)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(problem)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{}: it is larger than {FILE_BYTES_MAX} bytes", file.display()));
    }
    Ok(bytes)
}
