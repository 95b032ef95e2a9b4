//! The settings of secrets that are kept encrypted: where the keys are.

use std::path::PathBuf;

use super::{
    people::setting,
    settings::{Setting, put},
    value::path,
};

/// How secrets are kept.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The file of keys; `secrets.key` in the data folder when not set.
    pub key_file: Option<PathBuf>,
}

impl super::Config {
    /// The file of the keys that secrets are encrypted under.
    #[must_use]
    pub fn secrets_key_file(&self) -> PathBuf {
        self.secrets.key_file.clone().unwrap_or_else(|| self.data_dir.join("secrets.key"))
    }
}

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[setting(
    ("secrets.key_file", "path of a file", ""),
    "The keys that credentials of providers, second factors and the keys of imported HMACs are encrypted under in the database. When not set, `secrets.key` in the data folder. With SQLite it is made at first need, for this user alone; with PostgreSQL by `tollgate secrets seal`, for every node needs the same one. Keep a copy of it apart from backups of the database: without it those secrets cannot be read any more.",
    |written, config| put(&mut config.secrets.key_file, path(written).map(Some)),
)];
