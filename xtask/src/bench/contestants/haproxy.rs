//! HAProxy with the keys in a map and a rate per key in a stick table.
//!
//! It does the whole of a gate's job, as the other contestants with keys do: the upstream is told who calls
//! and from where, the credential stays behind, and the client is told its limit. `Job::CheckOnly` leaves
//! these out, to show what they cost.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;

use crate::bench::keys;
use crate::bench::places::{CONTESTANT_CPU, Folder, free_address};
use crate::bench::server::Server;
use crate::command::{Outcome, find};

/// How much of the job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Job {
    Whole,
    CheckOnly,
}

/// Starts one thread with the first 100,000 of `known` in its map.
pub(in crate::bench) fn start(
    folder: &Folder,
    upstream: SocketAddr,
    known: &[String],
    job: Job,
) -> Outcome<(Server, SocketAddr)> {
    let address = free_address()?;
    let mut map = String::with_capacity(known.len() * 64);
    for key in known.iter().take(keys::IN_MAPS) {
        let _ = writeln!(map, "{key} team");
    }
    let map = folder.write("haproxy.map", &map)?;
    let text = text(address, upstream, &map.display().to_string(), job);
    let config = folder.write(&format!("haproxy-{job:?}.cfg"), &text)?;
    let mut command = Command::new(find("haproxy").ok_or("haproxy is not installed")?);
    command.arg("-db").arg("-f").arg(config);
    let mut server =
        Server::start(CONTESTANT_CPU, &command, &folder.path().join(format!("haproxy-{job:?}.log")))?;
    server.wait_until_ready(address, "/")?;
    Ok((server, address))
}

fn text(address: SocketAddr, upstream: SocketAddr, map: &str, job: Job) -> String {
    let rest = match job {
        Job::CheckOnly => "",
        Job::Whole => {
            "  option forwardfor\n  unique-id-format %{+X}o%ci%cp%Ts%rt\n  unique-id-header x-request-id\n\
             \x20 http-request set-header x-consumer %[var(txn.consumer)]\n\
             \x20 http-request set-header x-forwarded-proto http\n\
             \x20 http-request set-header x-forwarded-host %[req.hdr(host)]\n\
             \x20 http-request del-header authorization\n\
             \x20 http-response set-header x-request-id %[unique-id]\n\
             \x20 http-response set-header ratelimit-policy 1000000;w=60\n\
             \x20 http-response set-header ratelimit used=%[sc0_http_req_rate(rates)]\n"
        }
    };
    format!(
        "global\n  nbthread 1\n  maxconn 9800\n  log /dev/null local0\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 60s\n\
         \x20 timeout http-keep-alive 600s\n  option http-keep-alive\n  http-reuse always\n\
         frontend gate\n  bind {address}\n\
         \x20 http-request set-var(txn.key) req.hdr(authorization),word(2,' ')\n\
         \x20 http-request set-var(txn.consumer) var(txn.key),map_str({map})\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.consumer) -m found }}\n\
         \x20 http-request track-sc0 var(txn.key) table rates\n\
         \x20 http-request deny deny_status 429 if {{ sc0_http_req_rate(rates) gt 1000000 }}\n\
         {rest}\
         \x20 default_backend up\n\
         backend rates\n  stick-table type string len 64 size 200k expire 60s store http_req_rate(60s)\n\
         backend up\n  server up {upstream} pool-max-conn 1024\n"
    )
}
