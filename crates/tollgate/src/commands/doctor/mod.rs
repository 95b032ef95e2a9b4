//! `tollgate doctor`: looks at everything a node needs and says how to mend what is wrong.
//!
//! It goes on after a finding, changes nothing, and exits 1 when something is wrong.

mod checks;
mod finding;
mod influx;
mod kafka;
mod models;
mod redis;
mod sinks;

use serde::Serialize;

use self::{
    checks::{clock, database, descriptors, folder, listeners, providers, secret_files, smtp},
    finding::{Finding, Outcome},
};
use crate::{
    cli::Global,
    config::{self, LoadError},
    context::Context,
    failure::Failure,
    print::{self, Printer},
};

#[derive(Serialize)]
struct Examination {
    healthy: bool,
    checks: Vec<Finding>,
}

pub(crate) async fn run(global: &Global) -> Result<(), Failure> {
    let printer = Printer::new(global.output);
    let mut checks = Vec::new();
    let loaded = config::load(config::Options {
        file: global.config.clone(),
        data_dir: global.data_dir.clone(),
        flags: global.settings.clone(),
    });
    match loaded {
        Err(error) => checks.extend(configuration_findings(&error)),
        Ok(config) => {
            checks.push(Finding::ok("configuration", "every setting can be used"));
            let context = Context::with(config, printer);
            checks.extend(examine(&context).await);
        }
    }
    let healthy = !checks.iter().any(|finding| finding.outcome == Outcome::Wrong);
    let examination = Examination { healthy, checks };
    printer.result(&examination, || in_words(&examination))?;
    if healthy { Ok(()) } else { Err(Failure::Said) }
}

fn configuration_findings(error: &LoadError) -> Vec<Finding> {
    match error {
        LoadError::Settings(errors) => errors
            .iter()
            .map(|error| Finding::wrong("configuration", error.to_string(), "correct the setting"))
            .collect(),
        LoadError::File { .. } => {
            vec![Finding::wrong("configuration", error.to_string(), "give the right file with --config")]
        }
    }
}

async fn examine(context: &Context) -> Vec<Finding> {
    let config = &context.config;
    let mut checks = database(context).await;
    checks.push(folder("data folder", &config.data_dir));
    checks.push(folder("journal folder", &config.journal_dir()));
    checks.extend(secret_files(config));
    checks.push(clock(context));
    checks.push(descriptors());
    checks.extend(listeners(config));
    checks.push(smtp(config).await);
    checks.extend(providers(context).await);
    checks.extend(redis::redis(config).await);
    let found = kafka::kafka(config).await;
    let has_kafka = found.is_some();
    checks.extend(found);
    let found = influx::influx(config).await;
    let has_influx = found.is_some();
    checks.extend(found);
    checks.extend(models::models(context).await);
    let used = config.people.providers();
    let absent = [
        ("redis", config.redis.url.is_some()),
        ("kafka", has_kafka),
        ("influx", has_influx),
        ("ldap", used.ldap.is_some()),
        ("oidc", used.oidc.is_some()),
    ];
    let absent = absent.into_iter().filter(|(_, is_used)| !is_used);
    checks.extend(absent.map(|(name, _)| Finding::absent(name)));
    checks
}

fn in_words(examination: &Examination) -> String {
    let rows = examination.checks.iter().map(|finding| {
        let outcome = match finding.outcome {
            Outcome::Ok => "ok",
            Outcome::Warning => "warning",
            Outcome::Wrong => "WRONG",
            Outcome::NotConfigured => "-",
        };
        let found = if finding.remedy.is_empty() {
            finding.found.clone()
        } else {
            format!("{}\n→ {}", finding.found, finding.remedy)
        };
        [finding.check.to_owned(), outcome.to_owned(), found]
    });
    let table = print::table(["check", "is", "found"], rows);
    let end = if examination.healthy { "Nothing is wrong." } else { "Something is wrong; see above." };
    format!("{table}\n\n{end}")
}
