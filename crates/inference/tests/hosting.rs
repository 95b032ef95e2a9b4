//! The host: what takes requests, when a file is good, when it is not, and when it changes.

use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tollgate_core::{
    id::{ModelId, ProjectId, TenantId},
    model::Model,
    predict_spec::{BatchSpec, ModelSpec},
    serving::{Models as _, NotRun, Served, Unserved},
    tables::{Snapshot, Tables},
    tensor::{Data, Tensor},
    time::{Clock, Now, Span},
};
use tollgate_inference::{Condition, Host, HostOptions, Trial, TrialInside};

use crate::files::path;

const PROJECT: ProjectId = ProjectId(1);
const PATIENCE: Duration = Duration::from_secs(20);

struct Time;

impl Clock for Time {
    fn now(&self) -> Now {
        let since = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = since.split(' ').next().unwrap().parse().unwrap();
        Now { wall_us: 0, mono_ns: (seconds * 1e9) as u64 }
    }
}

fn spec(version: &str, file: &Path) -> ModelSpec {
    let text = serde_json::json!({"project": "p", "name": "m", "version": version, "file": file});
    serde_json::from_value(text).unwrap()
}

fn tables(specs: impl IntoIterator<Item = ModelSpec>) -> Tables {
    let model = |(index, spec): (usize, ModelSpec)| {
        let id = ModelId(index as u64 + 1);
        (id, Model { id, project: PROJECT, tenant: TenantId(1), version: 1, spec: Arc::new(spec) })
    };
    Tables { models: specs.into_iter().enumerate().map(model).collect(), ..Tables::default() }
}

fn host(specs: impl IntoIterator<Item = ModelSpec>) -> (Host, Arc<Snapshot>) {
    let snapshot = Arc::new(Snapshot::with_capacity(1));
    snapshot.replace_tables(tables(specs));
    let clock: Arc<dyn Clock> = Arc::new(Time);
    let options =
        HostOptions { snapshot: Arc::clone(&snapshot), clock, threads: 2, trial: Arc::new(TrialInside) };
    (Host::start(options).unwrap(), snapshot)
}

fn rows(count: usize) -> Vec<Tensor> {
    vec![Tensor { shape: vec![count, 4], data: Data::F32((0..count * 4).map(|n| n as f32).collect()) }]
}

fn ask(served: &Served, inputs: Vec<Tensor>, deadline_ns: u64) -> Result<Vec<Tensor>, NotRun> {
    let (tell, told) = mpsc::channel();
    let engine = served.engine.as_ref().unwrap();
    engine.submit(inputs, deadline_ns, Box::new(move |outcome| tell.send(outcome).unwrap()));
    told.recv_timeout(PATIENCE).unwrap()
}

/// Waits for what is to come about.
fn until<T>(mut what: impl FnMut() -> Option<T>) -> T {
    for _ in 0..2_000 {
        if let Some(found) = what() {
            return found;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("it did not come about");
}

#[test]
fn versions_are_found_by_number_alias_and_as_the_latest() {
    let stable = ModelSpec { aliases: vec!["stable".into()], ..spec("9", &path("boosted")) };
    let (host, _) = host([stable, spec("10", &path("boosted"))]);
    let version =
        |name: Option<&str>| host.find(PROJECT, "m", name).map(|served| served.model.spec.version.clone());
    assert_eq!(version(None).as_deref(), Ok("10"));
    assert_eq!(version(Some("stable")).as_deref(), Ok("9"));
    assert_eq!(version(Some("9")).as_deref(), Ok("9"));
    assert_eq!(version(Some("8")), Err(Unserved::NoVersion));
    assert!(matches!(host.find(ProjectId(2), "m", None), Err(Unserved::NoModel)));
    assert!(matches!(host.find(PROJECT, "other", None), Err(Unserved::NoModel)));
    assert!(host.is_ready(PROJECT));
}

#[test]
fn a_new_version_that_is_broken_leaves_the_alias_with_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.onnx");
    std::fs::write(&broken, "nonsense").unwrap();
    let old = ModelSpec { aliases: vec!["stable".into()], ..spec("1", &path("boosted")) };
    let (host, snapshot) = host([old.clone()]);
    let moved = ModelSpec { aliases: vec!["stable".into()], ..spec("2", &broken) };
    snapshot.replace_tables(tables([ModelSpec { aliases: Vec::new(), ..old }, moved]));
    let state = until(|| host.states().into_iter().find(|state| state.condition == Condition::Broken));
    assert!(state.problem.as_ref().unwrap().contains("not an ONNX file"), "{state:?}");
    for name in [None, Some("stable"), Some("1")] {
        assert_eq!(host.find(PROJECT, "m", name).unwrap().model.spec.version, "1", "{name:?}");
    }
    assert!(matches!(host.find(PROJECT, "m", Some("2")), Err(Unserved::NotLoaded)));
    assert!(!host.is_ready(PROJECT));
    std::fs::copy(path("boosted"), &broken).unwrap();
    until(|| (host.find(PROJECT, "m", Some("stable")).ok()?.model.spec.version == "2").then_some(()));
}

/// Tries version 2 only once it is told to.
struct TrialHeld(Mutex<mpsc::Receiver<()>>);

impl Trial for TrialHeld {
    fn run(&self, bytes: &[u8], spec: &ModelSpec) -> Result<(), String> {
        if spec.version == "2" {
            self.0.lock().unwrap().recv_timeout(PATIENCE).map_err(|error| error.to_string())?;
        }
        TrialInside.run(bytes, spec)
    }
}

#[test]
fn while_a_version_is_loaded_the_others_take_requests() {
    let old = ModelSpec { aliases: vec!["stable".into()], ..spec("1", &path("boosted")) };
    let snapshot = Arc::new(Snapshot::with_capacity(1));
    snapshot.replace_tables(tables([old.clone()]));
    let (go_on, held) = mpsc::channel();
    let trial = Arc::new(TrialHeld(Mutex::new(held)));
    let options = HostOptions { snapshot: Arc::clone(&snapshot), clock: Arc::new(Time), threads: 1, trial };
    let host = Host::start(options).unwrap();
    let moved = ModelSpec { aliases: vec!["stable".into()], ..spec("2", &path("boosted")) };
    snapshot.replace_tables(tables([ModelSpec { aliases: Vec::new(), ..old }, moved]));
    until(|| host.states().into_iter().find(|state| state.condition == Condition::Loading));
    until(|| (host.find(PROJECT, "m", Some("2")).err() == Some(Unserved::NotLoaded)).then_some(()));
    for name in [None, Some("stable"), Some("1")] {
        assert_eq!(host.find(PROJECT, "m", name).unwrap().model.spec.version, "1", "{name:?}");
    }
    go_on.send(()).unwrap();
    until(|| (host.find(PROJECT, "m", Some("stable")).ok()?.model.spec.version == "2").then_some(()));
}

#[test]
fn a_file_that_is_overwritten_with_nonsense_goes_on_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.onnx");
    std::fs::copy(path("boosted"), &file).unwrap();
    let (host, _) = host([spec("1", &file)]);
    let before = ask(&host.find(PROJECT, "m", None).unwrap(), rows(3), u64::MAX).unwrap();
    std::fs::write(&file, "nonsense").unwrap();
    until(|| host.states().into_iter().find(|state| state.condition == Condition::ServingFormer));
    assert_eq!(ask(&host.find(PROJECT, "m", None).unwrap(), rows(3), u64::MAX).unwrap(), before);
}

#[test]
fn requests_that_are_joined_get_the_answers_that_they_get_alone() {
    let batch = BatchSpec { window: Span::from_millis(30), rows_max: Some(16) };
    let joined = ModelSpec { batch: Some(batch), ..spec("2", &path("boosted")) };
    let (host, _) = host([spec("1", &path("boosted")), joined]);
    let alone = host.find(PROJECT, "m", Some("1")).unwrap();
    let joined = host.find(PROJECT, "m", Some("2")).unwrap();
    let (tell, told) = mpsc::channel();
    for count in 1..6 {
        let tell = tell.clone();
        let engine = joined.engine.as_ref().unwrap();
        engine.submit(rows(count), u64::MAX, Box::new(move |outcome| tell.send((count, outcome)).unwrap()));
    }
    for _ in 1..6 {
        let (count, outcome) = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(outcome, ask(&alone, rows(count), u64::MAX), "{count}");
    }
}

#[test]
fn a_question_that_costs_little_is_run_at_once_and_no_other_is() {
    let batch = BatchSpec { window: Span::from_millis(1), rows_max: None };
    let joined = ModelSpec { batch: Some(batch), ..spec("2", &path("boosted")) };
    let (host, _) = host([spec("1", &path("boosted")), joined, spec("3", &path("fixed"))]);
    let engine = |version| host.find(PROJECT, "m", Some(version)).unwrap().engine.clone().unwrap();
    let aside = ask(&host.find(PROJECT, "m", Some("1")).unwrap(), rows(8), u64::MAX);
    assert_eq!(engine("1").run_here(rows(8)), Ok(aside));
    let many = engine("1").run_here(rows(1024));
    assert_eq!(many, Err(rows(1024)), "many rows go to the threads");
    assert_eq!(engine("2").run_here(rows(1)), Err(rows(1)), "what is to be joined goes to the threads");
    let two = vec![Tensor { shape: vec![2, 2], data: Data::F32(vec![1.0; 4]) }];
    assert_eq!(engine("3").run_here(two.clone()), Err(two), "what tract runs goes to the threads");
}

#[test]
fn what_is_done_aside_is_done_on_the_threads_of_the_models() {
    let (host, _) = host([]);
    let (tell, told) = mpsc::channel();
    let work = move || tell.send(std::thread::current().name().map(str::to_owned)).unwrap();
    host.aside(Box::new(work));
    assert!(told.recv_timeout(PATIENCE).unwrap().unwrap().starts_with("model-"));
}

#[test]
fn what_is_past_its_deadline_is_not_run() {
    let (host, _) = host([spec("1", &path("boosted"))]);
    let served = host.find(PROJECT, "m", None).unwrap();
    assert_eq!(ask(&served, rows(1), 1), Err(NotRun::Late));
}

#[test]
fn what_is_no_longer_registered_is_gone() {
    let (host, snapshot) = host([spec("1", &path("boosted"))]);
    let served = host.find(PROJECT, "m", None).unwrap();
    snapshot.replace_tables(tables([]));
    until(|| host.find(PROJECT, "m", None).is_err().then_some(()));
    // Who found it before is still answered.
    assert!(ask(&served, rows(1), u64::MAX).is_ok());
}
