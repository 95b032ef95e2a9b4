//! Jobs: the same change to many keys, with progress.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::KeyState;

/// Which keys a job changes; what is not there restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySelection {
    /// Of this project: its name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "maps", max_length = 130)]
    pub project: Option<String>,
    /// Of this consumer: its id, or with `project` its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "android-team", max_length = 64)]
    pub consumer: Option<String>,
    /// With this policy: its id, or with `project` its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "standard", max_length = 64)]
    pub policy: Option<String>,
    /// Of this environment: `live` or `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "test", pattern = "^(live|test)$")]
    pub environment: Option<String>,
    /// In this state when their turn comes: `active`, `disabled`, `blocked` or `revoked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "active", pattern = "^(active|disabled|blocked|revoked)$")]
    pub state: Option<String>,
    /// With this metadata: `name=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "wave=1", max_length = 1100, pattern = "^[^=]+=.*$")]
    pub metadata: Option<String>,
    /// With this in their name or last four characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub search: Option<String>,
    /// That expire before this moment: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, max_length = 64)]
    pub expires_before: Option<String>,
}

/// Free text by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tags(pub BTreeMap<String, String>);

/// A change to many keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum NewJob {
    /// Revoke them for good.
    Revoke {
        /// Which; at least one field must be said.
        keys: KeySelection,
    },
    /// Switch them off.
    Disable {
        /// Which; at least one field must be said.
        keys: KeySelection,
    },
    /// Switch them on; revoked ones stay revoked.
    Enable {
        /// Which; at least one field must be said.
        keys: KeySelection,
    },
    /// Change their metadata.
    Tag {
        /// Which; at least one field must be said.
        keys: KeySelection,
        /// Set to these values.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[schema(value_type = Tags)]
        set: BTreeMap<String, String>,
        /// Taken away.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<String>,
    },
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It goes on.
    Running,
    /// It is done.
    Done,
    /// It ended with an error; what it changed until then stays.
    Failed,
    /// Somebody ended it; what it changed until then stays.
    Cancelled,
    /// The process that ran it ended. Within a minute or two another one goes on where it was.
    Lost,
}

/// What a job would be about, as far as it can be told before.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobPreview {
    /// Keys that the selection finds.
    pub keys: u64,
    /// Those that are not revoked.
    pub live: u64,
    /// Those that were used within the last day.
    pub used: u64,
    /// Addresses that they were last used from within the last day.
    pub addresses: u64,
    /// When any of them was last used within the last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
}

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Job {
    /// Its id.
    #[schema(example = "job_6yHn7uJm8iK")]
    pub id: String,
    /// What was asked for.
    pub request: NewJob,
    /// Who started it.
    #[schema(example = "usr_2wErT3yUi4o")]
    pub actor: String,
    /// How far it is.
    pub state: JobState,
    /// Keys that were found when it began.
    pub total: u64,
    /// Keys that were looked at so far.
    pub done: u64,
    /// Keys that were changed, each once and with the job in its audit entry; the others were so already, or
    /// are revoked. List them with `GET /keys?job=`.
    pub changed: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it began.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it last went on.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl NewJob {
    /// Which keys it is about.
    #[must_use]
    pub const fn keys(&self) -> &KeySelection {
        match self {
            Self::Revoke { keys }
            | Self::Disable { keys }
            | Self::Enable { keys }
            | Self::Tag { keys, .. } => keys,
        }
    }

    /// The state that it puts keys into, where it does.
    #[must_use]
    pub const fn state(&self) -> Option<KeyState> {
        match self {
            Self::Revoke { .. } => Some(KeyState::Revoked),
            Self::Disable { .. } => Some(KeyState::Disabled),
            Self::Enable { .. } => Some(KeyState::Active),
            Self::Tag { .. } => None,
        }
    }
}
