//! `tollgate outbox …`

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// Shows how far each sink is behind
    #[command(after_help = "\
Examples:
  tollgate outbox status")]
    Status,
    /// Lists records that a sink did not take, with the reason
    #[command(after_help = "\
Examples:
  tollgate outbox list
  tollgate outbox list --all")]
    List(ListArgs),
    /// Has a held record sent again, and those of its tenant that wait for it
    #[command(after_help = "\
Examples:
  tollgate outbox retry evt_0001mJbfIcgOCC4hBmAhNO")]
    Retry(ReleaseArgs),
    /// Leaves a held record out, so that those of its tenant that wait for it go on
    #[command(after_help = "\
Examples:
  tollgate outbox skip evt_0001mJbfIcgOCC4hBmAhNO")]
    Skip(ReleaseArgs),
    /// Forgets a sink that is in the settings no more: records are kept for it no longer
    #[command(after_help = "\
Examples:
  tollgate outbox forget influx")]
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Those that were left out too
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Its name, as `tollgate outbox status` shows it
    #[arg(value_name = "SINK")]
    pub(crate) sink: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// Its event id, as `tollgate outbox list` shows it
    #[arg(value_name = "EVENT")]
    pub(crate) event: String,
}
