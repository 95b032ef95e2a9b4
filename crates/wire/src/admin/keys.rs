//! Keys: what is shown of them, and what changes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Named, present};

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// It may.
    Active,
    /// A person switched it off.
    Disabled,
    /// A rule switched it off.
    Blocked,
    /// It is off for good.
    Revoked,
}

/// A key, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Key {
    /// Its id, the same over rotations.
    #[schema(example = "key_5TzX0qLm3aB")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u32,
    /// Its project.
    pub project: Named,
    /// Who holds it.
    pub consumer: Named,
    /// Its policy; without one it is granted nothing.
    pub policy: Option<Named>,
    /// Where it may be used: `live` or `test`.
    #[schema(example = "live")]
    pub environment: String,
    /// What it begins with.
    #[schema(example = "mbk")]
    pub prefix: String,
    /// Its last four characters.
    #[schema(example = "Ab3x")]
    pub last4: String,
    /// Whether it may be used.
    pub state: KeyState,
    /// Whether it has expired.
    pub expired: bool,
    /// Its name for people.
    pub name: Option<String>,
    /// When it expires; `null` never.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// The host whose addresses alone may use it.
    pub bind_host: Option<String>,
    /// Addresses and networks that alone may use it.
    pub allow_ips: Option<Vec<String>>,
    /// Free text by name.
    pub metadata: BTreeMap<String, String>,
    /// When it was created or imported.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Which secret is the current one: 0 the first, one more with each rotation.
    #[schema(example = 0)]
    pub generation: u16,
    /// When any of its secrets was last used, as far as usage was recorded.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
}

/// One secret of a key, without the secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeySecret {
    /// Which one: 0 is the first.
    pub generation: u16,
    /// Whether it is the current one.
    pub current: bool,
    /// When it stops being valid; `null` for the current one.
    #[schema(format = DateTime)]
    pub valid_until: Option<String>,
    /// How it is known: `tollgate`, `sha256`, `sha512`, `hmac-sha256`, `bcrypt`, `argon2`.
    #[schema(example = "tollgate")]
    pub scheme: String,
    /// When it was last used, as far as usage was recorded.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// From where it was last used.
    #[schema(example = "10.2.3.4")]
    pub last_used_address: Option<String>,
}

/// A key with its secrets, the current one first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyWithSecrets {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// Its secrets.
    pub secrets: Vec<KeySecret>,
}

/// A key just created or rotated. This answer is the only place where the key is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreatedKey {
    /// Its id.
    #[schema(example = "key_5TzX0qLm3aB")]
    pub id: String,
    /// The whole key; not there when the answer is a replay for an `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "mbk_live_2fT…")]
    pub key: Option<String>,
    /// What it begins with.
    #[schema(example = "mbk")]
    pub prefix: String,
    /// Where it may be used.
    #[schema(example = "live")]
    pub environment: String,
    /// Its last four characters.
    #[schema(example = "Ab3x")]
    pub last4: String,
    /// Which secret of the key this is.
    #[schema(example = 0)]
    pub generation: u16,
    /// When the secret before this one stops being valid; not there at creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub previous_valid_until: Option<String>,
    /// Why `key` is not there: it is shown once, and was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// Keys just created, in the order they were asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreatedKeys {
    /// The keys.
    pub items: Vec<CreatedKey>,
}

/// What a new key shall be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The project: its name or id.
    #[schema(example = "maps", min_length = 1, max_length = 130)]
    pub project: String,
    /// The consumer: its name in the project.
    #[schema(example = "android-team", min_length = 1, max_length = 64)]
    pub consumer: String,
    /// The policy: its name in the project. A key without one is granted nothing.
    #[serde(default)]
    #[schema(example = "standard", max_length = 64)]
    pub policy: Option<String>,
    /// Where it may be used; `live` when not said.
    #[serde(default)]
    #[schema(example = "live", pattern = "^(live|test)$")]
    pub environment: Option<String>,
    /// A name for people.
    #[serde(default)]
    #[schema(example = "android release", min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// When it expires: `90d`, `12h`, RFC 3339, or `never`; never when not said.
    #[serde(default)]
    #[schema(example = "90d", max_length = 64)]
    pub expires: Option<String>,
    /// The host whose addresses alone may use it.
    #[serde(default)]
    #[schema(example = "build-7.example.com", min_length = 1, max_length = 254)]
    pub bind_host: Option<String>,
    /// Addresses and networks that alone may use it; an empty list lets nobody.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub allow_ips: Option<Vec<String>>,
    /// Free text by name, at most 64 entries.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// Many keys at once, all or none.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKeys {
    /// The keys, 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    pub keys: Vec<NewKey>,
}

/// What is changed about a key. What is not there stays; `null` takes away.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Its name for people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "android release", min_length = 1, max_length = 200)]
    pub name: Option<Option<String>>,
    /// The policy: its name in the project. Without one the key is granted nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "standard", max_length = 64)]
    pub policy: Option<Option<String>>,
    /// When it expires: `90d` from now, RFC 3339, or `never`.
    #[serde(default)]
    #[schema(example = "90d", max_length = 64)]
    pub expires: Option<String>,
    /// Free text by name; replaces all that was there.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// How a key is rotated.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// How long the present secret stays valid: `24h` when not said, `0s` not at all.
    #[serde(default)]
    #[schema(example = "24h", pattern = "^[0-9]{1,9}(ms|s|m|h|d|w)$")]
    pub overlap: Option<String>,
}

/// How waiting for all nodes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Waited {
    /// Every node has applied it.
    AllApplied,
    /// Nodes that did not answer have stopped trusting what they knew.
    LeaseElapsed,
}

/// A key that is revoked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevokedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// How waiting ended; not there without `wait=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited: Option<Waited>,
}
