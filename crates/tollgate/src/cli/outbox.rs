//! `tollgate outbox …`

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// Shows how far each sink is behind
    Status,
    /// Lists records that a sink did not take, with the reason
    List(ListArgs),
    /// Has a held record sent again, and those of its tenant that wait for it
    Retry(ReleaseArgs),
    /// Leaves a held record out, so that those of its tenant that wait for it go on
    Skip(ReleaseArgs),
    /// Forgets a sink that is in the settings no more: records are kept for it no longer
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
