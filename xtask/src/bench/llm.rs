//! Calls to models, whole and streamed: Tollgate with key, model grant, two budgets, reservation and settlement,
//! against LiteLLM and Portkey, which do less here, and a bare nginx, which does nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::contestants::models::{self, MODEL, Models};
use super::contestants::tollgate::Tollgate;
use super::contestants::{litellm, nginx, portkey};
use super::load::{self, Requests};
use super::places::Folder;
use super::report::{self, Aim};
use super::rounds::{self, Contestant};
use super::server::Server;
use super::{Options, keys};
use crate::command::Outcome;
use crate::needs;

/// Names of a contestant in both forms: whole answers, streamed ones.
type Names = [&'static str; 2];
const TOLLGATE: Names = ["tollgate", "tollgate-streamed"];
const NGINX: Names = ["nginx", "nginx-streamed"];
const LITELLM: Names = ["litellm", "litellm-streamed"];
const PORTKEY: Names = ["portkey", "portkey-streamed"];
/// What Tollgate may add until the first token, in microseconds at the median.
const FIRST_TOKEN_US_MAX: f64 = 300.0;

pub(super) fn run(options: &Options) -> Outcome {
    needs::provide(needs::OPENID)?;
    let folder = Folder::fresh("llm")?;
    let models = models::start(&folder)?;
    let mut contestants = Vec::new();
    let tollgate = ours(options, &folder, &models, &mut contestants)?;
    peers(options, &folder, &models, &mut contestants)?;
    let results = rounds::run(&contestants, options)?;
    report::print_table(&results);
    if options.threads {
        report::print_threads(&results);
    }
    let mut aims = Vec::new();
    for form in [0, 1] {
        for (peer, at_most) in [(LITELLM, 1.0 / 100.0), (PORTKEY, 1.0 / 12.0), (NGINX, 4.0)] {
            aims.extend(report::ratio_aim(&results, TOLLGATE[form], peer[form], at_most));
        }
    }
    if let Some(script) = tollgate {
        aims.push(first_token(options, &script, models.streamed, &contestants)?);
    }
    report::print_aims(&aims);
    Ok(())
}

/// Tollgate under both loads; the script of streamed calls.
fn ours(
    options: &Options,
    folder: &Folder,
    models: &Models,
    contestants: &mut Vec<Contestant>,
) -> Outcome<Option<PathBuf>> {
    if !TOLLGATE.iter().any(|name| options.wants(name)) {
        return Ok(None);
    }
    let count = keys::IN_USE;
    let tollgate =
        Tollgate::furnished(options.tollgate()?, "models", &resources(models), count, options.fresh)?;
    let start = tollgate.start(folder)?;
    let pid = start.server.pid();
    let headers = r#"["Authorization"] = "Bearer " .. key,"#;
    let paths = ["/plain/v1/chat/completions", "/streamed/v1/chat/completions"];
    let scripts = scripts(folder, "tollgate", paths, [headers, headers], [MODEL, MODEL])?;
    let streamed = scripts[1].clone();
    add(contestants, TOLLGATE, tollgate.gateway(), scripts, start.server, pid);
    Ok(Some(streamed))
}

fn peers(options: &Options, folder: &Folder, models: &Models, contestants: &mut Vec<Contestant>) -> Outcome {
    const PATH: &str = "/v1/chat/completions";
    let wants = |names: Names| names.iter().any(|name| options.wants(name));
    if wants(NGINX) {
        let scripts = scripts(folder, "nginx", [PATH, PATH], ["", ""], [MODEL, MODEL])?;
        for ((name, script), upstream) in NGINX.into_iter().zip(scripts).zip([models.plain, models.streamed])
        {
            let (server, address) = nginx::start(&folder.below(name)?, upstream)?;
            contestants.push(Contestant { name, address, script, servers: vec![server], shares: None });
        }
    }
    if wants(PORTKEY) {
        let (server, address) = portkey::start(folder)?;
        let headers = [models.plain, models.streamed].map(|upstream| {
            format!(
                r#"["Authorization"] = "Bearer sk-x", ["x-portkey-provider"] = "openai", ["x-portkey-custom-host"] = "http://{upstream}/v1","#
            )
        });
        let headers = [headers[0].as_str(), headers[1].as_str()];
        let scripts = scripts(folder, "portkey", [PATH, PATH], headers, [MODEL, MODEL])?;
        let pid = server.pid();
        add(contestants, PORTKEY, address, scripts, server, pid);
    }
    if wants(LITELLM) {
        let (server, address) = litellm::start(folder, models)?;
        let headers = format!(r#"["Authorization"] = "Bearer {}","#, litellm::MASTER_KEY);
        let headers = [headers.as_str(), headers.as_str()];
        let scripts = scripts(folder, "litellm", [PATH, PATH], headers, ["plain", "streamed"])?;
        let pid = server.pid();
        add(contestants, LITELLM, address, scripts, server, pid);
    }
    Ok(())
}

/// One process under two loads.
fn add(
    contestants: &mut Vec<Contestant>,
    names: Names,
    address: SocketAddr,
    scripts: [PathBuf; 2],
    server: Server,
    pid: u32,
) {
    let [plain, streamed] = scripts;
    let [one, two] = names;
    contestants.push(Contestant { name: one, address, script: plain, servers: vec![server], shares: None });
    let shares = Some(pid);
    contestants.push(Contestant { name: two, address, script: streamed, servers: Vec::new(), shares });
}

/// The scripts of whole and of streamed calls.
fn scripts(
    folder: &Folder,
    name: &str,
    paths: Names,
    headers: [&str; 2],
    models: [&str; 2],
) -> Outcome<[PathBuf; 2]> {
    let [plain, streamed] = [0, 1].map(|form| {
        let requests = Requests::Post {
            path: paths[form],
            headers: headers[form].to_owned(),
            body: body(models[form], form == 1),
        };
        load::script(folder, &format!("{name}-{form}"), keys::IN_USE, &requests)
    });
    Ok([plain?, streamed?])
}

fn body(model: &str, is_streamed: bool) -> String {
    let words = "Which of the roads into the town has a gate, and what does it cost? ".repeat(3);
    let stream = if is_streamed { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"system","content":"You are brief."}},{{"role":"user","content":"{words}"}}],"max_completion_tokens":200{stream}}}"#
    )
}

/// What Tollgate adds to the time of a streamed call that is alone.
fn first_token(
    options: &Options,
    script: &std::path::Path,
    upstream: SocketAddr,
    contestants: &[Contestant],
) -> Outcome<Aim> {
    let ours = contestants.iter().find(|contestant| contestant.name == TOLLGATE[1]);
    let address = ours.ok_or("tollgate is not there")?.address;
    let mut added = Vec::new();
    for _ in 0..options.rounds {
        let direct = load::run(script, upstream, 1, options.seconds)?;
        let through = load::run(script, address, 1, options.seconds)?;
        added.push(through.p50_us - direct.p50_us);
    }
    Ok(Aim {
        what: "added until the first token of a call that is alone, median".to_owned(),
        now: report::median(added),
        at_most: FIRST_TOKEN_US_MAX,
        unit: "µs",
    })
}

/// One project with two services, as the answers are whole or streamed, and budgets of consumer and project that
/// are wide enough that nothing is refused.
fn resources(models: &Models) -> String {
    let service = |name: &str, upstream: SocketAddr| {
        format!(
            r#"
[[service]]
project = "bench"
name = "{name}"
kind = "llm"
provider = "openai"
match = {{ path_prefix = "/{name}" }}
strip_prefix = true
upstreams = ["http://{upstream}"]
credential = {{ env = "HOME" }}
"#
        )
    };
    format!(
        r#"
[[project]]
tenant = "default"
name = "bench"
key_prefix = "tg"
{}{}
[[policy]]
project = "bench"
name = "standard"
services = ["*"]
models = ["gpt-*"]
  [[policy.limit]]
  name = "burst"
  amount = 100000000
  window = "1m"
  per = "key"

[[consumer]]
project = "bench"
name = "load"

[[budget]]
project = "bench"
consumer = "load"
currency = "USD"
amount = "100000000"
period = "month"

[[budget]]
project = "bench"
currency = "USD"
amount = "100000000"
period = "month"
"#,
        service("plain", models.plain),
        service("streamed", models.streamed)
    )
}
