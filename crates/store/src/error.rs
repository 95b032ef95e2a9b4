//! The one error of this crate: what callers may show, and apart from it the cause for the log.

use thiserror::Error;
use tollgate_core::{authz::NotAuthorised, field_error::FieldError};

/// The kinds of things that have rows and change numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entity {
    /// A tenant.
    Tenant,
    /// A project.
    Project,
    /// A service.
    Service,
    /// A policy.
    Policy,
    /// A consumer.
    Consumer,
    /// A key.
    Key,
    /// Many keys at once: one chunk of an import.
    Import,
    /// A token of the service API.
    ServiceToken,
    /// A person, or a person's membership of a tenant.
    User,
    /// A session of a person who signed in.
    Session,
    /// A change to many keys that goes on by itself.
    Job,
    /// An invitation into a tenant, or a link to set a new password.
    Invitation,
    /// A decision.
    Decision,
    /// An account of the ledger.
    Account,
    /// A reservation in the ledger.
    Reservation,
    /// A price of a model.
    Price,
    /// A budget.
    Budget,
    /// A secret that is kept encrypted.
    Secret,
    /// A record that a sink did not take.
    ParkedEvent,
    /// Somewhere that records are handed on to.
    Sink,
    /// A version of a type of events.
    EventType,
    /// A webhook.
    Webhook,
    /// A delivery to a webhook.
    Delivery,
    /// A meter.
    Meter,
    /// A version of a model.
    Model,
    /// A dashboard.
    Dashboard,
    /// A rule.
    Rule,
    /// A block that a rule set.
    Block,
    /// That a rule acted.
    RuleFiring,
}

impl Entity {
    /// The word in the audit, in plans and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Project => "project",
            Self::Service => "service",
            Self::Policy => "policy",
            Self::Consumer => "consumer",
            Self::Key => "key",
            Self::Import => "import",
            Self::ServiceToken => "service_token",
            Self::User => "user",
            Self::Session => "session",
            Self::Invitation => "invitation",
            Self::Job => "job",
            Self::Decision => "decision",
            Self::Account => "account",
            Self::Reservation => "reservation",
            Self::Price => "price",
            Self::Budget => "budget",
            Self::Secret => "secret",
            Self::ParkedEvent => "parked_event",
            Self::Sink => "sink",
            Self::EventType => "event_type",
            Self::Webhook => "webhook",
            Self::Delivery => "delivery",
            Self::Meter => "meter",
            Self::Model => "model",
            Self::Dashboard => "dashboard",
            Self::Rule => "rule",
            Self::Block => "block",
            Self::RuleFiring => "rule_firing",
        }
    }
}

impl std::fmt::Display for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why the store did not do what was asked. The text is for users; `cause` fields are for the log.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("there is no {kind} `{name}`; list them, or correct the name")]
    NotFound {
        /// What kind.
        kind: Entity,
        /// The name or id that was asked for.
        name: String,
    },
    /// More than one thing has this name or begins like this.
    #[error("`{name}` could be more than one {kind}: {candidates}; write it in full")]
    Ambiguous {
        /// What kind.
        kind: Entity,
        /// The name or beginning that was asked for.
        name: String,
        /// Some that fit, separated by commas.
        candidates: String,
    },
    /// It would contradict what is there.
    #[error("{0}")]
    Conflict(String),
    /// It was changed since the version that the change was made for.
    #[error(
        "this {kind} was changed meanwhile (it has version {version} now); read it again, then change it"
    )]
    Outdated {
        /// What kind of thing.
        kind: Entity,
        /// Its present version.
        version: u64,
    },
    /// What was given is wrong; everything at once.
    #[error("{}", join(.0))]
    Invalid(Vec<FieldError>),
    /// The permit does not cover it.
    #[error("{0}")]
    NotAuthorised(#[from] NotAuthorised),
    /// The permit given is not for this action or tenant.
    #[error("the permit given does not cover this {kind}; it is for another action or tenant")]
    NotCovered {
        /// What kind of thing was to be changed.
        kind: Entity,
    },
    /// Whoever acts may do it, but not by a sign-in that is some time ago.
    #[error("where a credential is sent is changed only right after signing in; sign in again and repeat it")]
    SignInNotFresh,
    /// Others hold the database; trying again may help. Nothing was changed.
    #[error("the database is busy; nothing was changed, try again")]
    Busy {
        /// For the log.
        cause: String,
    },
    /// The database cannot be reached, or cannot write. Whether a commit under way took effect is
    /// not known.
    #[error("the database is not available: {public}")]
    Unavailable {
        /// What is wrong, without internals.
        public: String,
        /// For the log.
        cause: String,
    },
    /// The rows contradict themselves, or a later version of Tollgate wrote them.
    #[error("the database is not as it should be: {0}")]
    Corrupt(String),
}

fn join(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl StoreError {
    pub(crate) fn not_found(kind: Entity, name: impl std::fmt::Display) -> Self {
        Self::NotFound { kind, name: name.to_string().chars().take(64).collect() }
    }

    pub(crate) fn invalid(field: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![FieldError::new(field, problem)])
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }

    /// The cause for the log, where there is one that users do not see.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Busy { cause } | Self::Unavailable { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let cause = error.to_string();
        let public = match &error {
            sqlx::Error::Database(database) => {
                return from_code(
                    database.code().as_deref().unwrap_or(""),
                    database.is_unique_violation(),
                    cause,
                );
            }
            sqlx::Error::PoolTimedOut => return Self::Busy { cause },
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => why_not_connected(&error, &cause),
            sqlx::Error::Configuration(_) => {
                "its URL, or a parameter of it, is not one; write sqlite://PATH or postgres://USER@HOST/NAME"
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => return Self::Corrupt(cause),
            _ => "it failed; the log has the cause",
        };
        Self::Unavailable { public: public.to_owned(), cause }
    }
}

/// What broke a connection to a server. Refused certificates come as errors of the socket, told apart by
/// their words alone.
fn why_not_connected(error: &sqlx::Error, cause: &str) -> &'static str {
    if cause.contains("invalid peer certificate") {
        // A stranger of the same name signs otherwise.
        return if cause.contains("UnknownIssuer") || cause.contains("BadSignature") {
            "its certificate is from no authority that is believed; name the file of its authority with \
             `sslrootcert=` in `database.url`"
        } else if cause.contains("not valid for name") || cause.contains("NotValidForName") {
            "its certificate is for another name than the host in `database.url`; write the name that it is for"
        } else {
            "its certificate cannot be believed (expired, or not for a server); the log has the cause"
        };
    }
    match error {
        sqlx::Error::Tls(_) if cause.contains("does not support TLS") => {
            "it speaks no TLS, which `sslmode` in `database.url` asks for"
        }
        sqlx::Error::Tls(_) => "TLS towards it failed; the log has the cause",
        sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::NotFound => {
            "a file that `database.url` names (`sslrootcert`, `sslcert`, `sslkey`, or a socket) is not there"
        }
        _ => "the connection broke or could not be made",
    }
}

/// Sorts the codes of both engines: SQLite's extended result codes as decimal numbers, PostgreSQL's
/// SQLSTATE (PostgreSQL manual, appendix A).
fn from_code(code: &str, unique: bool, cause: String) -> StoreError {
    if unique {
        return StoreError::Conflict("another change was made at the same time; try again".to_owned());
    }
    let primary = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|code| code & 0xFF);
    let public = match (primary, code) {
        // SQLITE_BUSY, SQLITE_LOCKED; lock_not_available, deadlock, serialization, query_canceled.
        (Some(5 | 6), _) | (None, "55P03" | "40P01" | "40001" | "57014") => {
            return StoreError::Busy { cause };
        }
        (Some(8), _) | (None, "25006") => "it can only be read, not written",
        (Some(10), _) => "the disk reported an error",
        (Some(11 | 26), _) => return StoreError::Corrupt("the file is damaged or is no database".to_owned()),
        (Some(13), _) | (None, "53100") => "the disk is full",
        (Some(14), _) => "the file cannot be opened; check its path and permissions",
        (None, "53300") => "it has no connection left",
        (None, state) if state.starts_with("28") => "it refused the user or password",
        (None, "3D000") => "there is no database of that name",
        (None, state) if state.starts_with("57P") => "it is shutting down or starting",
        _ => "it refused a statement; the log has the cause",
    };
    StoreError::Unavailable { public: public.to_owned(), cause }
}
