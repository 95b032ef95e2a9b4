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
    /// With this in their name or last four characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub search: Option<String>,
    /// That expire before this moment: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, max_length = 64)]
    pub expires_before: Option<String>,
}

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
    /// The process that ran it ended. What it changed until then stays; start it again for the rest.
    Lost,
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
    /// Keys that were changed; the others were so already, or are revoked.
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
