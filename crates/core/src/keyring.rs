//! Every key of the installation, in memory: one lock-free map from digest to record.
//!
//! A record is stored inline and kept small (a million keys cost some 150 MB): what a decision
//! needs and nothing that can be looked up by id. A key with two valid secrets during a rotation
//! has two entries. Revoked keys stay, so that they are refused as revoked and not as unknown.

use ipnet::IpNet;
use papaya::{Compute, HashMap, Operation};

use crate::{
    id::{ConsumerId, KeyId, PolicyId, ProjectId},
    key::{Digest, Environment},
    secret::Secret,
};

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyState {
    /// It may.
    Active = 0,
    /// Switched off by a person, until switched on.
    Disabled = 1,
    /// Blocked by a rule or a person.
    Blocked = 2,
    /// Never again.
    Revoked = 3,
}

impl KeyState {
    /// The word in every API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Blocked => "blocked",
            Self::Revoked => "revoked",
        }
    }

    /// The state with this number; unknown numbers are `Revoked`, for unknown counts as revoked.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Active,
            1 => Self::Disabled,
            2 => Self::Blocked,
            _ => Self::Revoked,
        }
    }
}

/// What a decision needs of one secret of one key.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// The key.
    pub id: KeyId,
    /// Its consumer.
    pub consumer: ConsumerId,
    /// Its project.
    pub project: ProjectId,
    /// Its policy; `None` grants nothing.
    pub policy: Option<PolicyId>,
    /// When the key expires, wall microseconds; `i64::MAX` never.
    pub expires_us: i64,
    /// When this secret stops being valid after a rotation; `i64::MAX` for the current one.
    pub secret_until_us: i64,
    /// The version of the key's row; an older one never replaces a newer (I5).
    pub version: u32,
    /// Which secret of the key this is: 0 for the first, one more at each rotation.
    pub generation: u16,
    /// Whether it may be used.
    pub state: KeyState,
    /// Where it may be used.
    pub environment: Environment,
    /// What the key itself narrows.
    pub narrowing: Option<Box<Narrowing>>,
}

/// What a key narrows beyond its policy; it can never widen it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// The host whose addresses alone may use it.
    pub bind_host: Option<Box<str>>,
    /// Networks that alone may use it.
    pub networks: Option<Box<[IpNet]>>,
}

/// An imported secret whose hash is slow on purpose; found by its prefix and replaced by a fast
/// hash at first use.
#[derive(Clone)]
pub struct SlowSecret {
    /// The hash as imported: a PHC string (argon2) or a modular-crypt string (bcrypt).
    pub hash: Secret<String>,
    /// The record that holds when it verifies.
    pub record: KeyRecord,
}

/// How many keys may share one prefix of a slow import: each costs a slow hash per attempt.
pub const SLOW_SHARING_MAX: usize = 4;

/// All keys.
#[derive(Default)]
pub struct Keyring {
    entries: HashMap<Digest, KeyRecord, PlainHash>,
    slow: HashMap<Digest, Vec<SlowSecret>, PlainHash>,
}

impl Keyring {
    /// An empty keyring with room for this many secrets.
    #[must_use]
    pub fn with_capacity(secrets: usize) -> Self {
        Self {
            entries: HashMap::with_capacity_and_hasher(secrets, PlainHash),
            slow: HashMap::with_hasher(PlainHash),
        }
    }

    /// Puts a record in, unless the one that is there is newer.
    pub fn put(&self, digest: Digest, record: KeyRecord) {
        let guard = self.entries.pin();
        guard.compute(digest, |entry| match entry {
            Some((_, present)) if present.version > record.version => Operation::<_, ()>::Abort(()),
            _ => Operation::Insert(record.clone()),
        });
    }

    /// Takes a record out, unless the one that is there is newer than `version`.
    pub fn remove(&self, digest: &Digest, version: u32) {
        let guard = self.entries.pin();
        let _removed: Compute<'_, _, _, ()> = guard.compute(*digest, |entry| match entry {
            Some((_, present)) if present.version <= version => Operation::Remove,
            _ => Operation::Abort(()),
        });
    }

    /// Looks a digest up and lends the record. Equality of digests compares all 32 bytes in
    /// constant time; the bucket is chosen by the first eight, which tell an attacker nothing that
    /// 155 bits of key would not outlast.
    pub fn find<T>(&self, digest: &Digest, then: impl FnOnce(&KeyRecord) -> T) -> Option<T> {
        self.entries.pin().get(digest).map(then)
    }

    /// Replaces the slow secrets under the digest of a prefix; an empty list removes it.
    pub fn put_slow(&self, prefix: Digest, secrets: Vec<SlowSecret>) {
        let guard = self.slow.pin();
        if secrets.is_empty() {
            guard.remove(&prefix);
        } else {
            guard.insert(prefix, secrets);
        }
    }

    /// The slow secrets under the digest of a prefix, at most [`SLOW_SHARING_MAX`].
    #[must_use]
    pub fn slow_candidates(&self, prefix: &Digest) -> Vec<SlowSecret> {
        self.slow
            .pin()
            .get(prefix)
            .map(|found| found.iter().take(SLOW_SHARING_MAX).cloned().collect())
            .unwrap_or_default()
    }

    /// How many secrets there are, slow ones apart.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Takes a digest's own first bytes as its hash: they are uniform already.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainHash;

/// The hasher of [`PlainHash`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainHasher(u64);

impl std::hash::BuildHasher for PlainHash {
    type Hasher = PlainHasher;

    fn build_hasher(&self) -> PlainHasher {
        PlainHasher(0)
    }
}

impl std::hash::Hasher for PlainHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
