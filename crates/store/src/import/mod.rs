//! Keys from elsewhere: imported with the hash they have, replaced by the fast one at first use.

mod chunk;
mod read;
mod rehash;
mod run;
mod schemes;

pub(crate) use read::from_hex;

use std::collections::BTreeMap;

use tollgate_core::{
    id::KeyId,
    key::{Digest, Environment},
    secret::Secret,
};

/// The most rows of one import.
pub const IMPORT_ROWS_MAX: u64 = 10_000_000;

/// How imported hashes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, either case.
    #[default]
    Hex,
    /// Base64, standard or URL alphabet, with or without padding.
    Base64,
}

/// How the imported secrets are known.
#[derive(Clone, Debug)]
pub enum ImportScheme {
    /// The credentials themselves; hashed here, never stored.
    Plain,
    /// SHA-256 of the credential.
    Sha256(Encoding),
    /// SHA-512 of the credential.
    Sha512(Encoding),
    /// HMAC-SHA-256 of the credential.
    HmacSha256 {
        /// How the hashes are written.
        encoding: Encoding,
        /// The key of the HMAC.
        secret: Secret<Vec<u8>>,
    },
    /// bcrypt (`$2a$`, `$2b$`, `$2y$`), costs 4 to 16. Rows need a `prefix`.
    Bcrypt,
    /// argon2 PHC strings, at most 256 MiB of memory. Rows need a `prefix`.
    Argon2,
}

/// What holds for a whole import.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The project, `name` or `tenant/name`.
    pub project: String,
    /// How the secrets are known.
    pub scheme: ImportScheme,
    /// The environment of rows that name none.
    pub environment: Environment,
    /// The consumer of rows that name none.
    pub consumer: Option<String>,
    /// The policy of rows that name none.
    pub policy: Option<String>,
    /// Check everything, change nothing.
    pub dry_run: bool,
}

/// One key to import.
#[derive(Clone, Debug)]
pub struct ImportRow {
    /// Where it stands in the file, for the report.
    pub line: u64,
    /// The credential or its hash, as the scheme says.
    pub secret: Secret<String>,
    /// The beginning of the credential, at least 6 characters; needed by bcrypt and argon2, which
    /// are found by it.
    pub prefix: Option<String>,
    /// Its last four characters, to recognise it by.
    pub last4: Option<String>,
    /// Who holds it; created as `partner` when there is none of that name.
    pub consumer: Option<String>,
    /// Its policy.
    pub policy: Option<String>,
    /// Its environment.
    pub environment: Option<Environment>,
    /// A name for people.
    pub name: Option<String>,
    /// When it expires, wall microseconds; may be past, the key is then refused as expired.
    pub expires_us: Option<i64>,
    /// Free text by name.
    pub metadata: BTreeMap<String, String>,
}

/// A row that was not imported because its secret is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportCollision {
    /// The row.
    pub line: u64,
    /// The earlier line of the same import with the same secret, when it is one.
    pub with_line: Option<u64>,
    /// The key of the database with the same secret, when it is one.
    pub with_key: Option<KeyId>,
}

/// A row that was not imported because something is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReject {
    /// The row.
    pub line: u64,
    /// What is wrong and what to do about it.
    pub reason: String,
}

/// What an import did, or with `dry_run` would do.
#[derive(Clone, Debug, Default)]
pub struct ImportReport {
    /// Keys imported.
    pub accepted: u64,
    /// Consumers created for them.
    pub consumers_created: u64,
    /// Rows whose secret is there already.
    pub collisions: Vec<ImportCollision>,
    /// Rows with something wrong.
    pub rejected: Vec<ImportReject>,
    /// The number of the last change; 0 when nothing changed.
    pub seq: u64,
}

/// A slow or foreign hash to be replaced by the fast one, after it verified.
#[derive(Clone, Copy, Debug)]
pub struct Rehash {
    /// The key.
    pub key: KeyId,
    /// Which secret of it.
    pub generation: u16,
    /// SHA-256 of the credential that verified.
    pub digest: Digest,
}
