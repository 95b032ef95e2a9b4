//! The settings of the audit's seals: which key signs them, where they go.

use std::path::PathBuf;

use tollgate_workers::SyslogAddress;

use super::{
    people::setting,
    settings::{Setting, put},
    value::{path, text},
};

/// How the audit is sealed, and where the seals go.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// The signing key; `audit-key.pk8` in the data folder when not set.
    pub key_file: Option<PathBuf>,
    /// Where checkpoints are appended; `audit-checkpoints.jsonl` in the data folder when not set.
    pub checkpoint_file: Option<PathBuf>,
    /// The system log that gets them too.
    pub syslog: Option<SyslogAddress>,
}

impl super::Config {
    /// The file of the key that signs checkpoints.
    #[must_use]
    pub fn audit_key_file(&self) -> PathBuf {
        self.audit.key_file.clone().unwrap_or_else(|| self.data_dir.join("audit-key.pk8"))
    }

    /// The file that checkpoints are appended to.
    #[must_use]
    pub fn audit_checkpoint_file(&self) -> PathBuf {
        self.audit.checkpoint_file.clone().unwrap_or_else(|| self.data_dir.join("audit-checkpoints.jsonl"))
    }
}

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        ("audit.key_file", "path of a file", ""),
        "The Ed25519 key (PKCS#8, DER) that signs checkpoints of the audit. When not set, `audit-key.pk8` in the data folder. It is made at first need, for this user alone. `tollgate audit public-key` prints its public half: keep that elsewhere.",
        |written, config| put(&mut config.audit.key_file, path(written).map(Some)),
    ),
    setting(
        ("audit.checkpoint_file", "path of a file", ""),
        "Where nodes with the role `workers` append a signed checkpoint of the audit, within a minute of a change. When not set, `audit-checkpoints.jsonl` in the data folder. Best on a disk that whoever administers the database cannot write.",
        |written, config| put(&mut config.audit.checkpoint_file, path(written).map(Some)),
    ),
    setting(
        ("audit.syslog", "`udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:///dev/log`", ""),
        "A system log that gets each checkpoint too (RFC 5424, facility `log audit`). Over TCP messages carry their length (RFC 6587).",
        |written, config| {
            put(&mut config.audit.syslog, text(written).and_then(|text| text.parse().map(Some)))
        },
    ),
];
