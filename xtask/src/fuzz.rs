//! placeholder
use crate::command::Outcome;
use clap::Args;
#[derive(Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}
pub(crate) fn run(options: &Options) -> Outcome {
    run_all(options.seconds)
}
pub(crate) fn run_all(_: u64) -> Outcome {
    Ok(())
}
