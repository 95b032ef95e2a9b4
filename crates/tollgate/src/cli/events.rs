//! `tollgate events …`, `tollgate audit …`, `tollgate usage`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tollgate_core::{code::Code, event::is_type};
use tollgate_store::ReminderKind;

use super::time::Moment;

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Prints decisions as they are shipped, until interrupted
    #[command(after_help = "\
Examples:
  tollgate events tail
  tollgate events tail --code rate_limited --output json")]
    Tail(EventFilter),
    /// Prints or counts past decisions, newest first
    #[command(after_help = "\
Examples:
  tollgate events query --key key_4fQn2SVkIqT --from 1h
  tollgate events query --code ip_not_allowed --from 24h --count
  tollgate events query --type key.expiring --from 7d
  tollgate events query --type tile.served --consumer android-team --count")]
    Query(QueryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) filter: EventFilter,
    /// From this moment: that long ago (24h, 7d), or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) from: Option<Moment>,
    /// Before this moment
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) to: Option<Moment>,
    /// Print only how many there are
    #[arg(long)]
    pub(crate) count: bool,
    /// How many at most
    #[arg(long, default_value_t = 100, value_name = "N", conflicts_with = "count")]
    pub(crate) limit: u32,
}

/// Which decisions.
#[derive(Debug, Default, Args)]
pub(crate) struct EventFilter {
    /// Of this type: decision, that of records that were sent, or what webhooks are told: key.expiring, key.blocked,
    /// budget.threshold, …
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type)]
    pub(crate) kind: Option<EventType>,
    /// Of this key
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
    /// Of this consumer: its id, or `consumer`, `project/consumer`
    #[arg(long)]
    pub(crate) consumer: Option<String>,
    /// Of this service: its id, or `service`, `project/service`
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// With this outcome: valid, key_unknown, rate_limited, …
    #[arg(long, value_parser = code)]
    pub(crate) code: Option<Code>,
}

fn code(text: &str) -> Result<Code, String> {
    text.parse().map_err(|_| {
        let names = Code::ALL.iter().map(|code| code.name());
        match crate::located::nearest(text, names) {
            Some(near) => format!("there is no such code; did you mean `{near}`?"),
            None => "there is no such code; codes are `valid`, `key_unknown`, `rate_limited` and the others of docs/generated/codes.md".to_owned(),
        }
    })
}

/// A type of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventType {
    /// A request was allowed or denied.
    Decision,
    /// Somebody was to be reminded.
    Reminder(ReminderKind),
    /// Records of this type, as they were sent.
    Record(String),
}

fn event_type(text: &str) -> Result<EventType, String> {
    Ok(match text {
        "decision" => EventType::Decision,
        "key.expiring" => EventType::Reminder(ReminderKind::Expiring),
        "key.rotation_due" => EventType::Reminder(ReminderKind::RotationDue),
        "key.unused" => EventType::Reminder(ReminderKind::Unused),
        kind if is_type(kind) => EventType::Record(kind.to_owned()),
        _ => return Err("it is not a type such as `decision`, `key.expiring` or that of records".to_owned()),
    })
}

impl EventType {
    /// Of what somebody was reminded; `None` for others.
    pub(crate) const fn reminder(&self) -> Option<ReminderKind> {
        match self {
            Self::Reminder(kind) => Some(*kind),
            Self::Decision | Self::Record(_) => None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Lists changes, newest first
    #[command(after_help = "\
Examples:
  tollgate audit list --limit 20
  tollgate audit list --subject key_4fQn2SVkIqT")]
    List(AuditListArgs),
    /// Recomputes the chain of hashes and holds it against checkpoints; exit 1 when it is broken
    #[command(after_help = "\
Examples:
  tollgate audit verify
  tollgate audit verify --checkpoints /mnt/other/audit-checkpoints.jsonl --public-key key.txt
  tollgate audit verify --export audit.jsonl --checkpoints checkpoints.jsonl --public-key 3b6a…    (without a database)")]
    Verify(AuditVerifyArgs),
    /// Writes the whole audit, oldest first, one change a line of JSON, so that it can be verified without a database
    #[command(after_help = "\
Examples:
  tollgate audit export --to audit.jsonl")]
    Export(AuditExportArgs),
    /// Prints the public half of the key that signs checkpoints; makes the key if there is none
    #[command(after_help = "\
Examples:
  tollgate audit public-key > audit-key.txt")]
    PublicKey,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// An audit that `audit export` wrote, instead of the database; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "checkpoints", requires = "public_key")]
    pub(crate) export: Option<PathBuf>,
    /// Checkpoints to hold it against [default: those of this node]
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoints: Option<PathBuf>,
    /// Whose checkpoints are believed: 64 hexadecimal digits, or a file of them; may be given again [default: this node's key]
    #[arg(long, value_name = "KEY")]
    pub(crate) public_key: Vec<String>,
    /// Accept that there are no checkpoints: that the end of the audit was cut off would not show
    #[arg(long, conflicts_with_all = ["checkpoints", "export"])]
    pub(crate) without_checkpoints: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditExportArgs {
    /// The file to write, which must not be there yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditListArgs {
    /// About this thing: its id
    #[arg(long, value_name = "ID")]
    pub(crate) subject: Option<String>,
    /// From this moment: that long ago (24h, 7d), or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) from: Option<Moment>,
    /// Before this moment
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) to: Option<Moment>,
    /// How many at most
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct UsageArgs {
    #[command(subcommand)]
    pub(crate) command: Option<super::UsageCommand>,
    /// Columns to group by
    #[arg(long, value_delimiter = ',', value_name = "COLUMN")]
    pub(crate) by: Vec<UsageColumn>,
    /// From this moment: that long ago (24h, 7d), or an RFC 3339 time; to the minute
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) from: Option<Moment>,
    /// Before this moment
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) to: Option<Moment>,
    /// Of this key only
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
    /// Of this service only: its id, or `service`, `project/service`
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Of this consumer only: its id, or `consumer`, `project/consumer`
    #[arg(long)]
    pub(crate) consumer: Option<String>,
}

/// What usage is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsageColumn {
    Key,
    Service,
    Code,
    Consumer,
    Model,
    Day,
    Hour,
    Minute,
    Project,
    Tenant,
}
