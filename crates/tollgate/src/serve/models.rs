//! Models of this node: held by the host of `inference`, tried in a process of their own.

use std::{
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tollgate_control::{ModelTrial, NotTried};
use tollgate_core::{
    predict_spec::ModelSpec,
    serving::{Models, NoModels},
    tables::Snapshot,
    time::Clock,
};
use tollgate_inference::{Host, HostOptions, Trial};

use crate::{cli::Role, config::Config, failure::Failure};

/// How long trying a file may take.
const TRIAL_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether it is done.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes of what it says.
const WORDS_BYTES_MAX: u64 = 4096;

/// Starts the host where requests are answered. What is registered is loaded before it returns.
pub(super) async fn start(
    (config, roles): (&Config, &[Role]),
    snapshot: &Arc<Snapshot>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<Host>>, Failure> {
    if !roles.contains(&Role::Gateway) {
        return Ok(None);
    }
    let options = HostOptions {
        snapshot: Arc::clone(snapshot),
        clock: Arc::clone(clock),
        threads: usize::from(super::listeners::lanes(config)),
        trial: Arc::new(ChildTrial),
    };
    let started = tokio::task::spawn_blocking(move || Host::start(options)).await.map_err(Failure::failed)?;
    let host = started.map_err(|error| Failure::failed(format!("models cannot be run: {error}")))?;
    Ok(Some(Arc::new(host)))
}

/// The gateway's end.
pub(super) fn port(host: Option<&Arc<Host>>) -> Arc<dyn Models> {
    match host {
        Some(host) => Arc::clone(host) as Arc<dyn Models>,
        None => Arc::new(NoModels),
    }
}

/// Tries a file with `tollgate models check` in a process of its own: what makes the operators fall over, or never
/// ends, ends that process and not this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildTrial;

impl Trial for ChildTrial {
    fn run(&self, bytes: &[u8], spec: &ModelSpec) -> Result<(), String> {
        let sample = serde_json::to_string(&spec.sample).map_err(|error| error.to_string())?;
        let own = std::env::current_exe().map_err(|error| format!("it cannot be tried: {error}"))?;
        let child = Command::new(own)
            .args(["models", "check", "-", "--trial"])
            .arg(sample)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| format!("it cannot be tried: {error}"))?;
        let (input, words) = (child.stdin.take(), child.stderr.take());
        std::thread::scope(|threads| {
            threads.spawn(move || {
                // A process that ended early has said why.
                let _written = input.map(|mut input| input.write_all(bytes));
            });
            let said = threads.spawn(move || {
                let mut said = String::new();
                let _read = words.map(|words| words.take(WORDS_BYTES_MAX).read_to_string(&mut said));
                said
            });
            let ended = wait(&mut child);
            let said = said.join().unwrap_or_default();
            match ended {
                Err(problem) => Err(problem),
                Ok(status) if status.success() => Ok(()),
                Ok(status) if status.code().is_some() && !said.is_empty() => {
                    Err(said.trim().trim_start_matches("error: ").to_owned())
                }
                Ok(status) => Err(format!("trying it ended with {status}; it may be damaged")),
            }
        })
    }
}

/// For the control listener: what is written of a model is tried before it is kept.
impl ModelTrial for ChildTrial {
    fn attempt(&self, spec: &ModelSpec) -> Result<(), NotTried> {
        crate::commands::problem_of_model(spec).map_or(Ok(()), Err)
    }
}

fn wait(child: &mut Child) -> Result<std::process::ExitStatus, String> {
    let mut left = TRIAL_MAX;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if left > LOOK => {
                left -= LOOK;
                std::thread::sleep(LOOK);
            }
            Ok(None) => {
                let (_killed, _waited) = (child.kill(), child.wait());
                return Err(format!("trying it took longer than {} s", TRIAL_MAX.as_secs()));
            }
            Err(error) => return Err(format!("it cannot be tried: {error}")),
        }
    }
}
