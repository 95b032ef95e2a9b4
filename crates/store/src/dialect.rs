//! All that differs between the two engines: how they are reached, what is said to a new
//! connection, how transactions begin, and a handful of spellings.

use std::path::PathBuf;

use crate::error::StoreError;

/// The database behind a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file, opened in this process.
    Sqlite,
    /// A server.
    Postgres,
}

/// Where a database is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) engine: Engine,
    /// What sqlx takes.
    pub(crate) url: String,
    /// The file, for SQLite.
    pub(crate) file: Option<PathBuf>,
}

/// SQLite before 3.51.3 can corrupt a WAL database that two threads write or checkpoint at the same
/// instant ("WAL-reset bug", SQLite's release notes of 3.51.3).
pub(crate) const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// The first PostgreSQL that has everything used here.
pub(crate) const POSTGRES_VERSION_MIN: u32 = 110_000;

/// 16 MiB of pages for a connection of SQLite that only reads.
const READER_CACHE: &str = "PRAGMA cache_size = -16384";

impl Engine {
    /// Its name as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// What every new connection is told.
    pub(crate) const fn session(self, writes: bool) -> &'static [&'static str] {
        const SQLITE_WRITES: &[&str] = &[
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            "PRAGMA busy_timeout = 2000",
            "PRAGMA cache_size = -65536",
            // The WAL file is cut back to this after a checkpoint.
            "PRAGMA journal_size_limit = 67108864",
        ];
        const SQLITE_READS: &[&str] = &["PRAGMA busy_timeout = 2000", READER_CACHE, "PRAGMA query_only = ON"];
        const POSTGRES: &[&str] = &[
            "SET lock_timeout = '2s'",
            "SET statement_timeout = '30s'",
            "SET idle_in_transaction_session_timeout = '5s'",
        ];
        match (self, writes) {
            (Self::Sqlite, true) => SQLITE_WRITES,
            (Self::Sqlite, false) => SQLITE_READS,
            (Self::Postgres, _) => POSTGRES,
        }
    }

    /// Begins a transaction that writes.
    pub(crate) const fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Begins a transaction that sees one state of the database and changes nothing.
    pub(crate) const fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// Lets one mutation run at a time; SQLite's write lock does so already.
    ///
    /// The head of the feed would make them commit one by one anyway. Taken first, the same lock
    /// also keeps two of them from deciding on rows that the other is changing: a rotation never
    /// writes back the state that a revocation took away.
    pub(crate) const fn lock_mutations(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT seq FROM feed_head WHERE id = 1 FOR UPDATE"),
        }
    }

    /// Whether those who wait to write are served in their order. Processes that wait for SQLite's
    /// lock poll it, so one that writes a lot has to leave gaps.
    pub(crate) const fn queues_writers(self) -> bool {
        matches!(self, Self::Postgres)
    }

    /// What narrows the cache of a reading connection for rows that are read once, in order, and what widens it
    /// again. The allocator keeps most of what it has handed out once, whatever SQLite gives back later.
    pub(crate) const fn read_once(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Sqlite => Some(("PRAGMA cache_size = -2048", READER_CACHE)),
            Self::Postgres => None,
        }
    }

    /// Gives back the memory of pages that nothing has changed. Shipping writes megabytes that nobody
    /// reads soon, and SQLite would keep as many of them as its cache may hold.
    pub(crate) const fn shrink_cache(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA shrink_memory"),
            Self::Postgres => None,
        }
    }

    /// What a `SELECT` says to keep its rows from being changed until its transaction ends; SQLite's
    /// write lock does so already.
    pub(crate) const fn share_row(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR SHARE",
        }
    }

    /// The same, and keeps others from sharing them.
    pub(crate) const fn hold_row(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// Gives a migration the time that it needs: tables may be large, and the locks of others are waited
    /// for. It is of its transaction alone.
    pub(crate) const fn unhurried(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10min'"),
        }
    }

    /// Takes the lock that lets one process migrate at a time; SQLite's write lock is one already.
    pub(crate) const fn lock_migrations(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT pg_advisory_xact_lock(7308604759847202401)"),
        }
    }

    /// Asks for the head of the feed. A standby gives no row: what it shows may be old without its
    /// knowing, and a node that believed it would call old keys fresh (I3).
    pub(crate) const fn head_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT seq, hash, installation FROM feed_head WHERE id = 1",
            Self::Postgres => {
                "SELECT seq, hash, installation FROM feed_head WHERE id = 1 AND NOT pg_is_in_recovery()"
            }
        }
    }

    /// Asks for the version as text.
    pub(crate) const fn version_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT sqlite_version()",
            Self::Postgres => "SELECT current_setting('server_version_num')",
        }
    }

    /// An expression for a blob as hexadecimal digits.
    pub(crate) fn hex(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("hex({column})"),
            Self::Postgres => format!("encode({column}, 'hex')"),
        }
    }

    /// The text of a migration in this engine's spelling.
    pub(crate) fn spell(self, migration: &str) -> String {
        match self {
            // Only `INTEGER PRIMARY KEY` makes the key of a SQLite table the table's own order.
            Self::Sqlite => migration
                .replace("BIGINT NOT NULL PRIMARY KEY", "INTEGER NOT NULL PRIMARY KEY")
                .replace("/*WITHOUT_ROWID*/", "WITHOUT ROWID"),
            // What only PostgreSQL is told stands in a comment.
            Self::Postgres => {
                migration.replace(" BLOB", " BYTEA").replace("/*POSTGRES ", "").replace(" POSTGRES*/", "")
            }
        }
    }
}

impl Place {
    /// Reads `sqlite://PATH`, `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self { engine: Engine::Postgres, url: url.to_owned(), file: None });
        }
        let problem = |what: &str| Err(StoreError::invalid("database.url", what));
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return problem("it is no database URL; write `sqlite://PATH` or `postgres://USER@HOST/NAME`");
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let path = match rest.split_once('?') {
            None | Some((_, "mode=rwc")) => rest.split('?').next().unwrap_or(rest),
            Some(_) => return problem("SQLite takes no parameters here; leave away what stands from `?` on"),
        };
        if path.is_empty() || path.contains(":memory:") {
            return problem("a database in memory would forget keys; write the path of a file");
        }
        let file = PathBuf::from(path);
        // Spelled so that no character of the path means anything in a URL.
        let escaped: String = path
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect();
        Ok(Self { engine: Engine::Sqlite, url: format!("sqlite://{escaped}?mode=rwc"), file: Some(file) })
    }
}
