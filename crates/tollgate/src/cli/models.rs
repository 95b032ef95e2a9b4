//! `tollgate models …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Lists registered models, and whether their files can be used on this host
    #[command(after_help = "\
Examples:
  tollgate models list
  tollgate models list --output json | jq -r '.models[].problem'")]
    List,
    /// Reads an ONNX file, says what it takes and gives, and tries it
    #[command(after_help = "\
Examples:
  tollgate models check fraud.onnx
  tollgate models check fraud.onnx --sample '{\"features\": [[120, 14, 0.2, 400]]}' --repeat 1000")]
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The file, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What to try it with, as JSON: `{"features": [[1, 2, 3, 4]]}`
    #[arg(long, value_name = "JSON")]
    pub(crate) sample: Option<String>,
    /// Run it so often, and say how long that took
    #[arg(long, value_name = "TIMES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub(crate) repeat: u32,
    /// Sample and shapes as a node has them; prints nothing but what is wrong.
    #[arg(long, value_name = "JSON", hide = true, conflicts_with = "sample")]
    pub(crate) trial: Option<String>,
}
