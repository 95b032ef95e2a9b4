//! The proxy with a key check, against what people use today.

use super::contestants::haproxy::Job;
use super::contestants::tollgate::Tollgate;
use super::contestants::{envoy, haproxy, nginx, nginx_auth, upstream};
use super::load::{self, Requests};
use super::places::Folder;
use super::report::{self, Aim};
use super::rounds::{self, Contestant, Result};
use super::{Options, keys};
use crate::command::Outcome;

pub(super) const TOLLGATE: &str = "tollgate";
const OPEN: &str = "tollgate-no-checks";
const NGINX: &str = "nginx";
const NGINX_AUTH: &str = "nginx-auth_request";
const HAPROXY: &str = "haproxy-map-rate";
const HAPROXY_CHECK: &str = "haproxy-check-only";
const ENVOY: &str = "envoy-api_key_auth";

pub(super) fn run(options: &Options) -> Outcome {
    let folder = Folder::fresh("gateway")?;
    let (_upstream, upstream) = upstream::start(&folder)?;
    let mut contestants = peers(options, &folder, upstream)?;
    let mut aims = Vec::new();
    let mut empty_mb = None;
    if options.wants(TOLLGATE) || options.wants(OPEN) {
        let (ours, empty) = tollgate(options, &folder, upstream, &mut aims)?;
        contestants.extend(ours);
        empty_mb = Some(empty);
    }
    let results = rounds::run(&contestants, options)?;
    report::print_table(&results);
    report::print_data_plane(&results, TOLLGATE, NGINX);
    if options.threads {
        report::print_threads(&results);
    }
    aims.splice(0..0, relative_aims(&results));
    // After the load, when what only the start needed has been given back.
    let resident =
        results.iter().find(|result| result.name == TOLLGATE).and_then(|result| result.runs.last());
    if let (Some(run), Some(empty)) = (resident, empty_mb) {
        let now = (run.resident_mb - empty) * 1024.0 * 1024.0 / options.keys as f64;
        aims.push(Aim {
            what: "resident memory for each key".to_owned(),
            now,
            at_most: 300.0,
            unit: "bytes",
        });
    }
    report::print_aims(&aims);
    Ok(())
}

/// The peers asked for. They all get the same list of keys, which holds those in use.
fn peers(options: &Options, folder: &Folder, upstream: std::net::SocketAddr) -> Outcome<Vec<Contestant>> {
    let script = load::script(folder, "get", options.keys, &Requests::Get)?;
    let mut known: Vec<String> = keys::in_use(options.keys).collect();
    known.extend((0..keys::IN_MAPS - known.len()).map(|index| keys::key(usize::MAX - index)));
    let mut contestants = Vec::new();
    let mut add = |name, servers, address| {
        contestants.push(Contestant { name, address, script: script.clone(), servers, shares: None });
    };
    if options.wants(NGINX) {
        let (server, address) = nginx::start(folder, upstream)?;
        add(NGINX, vec![server], address);
    }
    if options.wants(NGINX_AUTH) {
        let (servers, address) = nginx_auth::start(folder, upstream, &known)?;
        add(NGINX_AUTH, servers, address);
    }
    if options.wants(HAPROXY) {
        let (server, address) = haproxy::start(folder, upstream, &known, Job::Whole)?;
        add(HAPROXY, vec![server], address);
    }
    if options.wants(HAPROXY_CHECK) {
        let (server, address) = haproxy::start(folder, upstream, &known, Job::CheckOnly)?;
        add(HAPROXY_CHECK, vec![server], address);
    }
    if options.wants(ENVOY) {
        let (server, address) = envoy::start(folder, upstream, &known)?;
        add(ENVOY, vec![server], address);
    }
    Ok(contestants)
}

/// Tollgate under two loads: with a key and all checks, and to a service that needs no key; and the memory in MB
/// that it takes without any keys.
fn tollgate(
    options: &Options,
    folder: &Folder,
    upstream: std::net::SocketAddr,
    aims: &mut Vec<Aim>,
) -> Outcome<(Vec<Contestant>, f64)> {
    let binary = options.tollgate()?;
    let empty = Tollgate::prepare(binary.clone(), upstream, 0, options.fresh)?.start(folder)?.resident_mb;
    let tollgate = Tollgate::prepare(binary, upstream, options.keys, options.fresh)?;
    let start = tollgate.start(folder)?;
    println!("resident memory: {empty:.0} MB without keys, {:.0} MB when ready", start.resident_mb);
    aims.push(Aim {
        what: format!("start with {} keys in SQLite until ready", options.keys),
        now: start.ready_after.as_secs_f64(),
        at_most: 5.0,
        unit: "s",
    });
    let script = load::script(folder, "get", options.keys, &Requests::Get)?;
    let text = std::fs::read_to_string(&script)?.replace("\"/bench\"", "\"/open\"");
    let open = folder.write("open.lua", &text)?;
    let address = tollgate.gateway();
    let pid = start.server.pid();
    let contestants = vec![
        Contestant { name: TOLLGATE, address, script, servers: vec![start.server], shares: None },
        Contestant { name: OPEN, address, script: open, servers: Vec::new(), shares: Some(pid) },
    ];
    Ok((contestants, empty))
}

/// What the project promises about the gateway, as far as the contestants asked for allow to tell.
fn relative_aims(results: &[Result]) -> Vec<Aim> {
    let mut aims: Vec<Aim> = [(NGINX, 1.25), (NGINX_AUTH, 0.5), (HAPROXY, 0.7), (ENVOY, 0.45)]
        .iter()
        .filter_map(|(peer, at_most)| report::ratio_aim(results, TOLLGATE, peer, *at_most))
        .collect();
    let user = report::user_time(results, TOLLGATE);
    if let Some(now) = user {
        aims.push(Aim { what: "user time a request".to_owned(), now, at_most: 10.0, unit: "µs" });
    }
    if let (Some(with), Some(without)) = (user, report::user_time(results, OPEN)) {
        aims.push(Aim {
            what: "user time of the checks".to_owned(),
            now: with - without,
            at_most: 2.5,
            unit: "µs",
        });
    }
    let calls = results.iter().find(|result| result.name == TOLLGATE).and_then(|result| result.syscalls);
    if let Some(now) = calls {
        aims.push(Aim { what: "system calls a request".to_owned(), now, at_most: 4.5, unit: "" });
    }
    aims
}
