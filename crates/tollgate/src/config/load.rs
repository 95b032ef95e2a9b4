//! Finds the layers of the configuration on disk and in the environment.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Config, Sources, parse};
use crate::located::Located;

/// The configuration file's name when none is given.
const FILE_NAME: &str = "tollgate.toml";
/// The largest configuration file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--config`; `tollgate.toml` if present when not given.
    pub file: Option<PathBuf>,
    /// `--data-dir`.
    pub data_dir: PathBuf,
    /// `--set section.name=value`.
    pub flags: Vec<(String, String)>,
}

/// The configuration cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {problem}; give the right file with --config", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Settings are wrong: all of them are listed.
    #[error("{}", listed(.0))]
    Settings(Vec<Located>),
}

fn listed(errors: &[Located]) -> String {
    let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
    let noun = if errors.len() == 1 { "1 setting is" } else { &format!("{} settings are", errors.len()) };
    format!("the configuration cannot be used, {noun} wrong:\n{}", lines.join("\n"))
}

/// Reads the configuration.
///
/// # Errors
/// [`LoadError`], with everything that is wrong at once.
pub fn load(options: Options) -> Result<Config, LoadError> {
    let file = match &options.file {
        Some(path) => Some((path.display().to_string(), read(path)?)),
        None if Path::new(FILE_NAME).exists() => Some((FILE_NAME.to_owned(), read(Path::new(FILE_NAME))?)),
        None => None,
    };
    let sources =
        Sources { file, environment: environment(), flags: options.flags, data_dir: options.data_dir };
    parse(&sources).map_err(LoadError::Settings)
}

/// The environment variables that may be ours.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("TOLLGATE_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        })
        .collect()
}

fn read(path: &Path) -> Result<String, LoadError> {
    let wrong = |problem: String| LoadError::File { path: path.to_owned(), problem };
    let size = std::fs::metadata(path).map_err(|error| wrong(reason(&error)))?.len();
    if size > FILE_BYTES_MAX {
        return Err(wrong(format!("it has {size} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    std::fs::read_to_string(path).map_err(|error| wrong(reason(&error)))
}

/// An I/O error in plain words.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
