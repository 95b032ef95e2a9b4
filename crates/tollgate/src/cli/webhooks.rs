//! `tollgate webhooks …`

use clap::{Args, Subcommand};
use tollgate_core::time::Span;
use tollgate_store::DeliveryState;

use super::time::Moment;

#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// Lists webhooks and how they are
    #[command(after_help = "\
Examples:
  tollgate webhooks list
  tollgate webhooks list --output json")]
    List,
    /// Makes the first secret of a webhook and prints it, this once
    #[command(after_help = "\
Examples:
  tollgate webhooks secret https://example.com/hooks

Nothing is sent to a webhook before it has a secret. `apply` makes none: it has nowhere to show it.")]
    Secret(WebhookArg),
    /// Gives a webhook another secret and prints it, this once; both sign for a while
    #[command(after_help = "\
Examples:
  tollgate webhooks rotate https://example.com/hooks
  tollgate webhooks rotate whk_4fQn2SVkIqT --overlap 0s")]
    Rotate(RotateWebhookArgs),
    /// Sends an example and says what the receiver answered
    #[command(after_help = "\
Examples:
  tollgate webhooks test https://example.com/hooks")]
    Test(TestWebhookArgs),
    /// Lists what was sent to a webhook and what became of it, newest first
    #[command(after_help = "\
Examples:
  tollgate webhooks deliveries https://example.com/hooks
  tollgate webhooks deliveries https://example.com/hooks --state failed")]
    Deliveries(DeliveriesArgs),
    /// Sends again: one delivery, or all that were given up
    #[command(after_help = "\
Examples:
  tollgate webhooks replay https://example.com/hooks ntc_4fQn2SVkIqT
  tollgate webhooks replay https://example.com/hooks --failed-since 24h")]
    Replay(ReplayArgs),
    /// Sends again to a webhook that was switched off because its receiver failed
    #[command(after_help = "\
Examples:
  tollgate webhooks resume https://example.com/hooks")]
    Resume(WebhookArg),
}

#[derive(Debug, Args)]
pub(crate) struct WebhookArg {
    /// The webhook: its id, or its address
    #[arg(value_name = "WEBHOOK")]
    pub(crate) webhook: String,
}

#[derive(Debug, Args)]
pub(crate) struct RotateWebhookArgs {
    #[command(flatten)]
    pub(crate) webhook: WebhookArg,
    /// For how long the former secret signs too
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub(crate) overlap: Span,
}

#[derive(Debug, Args)]
pub(crate) struct TestWebhookArgs {
    #[command(flatten)]
    pub(crate) webhook: WebhookArg,
    /// How long to wait for the answer; a running node with the role `workers` sends it
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) wait: Span,
}

#[derive(Debug, Args)]
pub(crate) struct DeliveriesArgs {
    #[command(flatten)]
    pub(crate) webhook: WebhookArg,
    /// Only these: pending, delivered, failed
    #[arg(long, value_parser = state)]
    pub(crate) state: Option<DeliveryState>,
    /// How many at most
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) webhook: WebhookArg,
    /// The delivery, by the id that `deliveries` lists
    #[arg(
        value_name = "DELIVERY",
        required_unless_present = "failed_since",
        conflicts_with = "failed_since"
    )]
    pub(crate) delivery: Option<String>,
    /// All that were given up of those since this moment: that long ago (24h, 7d), or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) failed_since: Option<Moment>,
}

fn state(text: &str) -> Result<DeliveryState, String> {
    DeliveryState::from_name(text).ok_or_else(|| "states are `pending`, `delivered` and `failed`".to_owned())
}
