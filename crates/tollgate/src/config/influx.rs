//! The settings of the InfluxDB that points of services of kind `metrics` go to.

use std::{path::PathBuf, sync::Arc};

use tollgate_core::secret::Secret;
use tollgate_store::Policy;
use tollgate_workers::{InfluxOptions, InfluxTarget};

use super::{
    people::setting,
    settings::{Setting, put},
    value::{choice, path, text},
};

/// Settings of InfluxDB.
#[derive(Debug, Default)]
pub struct Influx {
    /// Where it is; points are only kept when not set.
    pub url: Option<String>,
    /// The database of InfluxDB 1.x.
    pub database: Option<String>,
    /// Who writes to 1.x.
    pub user: Option<String>,
    /// Their password.
    pub password: Option<Arc<Secret<String>>>,
    /// The organisation of InfluxDB 2.x.
    pub org: Option<String>,
    /// Its bucket.
    pub bucket: Option<String>,
    /// The token for 2.x.
    pub token: Option<Arc<Secret<String>>>,
    /// PEM file of the authorities to believe.
    pub ca_file: Option<PathBuf>,
    /// What happens to later points of a tenant when one is not taken.
    pub poison: &'static str,
}

impl Influx {
    /// How it is reached, where points go there.
    #[must_use]
    pub fn options(&self) -> Option<InfluxOptions> {
        let url = self.url.clone()?;
        let target = match (&self.database, &self.bucket) {
            (Some(database), None) => InfluxTarget::Database {
                name: database.clone(),
                user: self.user.clone().zip(self.password.clone()),
            },
            (None, Some(bucket)) => InfluxTarget::Bucket {
                org: self.org.clone()?,
                name: bucket.clone(),
                token: self.token.clone(),
            },
            // Refused when the settings were read.
            (None, None) | (Some(_), Some(_)) => return None,
        };
        Some(InfluxOptions { url, target, ca_file: self.ca_file.clone() })
    }

    /// What happens to later points of a tenant when one is not taken.
    #[must_use]
    pub fn policy(&self) -> Policy {
        if self.poison == "hold" { Policy::Hold } else { Policy::Skip }
    }

    /// What is wrong with the settings together.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        match (&self.url, &self.database, &self.bucket) {
            (Some(_), None, None) => Some((
                "influx.url",
                "say where points go there: `influx.database` for InfluxDB 1.x, `influx.org` and `influx.bucket` for 2.x",
            )),
            (Some(_), Some(_), Some(_)) => Some((
                "influx.bucket",
                "`influx.database` is set too; InfluxDB 1.x has databases and 2.x has buckets, so leave one away",
            )),
            _ => None,
        }
    }
}

/// Settings of which one needs the others.
pub(super) const TOGETHER: &[(&str, &str)] = &[
    ("influx.database", "influx.url"),
    ("influx.bucket", "influx.url"),
    ("influx.bucket", "influx.org"),
    ("influx.org", "influx.bucket"),
    ("influx.token", "influx.bucket"),
    ("influx.user", "influx.password"),
    ("influx.password", "influx.user"),
    ("influx.user", "influx.database"),
];

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        (
            "influx.url",
            "`http://HOST:PORT` or `https://HOST`, with a path if there is one before `/write`",
            "",
        ),
        "The InfluxDB that points of services of kind `metrics` go to, from nodes with the role `workers`. When not set, points are kept as records and can be queried.",
        |written, config| put(&mut config.influx.url, text(written).and_then(url).map(Some)),
    ),
    setting(
        ("influx.database", "name of a database", ""),
        "InfluxDB 1.x: the database, which must be there. Points go to its default retention policy.",
        |written, config| put(&mut config.influx.database, text(written).map(Some)),
    ),
    setting(("influx.user", "text", ""), "InfluxDB 1.x: who writes, where it asks.", |written, config| {
        put(&mut config.influx.user, text(written).map(Some))
    }),
    setting(
        ("influx.password", "text", ""),
        "InfluxDB 1.x: the password of `influx.user`; best given in the environment.",
        |written, config| {
            put(&mut config.influx.password, text(written).map(|text| Some(Arc::new(Secret::new(text)))))
        },
    ),
    setting(
        ("influx.org", "name or id of an organisation", ""),
        "InfluxDB 2.x: the organisation of the bucket.",
        |written, config| put(&mut config.influx.org, text(written).map(Some)),
    ),
    setting(
        ("influx.bucket", "name or id of a bucket", ""),
        "InfluxDB 2.x: the bucket, which must be there.",
        |written, config| put(&mut config.influx.bucket, text(written).map(Some)),
    ),
    setting(
        ("influx.token", "text", ""),
        "InfluxDB 2.x: a token that may write to the bucket; best given in the environment.",
        |written, config| {
            put(&mut config.influx.token, text(written).map(|text| Some(Arc::new(Secret::new(text)))))
        },
    ),
    setting(
        ("influx.ca_file", "path of a file", ""),
        "PEM file of the authorities that InfluxDB's certificate must come from, instead of the system's.",
        |written, config| put(&mut config.influx.ca_file, path(written).map(Some)),
    ),
    setting(
        ("influx.poison", "`skip` or `hold`", "skip"),
        "What happens to the later points of a tenant when InfluxDB never takes one, for example because its field has another type there: they go on without it, or wait for `tollgate outbox retry` or `skip`.",
        |written, config| put(&mut config.influx.poison, choice(written, &["skip", "hold"])),
    ),
];

fn url(text: String) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || rest.contains(['?', '#', '@', ' ']) {
        return Err(format!(
            "`{text}` is no address of InfluxDB; write `http://influx:8086`, and user or token as settings of their own"
        ));
    }
    Ok(text)
}
