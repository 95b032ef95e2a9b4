//! What goes on beside the requests: keeping up with changes, shipping usage, replacing imported
//! hashes, forgetting what is old.
//!
//! Every task is level-triggered: it looks at the state and does what is missing, whatever woke it,
//! and has one code path for "the first time", "again" and "after a fault". Nothing is queued
//! without a bound, nothing is dropped that was answered, and a task that fails tries again for
//! ever with a bounded pause, saying so at most once every ten seconds.
//!
//! | task | does | keeps |
//! | --- | --- | --- |
//! | `feed` | follows the change feed into the snapshot | I2, I3, I5 |
//! | `beat` | writes down how far this node is | what `revoke --wait` relies on |
//! | `ship` | takes the journal over into the database | I12, I13 |
//! | `rehash` | replaces imported hashes after their first use | – |
//! | `remind` | tells of keys that expire, grow old or are not used | – |
//! | `influx` | writes points to InfluxDB, as a sink of the relay | I15 |
//! | `relay` | hands records on to Kafka, forgets those that are past their time | I15 |
//! | `webhooks` | tells webhooks what happened, signed, again until it is taken | I15 |
//! | `funds` | leases parts of budgets, gives them back, tells thresholds, recomputes balances | I7, I10 |
//! | `rules` | watches what is shipped for rules, blocks, ends blocks | – |
//! | `quotas` | leases parts of quotas, gives them back | I22 |
//! | `seal` | signs checkpoints of the audit into a file and a system log | I20 |
//! | `meters` | counts records into meters | I13 |
//! | `usage_in` | takes what services report of requests they served, from a topic too | I13, I16 |
//! | `retention` | folds usage into hours and days, forgets what is old, sweeps counters | I13 |
//!
//! What this crate must never know: HTTP that comes in, the gateway, how limits are counted.

mod asks;
mod beat;
mod faults;
mod feed;
mod funds;
mod influx;
mod kept;
mod meters;
mod pace;
mod quotas;
mod rehash;
mod relay;
mod remind;
mod retention;
mod rules;
mod running;
mod runs;
mod seal;
mod ship;
mod state;
mod stop;
mod syslog;
mod usage_in;
mod webhooks;

pub use faults::Faults;
pub use funds::{ASKS_MAX, FundsAsk, FundsOptions, FundsWant, Pots};
pub use influx::{InfluxOptions, InfluxSink, InfluxTarget};
pub use kept::UsageKept;
pub use meters::{METERS_SINK, Metering, MetersKept};
pub use quotas::{QUOTA_ASKS_MAX, QuotaAsk, QuotaCells, QuotaGranted, QuotaNeed, QuotaOptions};
pub use relay::{
    Ack, Acks, EventOptions, Fault, Header, KAFKA_SPEAKS_TLS, KafkaCheck, KafkaOptions, MakeProducer,
    Message, Producer, RelayOptions, Relaying, Sasl, SendError, StreamOptions, Takes,
};
pub use remind::{Letter, Postman, RemindOptions};
pub use running::{Options, Parts, PrepareError, Prepared, Running};
pub use seal::SealOptions;
pub use ship::QuotaSink;
pub use state::Progress;
pub use syslog::SyslogAddress;
pub use usage_in::{
    Incoming, KafkaReports, NotReported, OpenReports, ReportOptions, Reporter, Reporting, Reports, UsageIn,
};
pub use webhooks::{WebhookOptions, Webhooks};
