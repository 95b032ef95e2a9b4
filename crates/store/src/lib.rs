//! Durable rows of Tollgate, on SQLite and PostgreSQL with one SQL text.
//!
//! What is kept: tenants, projects, services, policies, consumers, keys (their digests, never
//! themselves), tokens of the service API, the audit, and what nodes shipped of their usage
//! journals, and the ledger of budgets. What this crate must never know: HTTP, the command line,
//! configuration files, clocks. Time comes in as `now_us` (wall microseconds since 1970 UTC), random secrets as arrays.
//!
//! # One way to change anything
//!
//! Every mutation takes a [`tollgate_core::authz::Permit`] and runs through one wrapper (the
//! private module `write`): rows change, each change is recorded with what was before and after,
//! and as the last statements of the transaction the changes get their numbers from the one row of
//! `feed_head` and their links in the hash chain. A transaction that recorded nothing is rolled
//! back, so no row changes without its audit entry, and no number is taken without a row (I5, I20).
//! The number of the last change comes back in [`Committed::seq`]; it is what
//! [`Store::wait_applied`] waits for.
//!
//! # How others see it
//!
//! | for | call |
//! | --- | --- |
//! | start of a process | [`Store::open`], [`Store::load`] |
//! | every 100 ms | [`Store::catch_up`] |
//! | every second | [`Store::heartbeat`] |
//! | the journal | [`Store::intake`], [`Store::keep_blocks`], [`Store::take_over`] |
//! | whoever reads usage | [`Store::ask_to_ship`] |
//! | records | [`Ingester`], [`Store::events`]; handing them on: [`Store::take_relay`], [`Store::outbox`] |
//! | budgets | [`Store::open_account`], [`Store::reserve`], [`Store::post`], [`Store::reconcile`] |
//! | counters | [`Store::quota_usage`] at start, [`Shipped::quotas`] after each shipment |
//!
//! # Engines
//!
//! SQLite (bundled, WAL, `synchronous=FULL`): one connection writes, several read. PostgreSQL 11
//! and later: the primary only. Both through sqlx `Any` with `$n` parameters and columns of
//! `BIGINT`, `TEXT` and `BLOB`/`BYTEA`; what differs stands in `dialect` and nowhere else.

mod audit;
mod chain;
mod conditions;
mod counting;
mod dialect;
mod error;
mod feed;
mod import;
mod ingest;
mod init;
mod key_file;
mod keys;
mod ledger;
mod meters;
mod migrate;
mod named;
mod nodes;
mod notices;
mod open;
mod outbox;
mod page;
mod passed_over;
mod past;
mod people;
mod random;
mod refused;
mod reminders;
mod reports;
mod requests;
mod resources;
mod rules;
mod seal;
mod secrets;
mod sql;
mod standing;
mod tokens;
mod usage;
mod webhooks;
mod write;

pub use audit::{AuditFilter, AuditRow, Broken, Verified};
pub use counting::Counting;
pub use dialect::Engine;
pub use error::{Entity, StoreError};
pub use feed::Applied;
pub use import::{
    Encoding, IMPORT_ROWS_MAX, ImportCollision, ImportOptions, ImportReject, ImportReport, ImportRow,
    ImportScheme, Rehash,
};
pub use ingest::{Committing, Event, EventFilter, EventRow, IngestOptions, Ingester};
pub use init::{Initialised, NewInstallation};
pub use keys::{
    BulkEdit, CreatedKey, JobStep, KEYS_AT_ONCE_MAX, KeyDetail, KeyEdit, KeyFilter, KeySecret, KeyView,
    KeysPreview, NewKey, Rotation,
};
pub use ledger::{
    AccountFilter, AccountRow, Balance, Difference, Ended, EntryRow, Followed, Forgiveness, Funding,
    LastReconciled, Lease, LeaseWant, Leased, Leg, Lessee, Moved, NewAccount, Posting, ROUND_MAX, Reconciled,
    Reservation, Reserved, Resolved, Side, Told, TransferId, TransferKind,
};
pub use meters::{
    Dashboard, DashboardAt, GROUPS_SHOWN_MAX, GroupValues, MeterFilter, MeterPast, MeterQuestion, MeterValue,
    MeterValues, MeterView, Meters, NewDashboard, WIDGETS_MAX, Widget, WidgetForm,
};
pub use named::Named;
pub use nodes::{LiveNode, NodeBeat, Waited};
pub use notices::{NOTICE_BODY_LEN_MAX, NoticeFilter, NoticeRow};
pub use open::{OpenOptions, Store, StoreCheck};
pub use outbox::{
    Lag, NewParked, Outbox, ParkedFilter, ParkedRow, ParkedState, Policy, RelayLease, RelayLost, SettledSpan,
    Stream, StreamLease,
};
pub use page::{PAGE_ROWS_MAX, Page, PageRequest};
pub use passed_over::PassedOver;
pub use past::{Past, PastTally};
pub use people::{
    Account, CONSUMERS_MAX, ExternalAccount, ExternalPerson, InvitationView, MemberRef, MemberView,
    Membership, NewInvitation, NewReset, NewSession, Newcomer, OwnChange, SecondFactor, SessionChange,
    SessionLimits, SessionLookup, SessionView, SignedInSession,
};
pub use refused::{REFUSED_KEPT_MAX, RefusedUsage};
pub use reminders::{
    DIGEST_PEOPLE_MAX, Digest, Digests, REMINDERS_FOUND_MAX, Reminder, ReminderFilter, ReminderKind,
    ReminderRules,
};
pub use reports::KeyOwner;
pub use requests::{AnswerKept, Claim, JobProgress, JobRow, NewJobRow, RequestName};
pub use resources::{
    ApplyMode, BudgetAt, BudgetFilter, BudgetView, EventTypeView, Misfits, Op, Plan, PlannedChange, PriceAt,
    PriceView, ResourceAt, ResourceFilter, ResourceId, ResourceSpec, ResourceView, Scope,
};
pub use rules::{
    BlockFilter, BlockView, Fired, FiringFilter, FiringView, LastFiring, Lift, Outcome, SubjectView,
    WatchLease, WatchLost,
};
pub use seal::{Anchors, AuditHead, Checkpoint, CheckpointKey, ExportError, PublicKey, Seal, verify_export};
pub use secrets::{Rewrapped, SECRET_BYTES_MAX, SecretView, SecretsCheck};
pub use tokens::{CreatedServiceToken, NewServiceToken, ServiceTokenView};
/// What [`Store::ship`] takes, for whoever has no journal to read it from.
pub use tollgate_journal::{Batch, Entry, Flags, StoredRecord};
pub use usage::{
    CallDetail, CallReport, CallRow, CallSums, Cursors, DecisionFilter, DecisionRow, Intake, Invoice,
    InvoiceLine, LastUses, Latency, LatencyFilter, Parts, QUOTAS_ROUND_MAX, QuotaKey, QuotaLeased,
    QuotaTotal, QuotaWant, Recorded, Replay, ReplaySpan, Shipped, Taken, UsageBy, UsageFilter, UsageMost,
    UsageReport, UsageRow, UsageSums, Used, With,
};
pub use webhooks::{
    Attempted, DeliveryFilter, DeliveryRow, DeliveryState, MadeSecret, Outgoing, SenderLease, SenderLost,
    Sending, WEBHOOK_OVERLAP_MAX_US, WebhookAt, WebhookReplay, WebhookView,
};
pub use write::Committed;
