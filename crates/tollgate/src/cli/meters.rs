//! `tollgate meters …`

use clap::{Args, Subcommand, ValueEnum};

use super::time::Moment;

#[derive(Debug, Subcommand)]
pub(crate) enum MetersCommand {
    /// Lists meters
    #[command(after_help = "\
Examples:
  tollgate meters list
  tollgate meters list --output json")]
    List,
    /// Shows what a meter counted, by window and group
    #[command(after_help = "\
Examples:
  tollgate meters query tiles-served --from 7d --window day --time-zone Europe/Berlin
  tollgate meters query acme/maps/tiles-served --group-by '$.zoom' --window total

Windows are whole: the first is the one that holds the beginning, the last the one that holds the end.")]
    Query(MeterQueryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MeterQueryArgs {
    /// Its id or name: `name`, `project/name` or `tenant/project/name`
    #[arg(value_name = "METER")]
    pub(crate) meter: String,
    /// From this moment on: RFC 3339, or how long ago, such as `7d`; a day ago when not said
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) from: Option<Moment>,
    /// Before this moment; now when not said
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) to: Option<Moment>,
    /// How long windows are
    #[arg(long, value_enum, default_value = "hour")]
    pub(crate) window: WindowName,
    /// What to group by, of what the meter groups by; repeat or separate by commas
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub(crate) group_by: Vec<String>,
    /// Whose calendar counts, an IANA name
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) time_zone: String,
    /// How many groups, those that have most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) groups: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum WindowName {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Total,
}
