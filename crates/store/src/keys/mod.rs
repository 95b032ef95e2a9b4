//! Keys: creating, finding, switching, rotating. A key's text exists in the answers of create and
//! rotate and nowhere else (I6); rows hold its SHA-256.

mod bulk;
mod create;
mod edit;
mod finish;
mod list;
mod rotate;
mod row;
mod show;
mod state;

use std::{collections::BTreeMap, net::IpAddr};

use tollgate_core::{
    id::{ConsumerId, JobId, KeyId, PolicyId, ProjectId, TenantId},
    key::{Environment, KeyFace, KeyText},
    keyring::KeyState,
};

use crate::named::Named;

pub use create::KEYS_AT_ONCE_MAX;
pub(crate) use create::check_name_for_people;
pub(crate) use row::{
    KeyRow, NarrowingText, SecretRow, environment, insert_keys, insert_secrets, small, state,
};
pub(crate) use show::address;

/// What a new key shall be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The project, `name` or `tenant/name`.
    pub project: String,
    /// The consumer's name in the project.
    pub consumer: String,
    /// The policy's name in the project; a key without one is granted nothing.
    pub policy: Option<String>,
    /// Where it may be used.
    pub environment: Environment,
    /// A name for people, at most 200 bytes.
    pub name: Option<String>,
    /// When it expires, wall microseconds; later than now.
    pub expires_us: Option<i64>,
    /// The host whose addresses alone may use it.
    pub bind_host: Option<String>,
    /// Addresses and networks that alone may use it; an empty list lets nobody.
    pub allow_ips: Option<Vec<String>>,
    /// Free text by name, at most 64 entries.
    pub metadata: BTreeMap<String, String>,
}

/// A key just created or rotated: the only place where its text is.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    /// Its id.
    pub id: KeyId,
    /// The whole key.
    pub key: KeyText,
    /// What may be shown of it from now on.
    pub face: KeyFace,
    /// Which secret of the key this is: 0 at creation.
    pub generation: u16,
    /// When the secret before this one stops being valid; `None` at creation.
    pub previous_until_us: Option<i64>,
}

/// How a key is rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Which key.
    pub id: KeyId,
    /// How long the present secret stays valid, microseconds, at least 0.
    pub overlap_us: i64,
}

/// A key as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its id.
    pub id: KeyId,
    /// Its tenant.
    pub tenant: Named<TenantId>,
    /// Its project.
    pub project: Named<ProjectId>,
    /// Who holds it.
    pub consumer: Named<ConsumerId>,
    /// Its policy.
    pub policy: Option<Named<PolicyId>>,
    /// Prefix, environment, last four characters.
    pub face: KeyFace,
    /// Whether it may be used.
    pub state: KeyState,
    /// Its name for people.
    pub name: Option<String>,
    /// When it expires; `None` never.
    pub expires_us: Option<i64>,
    /// The host it is bound to.
    pub bind_host: Option<String>,
    /// Networks that alone may use it.
    pub allow_ips: Option<Vec<String>>,
    /// Free text by name.
    pub metadata: BTreeMap<String, String>,
    /// When it was created or imported.
    pub created_us: i64,
    /// The version of its row.
    pub version: u32,
    /// Which secret is the current one.
    pub generation: u16,
    /// When any of its secrets was last used, as far as usage was shipped.
    pub last_used_us: Option<i64>,
}

/// A key with its secrets, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDetail {
    /// The key.
    pub key: KeyView,
    /// Its secrets, the current one first.
    pub secrets: Vec<KeySecret>,
}

/// One secret of a key, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySecret {
    /// Which one: 0 is the first.
    pub generation: u16,
    /// When it stops being valid; `None` for the current one.
    pub until_us: Option<i64>,
    /// How it is known: `tollgate`, `sha256`, `sha512`, `hmac-sha256`, `bcrypt`, `argon2`.
    pub scheme: &'static str,
    /// When it was last used, as far as usage was shipped.
    pub last_used_us: Option<i64>,
    /// From where it was last used.
    pub last_used_address: Option<IpAddr>,
}

/// Which keys; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of these consumers only; none of them, no key.
    pub consumers: Option<Vec<ConsumerId>>,
    /// Of this project, `name` or `tenant/name`.
    pub project: Option<String>,
    /// Of this consumer: its name, with `project`, or its id.
    pub consumer: Option<String>,
    /// With this policy: its name, with `project`, or its id.
    pub policy: Option<String>,
    /// In this state.
    pub state: Option<KeyState>,
    /// Of this environment.
    pub environment: Option<Environment>,
    /// With this in their name or last four characters, whatever the case.
    pub search: Option<String>,
    /// With this metadata: a name and its value.
    pub metadata: Option<(String, String)>,
    /// That expire before this moment, wall microseconds.
    pub expires_before_us: Option<i64>,
    /// That were created up to this moment.
    pub created_until_us: Option<i64>,
    /// That this job changed.
    pub job: Option<JobId>,
    /// That somebody was reminded of, for this reason, which is still so.
    pub attention: Option<crate::reminders::ReminderKind>,
}

/// What is changed about a key; what is `None` stays as it is.
#[derive(Clone, Debug)]
pub struct KeyEdit {
    /// Which key.
    pub id: KeyId,
    /// The version that was read; `None` whatever it is.
    pub version: Option<u32>,
    /// Its name for people; `Some(None)` takes it away.
    pub name: Option<Option<String>>,
    /// The policy's name in the project; `Some(None)` takes it away, and the key is granted nothing.
    pub policy: Option<Option<String>>,
    /// When it expires, wall microseconds; `Some(None)` never.
    pub expires_us: Option<Option<i64>>,
    /// Free text by name; replaces all that was there.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// What is done to many keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkEdit {
    /// They are put in this state. Those that are revoked stay so.
    State(KeyState),
    /// Their metadata is changed.
    Tag {
        /// Set to these values.
        set: BTreeMap<String, String>,
        /// Taken away.
        remove: Vec<String>,
    },
}

/// What became of a step of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStep {
    /// There is more to do.
    More,
    /// It was the last one.
    Done,
    /// The job has ended, or another process works on it; nothing was changed.
    NotOurs,
}

/// What a change to many keys would be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysPreview {
    /// Keys that the filter finds.
    pub keys: u64,
    /// Those that are not revoked.
    pub live: u64,
    /// Those that were used since the moment that was asked for.
    pub used: u64,
    /// Addresses that their secrets were last used from since then.
    pub addresses: u64,
    /// When any of them was last used, wall microseconds.
    pub last_used_us: Option<i64>,
}
