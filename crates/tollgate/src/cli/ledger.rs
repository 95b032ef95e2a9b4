//! Commands about money: `ledger`, `budgets`, `usage invoice`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Lists accounts: each budget has one for each of its periods
    #[command(after_help = "\
Examples:
  tollgate ledger list
  tollgate ledger list --all")]
    List {
        /// All periods, not only those that are on now
        #[arg(long)]
        all: bool,
    },
    /// Shows an account: its balances, the leases of nodes, and every entry with its cause
    #[command(after_help = "\
Examples:
  tollgate ledger show acc_4fQn2SVkIqT
  tollgate ledger show bdg_4fQn2SVkIqT --limit 1000")]
    Show {
        /// An account, or a budget whose present period is meant
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// The most entries
        #[arg(long, default_value_t = 200)]
        limit: u32,
    },
    /// Recomputes every balance from its entries; exits 1 when one differs
    #[command(after_help = "\
Examples:
  tollgate ledger reconcile")]
    Reconcile,
    /// Charges whole what a node holds of budgets, because its journal is lost
    #[command(after_help = "\
Examples:
  tollgate ledger charge-lost 5f2a9c03b1d4e677

The node's id is in `tollgate ledger list` and in its data folder. Should it come back after all, what it
did not use is given back when it starts.")]
    ChargeLost {
        /// The node
        #[arg(value_name = "NODE", value_parser = node)]
        node: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetsCommand {
    /// Adds to what a budget has in its present period
    #[command(after_help = "\
Examples:
  tollgate budgets top-up bdg_4fQn2SVkIqT 5.00 --reason 'agreed with the customer'")]
    TopUp(AdjustArgs),
    /// Adds to what a budget has, or with a minus takes free funds away
    #[command(
        allow_negative_numbers = true,
        after_help = "\
Examples:
  tollgate budgets adjust bdg_4fQn2SVkIqT -5.00 --reason 'booked twice'"
    )]
    Adjust(AdjustArgs),
    /// Forgives what was used beyond a budget, so that it pays again
    #[command(after_help = "\
Examples:
  tollgate budgets write-off bdg_4fQn2SVkIqT --reason 'the provider paid'")]
    WriteOff {
        /// A budget, whose present period is meant, or an account
        #[arg(value_name = "BUDGET")]
        budget: String,
        /// Why; it stands in the audit and beside the entries
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AdjustArgs {
    /// A budget, whose present period is meant, or an account
    #[arg(value_name = "BUDGET")]
    pub(crate) budget: String,
    /// How much, in its currency
    #[arg(value_name = "AMOUNT")]
    pub(crate) amount: String,
    /// Why; it stands in the audit and beside the entries
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsageCommand {
    /// Sums a month up for bills: by consumer, service and model, with amounts
    #[command(after_help = "\
Examples:
  tollgate usage invoice --month 2026-11
  tollgate usage invoice --month 2026-11 --consumer android-team --output csv")]
    Invoice(InvoiceArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InvoiceArgs {
    /// The month, in UTC
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    pub(crate) month: Month,
    /// Of this consumer only: its id, or `consumer`, `project/consumer`
    #[arg(long)]
    pub(crate) consumer: Option<String>,
}

/// A month, with the moments of its beginning and its end.
#[derive(Clone, Debug)]
pub(crate) struct Month {
    pub(crate) name: String,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

fn month(text: &str) -> Result<Month, String> {
    let parsed = || {
        let (year, month) = text.split_once('-')?;
        let (year, month): (i16, i8) = (year.parse().ok()?, month.parse().ok()?);
        let start =
            |year: i16, month: i8| super::time::rfc3339_us(&format!("{year:04}-{month:02}-01T00:00:00Z"));
        let (next_year, next) = if month == 12 { (year.checked_add(1)?, 1) } else { (year, month + 1) };
        Some(Month { name: text.to_owned(), from_us: start(year, month)?, to_us: start(next_year, next)? })
    };
    parsed().ok_or_else(|| "write it as YYYY-MM, e.g. 2026-11".to_owned())
}

fn node(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16)
        .map_err(|_| "write the node's id as it is listed, in hexadecimal".to_owned())
}
