//! Keys as the command line shows them: the JSON of `keys …` and its table.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;
use tollgate_core::{id::KeyId, key::Environment, keyring::KeyState};
use tollgate_store::{CreatedKey, KeyDetail, KeySecret, KeyView};

use crate::{cli::time::rfc3339, print};

/// The answer of create and rotate: the only place where the whole key is.
#[derive(Serialize)]
pub(super) struct Created<'a> {
    pub(super) id: KeyId,
    pub(super) key: &'a str,
    pub(super) prefix: &'a str,
    pub(super) environment: Environment,
    pub(super) last4: &'a str,
    pub(super) generation: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) previous_valid_until: Option<String>,
}

impl<'a> Created<'a> {
    pub(super) fn of(created: &'a CreatedKey) -> Self {
        Self {
            id: created.id,
            key: created.key.expose(),
            prefix: &created.face.prefix,
            environment: created.face.environment,
            last4: &created.face.last4,
            generation: created.generation,
            previous_valid_until: created.previous_until_us.map(rfc3339),
        }
    }

    pub(super) fn in_words(&self) -> String {
        let fields = print::fields(&[
            ("id", self.id.to_string()),
            ("key", self.key.to_owned()),
            (
                "old secret",
                self.previous_valid_until
                    .as_ref()
                    .map_or_else(String::new, |until| format!("valid until {until}")),
            ),
        ]);
        format!("{fields}\nKeep the key now: it is not stored and cannot be shown again.")
    }
}

/// A key as it may be shown.
#[derive(Serialize)]
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) tenant: String,
    pub(super) project: String,
    pub(super) consumer: String,
    pub(super) policy: Option<String>,
    pub(super) environment: Environment,
    pub(super) prefix: String,
    pub(super) last4: String,
    pub(super) state: &'static str,
    pub(super) expired: bool,
    pub(super) name: Option<String>,
    pub(super) expires_at: Option<String>,
    pub(super) bind_host: Option<String>,
    pub(super) allow_ips: Option<Vec<String>>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created_at: String,
    pub(super) generation: u16,
    pub(super) version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secrets: Option<Vec<Secret>>,
}

/// One secret of a key.
#[derive(Serialize)]
pub(super) struct Secret {
    generation: u16,
    current: bool,
    valid_until: Option<String>,
    scheme: &'static str,
    last_used_at: Option<String>,
    last_used_address: Option<IpAddr>,
}

impl Key {
    pub(super) fn of(view: KeyView, now_us: i64) -> Self {
        let expired = view.state == KeyState::Active && view.expires_us.is_some_and(|at| at <= now_us);
        Self {
            id: view.id,
            tenant: view.tenant.name,
            project: view.project.name,
            consumer: view.consumer.name,
            policy: view.policy.map(|policy| policy.name),
            environment: view.face.environment,
            prefix: view.face.prefix,
            last4: view.face.last4,
            state: view.state.name(),
            expired,
            name: view.name,
            expires_at: view.expires_us.map(rfc3339),
            bind_host: view.bind_host,
            allow_ips: view.allow_ips,
            metadata: view.metadata,
            created_at: rfc3339(view.created_us),
            generation: view.generation,
            version: view.version,
            secrets: None,
        }
    }

    pub(super) fn with_secrets(detail: KeyDetail, now_us: i64) -> Self {
        let secrets = detail.secrets.iter().map(Secret::of).collect();
        Self { secrets: Some(secrets), ..Self::of(detail.key, now_us) }
    }

    fn state_in_words(&self) -> String {
        if self.expired { "expired".to_owned() } else { self.state.to_owned() }
    }

    /// What is shown of the secret itself: `mbk_live_…Ab3x`.
    fn face(&self) -> String {
        format!("{}_{}_…{}", self.prefix, self.environment, self.last4)
    }

    pub(super) fn row(&self) -> [String; 8] {
        [
            self.id.to_string(),
            self.face(),
            self.state_in_words(),
            format!("{}/{}", self.tenant, self.project),
            self.consumer.clone(),
            self.policy.clone().unwrap_or_else(|| "none".to_owned()),
            self.expires_at.clone().unwrap_or_else(|| "never".to_owned()),
            self.name.clone().unwrap_or_default(),
        ]
    }

    pub(super) const HEADER: [&str; 8] =
        ["id", "key", "state", "project", "consumer", "policy", "expires", "name"];

    pub(super) fn in_words(&self) -> String {
        let metadata: Vec<String> =
            self.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut text = print::fields(&[
            ("id", self.id.to_string()),
            ("key", self.face()),
            ("state", self.state_in_words()),
            ("name", self.name.clone().unwrap_or_default()),
            ("project", format!("{}/{}", self.tenant, self.project)),
            ("consumer", self.consumer.clone()),
            ("policy", self.policy.clone().unwrap_or_else(|| "none: it is granted no service".to_owned())),
            ("expires", self.expires_at.clone().unwrap_or_else(|| "never".to_owned())),
            ("bound to host", self.bind_host.clone().unwrap_or_default()),
            ("only from", self.allow_ips.as_ref().map(|list| list.join(", ")).unwrap_or_default()),
            ("metadata", metadata.join(", ")),
            ("created", self.created_at.clone()),
        ]);
        if let Some(secrets) = &self.secrets {
            let rows = secrets.iter().map(Secret::row);
            text.push('\n');
            text.push_str(&print::table(["secret", "scheme", "valid", "last used", "from"], rows));
        }
        text
    }
}

impl Secret {
    fn of(secret: &KeySecret) -> Self {
        Self {
            generation: secret.generation,
            current: secret.until_us.is_none(),
            valid_until: secret.until_us.map(rfc3339),
            scheme: secret.scheme,
            last_used_at: secret.last_used_us.map(rfc3339),
            last_used_address: secret.last_used_address,
        }
    }

    fn row(&self) -> [String; 5] {
        [
            self.generation.to_string(),
            self.scheme.to_owned(),
            self.valid_until.as_ref().map_or_else(|| "current".to_owned(), |until| format!("until {until}")),
            self.last_used_at.clone().unwrap_or_else(|| "never".to_owned()),
            self.last_used_address.map(|address| address.to_string()).unwrap_or_default(),
        ]
    }
}
