//! `tollgate rules …`, `tollgate blocks …`, `tollgate policies …`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tollgate_core::{
    id::{BlockId, KeyId},
    time::Span,
};

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Lists what rules did last, or would have done
    #[command(after_help = "\
Examples:
  tollgate rules log
  tollgate rules log --output json")]
    Log,
    /// Says what a rule would have done to recorded traffic
    #[command(after_help = "\
Examples:
  tollgate rules backtest maps-flood --last 30d
  tollgate rules backtest maps-flood --file resources.toml --last 7d

Nothing is changed. With `--file` the rule is read from a file of resources, where it may differ from the
one that is in force, or be new.")]
    Backtest(RuleBacktestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RuleBacktestArgs {
    /// The rule, `name` or `project/name`
    #[arg(value_name = "RULE")]
    pub(crate) rule: String,
    /// How far back
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) last: Span,
    /// A file of resources that the rule is in, instead of the one in force
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PoliciesCommand {
    /// Says what a draft policy would have answered to recorded traffic
    #[command(after_help = "\
Examples:
  tollgate policies backtest draft.toml --last 7d
  tollgate policies backtest draft.toml --last 24h --instead-of standard

Nothing is changed. Each policy of the file is tried on the requests that the policy of its name decided.")]
    Backtest(PolicyBacktestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyBacktestArgs {
    /// File of resources with the draft; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How far back
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) last: Span,
    /// Try it on the requests that this policy of its project decided
    #[arg(long, value_name = "NAME")]
    pub(crate) instead_of: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BlocksCommand {
    /// Lists whom rules keep out
    #[command(after_help = "\
Examples:
  tollgate blocks list
  tollgate blocks list --all --key key_4fQn2SVkIqT")]
    List(BlockListArgs),
    /// Lifts a block; the rule that set it begins anew
    #[command(after_help = "\
Examples:
  tollgate blocks lift blk_5tGb6yHn7uJ")]
    Lift {
        /// Its id, as `tollgate blocks list` shows it
        #[arg(value_name = "ID")]
        id: BlockId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BlockListArgs {
    /// Those that have ended too
    #[arg(long)]
    pub(crate) all: bool,
    /// Those that keep this key out
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<KeyId>,
}
