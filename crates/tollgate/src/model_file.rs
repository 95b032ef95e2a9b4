//! Files of models on this host: read within their bound, and tried in a process of their own.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tollgate_control::{ModelTrial, NotTried};
use tollgate_core::predict_spec::ModelSpec;
use tollgate_inference::{FILE_BYTES_MAX, Trial};

/// How long trying a file may take.
const TRIAL_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether it is done.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes of what it says.
const WORDS_BYTES_MAX: u64 = 4096;

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
        problem_of(spec).map_or(Ok(()), Err)
    }
}

fn problem_of(spec: &ModelSpec) -> Option<NotTried> {
    let file = spec.file.as_deref()?;
    match read(Path::new(file)) {
        Err(problem) => Some(NotTried::Unreadable(problem)),
        Ok(bytes) => ChildTrial.run(&bytes, spec).err().map(NotTried::Unfit),
    }
}

/// What is wrong with the file of a model on this host, in words.
pub(crate) fn problem_in_words(spec: &ModelSpec) -> Option<String> {
    problem_of(spec).map(|(NotTried::Unreadable(problem) | NotTried::Unfit(problem))| problem)
}

/// The bytes of a file, or of standard input where it is `-`.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(problem)?;
    } else {
        let open = std::fs::File::open(file).map_err(problem)?;
        open.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(problem)?;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{}: it is larger than {FILE_BYTES_MAX} bytes", file.display()));
    }
    Ok(bytes)
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
