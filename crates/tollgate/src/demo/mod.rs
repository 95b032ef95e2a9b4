//! `tollgate demo`: a whole installation on loopback, with something in it, to try.
//!
//! It is the product itself: the same node, store and command line, in a data folder of its own,
//! in front of a sample upstream in this process. It never touches another database: neither a
//! configuration file nor the environment decides where its data is.

mod config;
mod furnish;
mod place;
mod report;
mod samples;
mod upstream;

use std::path::{Path, PathBuf};

use crate::{
    cli::{DemoArgs, Global, Role},
    context::Context,
    failure::Failure,
    print::{Printer, say},
    serve::{Node, Signals, prepare_process},
    telemetry::{start_log, start_metrics},
};

/// The demo's folder when `--data-dir` says nothing else.
const FOLDER: &str = "./tollgate-data/demo";
/// The data folder of every other command, as the command line has it.
const ORDINARY_FOLDER: &str = "./tollgate-data";
/// A node with everything.
const ROLES: [Role; 4] = [Role::Gateway, Role::ServiceApi, Role::Control, Role::Workers];

pub(crate) async fn run(global: &Global, args: DemoArgs) -> Result<(), Failure> {
    let config = config::config(global, folder(&global.data_dir), args.once)?;
    prepare_process();
    start_log(&config.log)?;
    let metrics = start_metrics()?;
    let mut signals = Signals::new()?;
    let context = Context::with(config, Printer::new(global.output));
    let upstream = upstream::start().await?;
    let furnished = furnish::furnish(&context, upstream).await?;
    let node = Node::start(&context, &ROLES, metrics).await?;
    let place = place::Place::of(node.addresses(), upstream, &context.config.data_dir)?;
    let outcomes = samples::send_all(&place, &furnished).await?;
    if args.once {
        node.drain().await?;
        report::once(&context, &place, &outcomes)?;
        let strange = outcomes.iter().filter(|outcome| !outcome.is_as_expected()).count();
        if strange > 0 {
            return Err(Failure::failed(format!(
                "{strange} of the sample requests did not end as they should"
            )));
        }
        return Ok(());
    }
    report::running(&context, &place, &furnished, &outcomes)?;
    let name = signals.next().await;
    say(&format!("\n{name}: ending; once more ends at once."));
    tokio::select! {
        drained = node.drain() => drained,
        _ = signals.next() => Err(Failure::Said),
    }
}

fn folder(asked: &Path) -> PathBuf {
    if asked == Path::new(ORDINARY_FOLDER) { PathBuf::from(FOLDER) } else { asked.to_owned() }
}
