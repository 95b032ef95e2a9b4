//! What each command does. Each file reads flags, calls the store, and prints; none decides.

mod apply;
mod audit;
mod blocks;
mod doctor;
mod events;
mod explain;
mod going;
mod import;
mod ingested;
mod init;
mod invoice;
mod keys;
mod ledger;
mod listed;
mod members;
mod meters;
mod models;
mod notices;
mod outbox;
mod policies;
mod recorded;
mod reminders;
mod rules;
mod secrets;
mod service_tokens;
mod thresholds;
mod usage;
mod view;
mod webhooks;

use crate::{
    cli::{Command, Global, ModelsCommand},
    context::Context,
    failure::Failure,
};

/// Runs a command that ends by itself.
pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    if matches!(command, Command::Doctor) {
        return Box::pin(doctor::run(global)).await;
    }
    if let Command::Models(ModelsCommand::Check(args)) = &command {
        return models::check(global, args);
    }
    let context = Context::new(global)?;
    match command {
        Command::Init(args) => init::run(&context, args).await,
        Command::Apply(args) => apply::run(&context, &args).await,
        Command::Export => apply::export(&context).await,
        Command::Keys(command) => keys::run(&context, command).await,
        Command::Explain(args) => explain::run(&context, args).await,
        Command::Events(command) => events::run(&context, command).await,
        Command::Webhooks(command) => webhooks::run(&context, command).await,
        Command::Models(command) => models::run(&context, command).await,
        Command::Meters(command) => meters::run(&context, command).await,
        Command::Outbox(command) => outbox::run(&context, command).await,
        Command::Rules(command) => rules::run(&context, command).await,
        Command::Blocks(command) => blocks::run(&context, command).await,
        Command::Policies(command) => policies::run(&context, command).await,
        Command::Audit(command) => audit::run(&context, command).await,
        Command::Usage(args) => usage::run(&context, args).await,
        Command::Ledger(command) => ledger::run(&context, command).await,
        Command::Budgets(command) => ledger::budgets(&context, command).await,
        Command::ServiceTokens(command) => service_tokens::run(&context, command).await,
        Command::Secrets(command) => secrets::run(&context, command).await,
        Command::Members(command) => members::run(&context, command).await,
        Command::Doctor => Box::pin(doctor::run(global)).await,
        Command::Demo(args) => crate::demo::run(global, args).await,
        Command::Serve(args) => crate::serve::run(context, &args).await,
    }
}
