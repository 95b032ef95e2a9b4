//! HAProxy with the keys in a map and a rate per key in a stick table.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;

use crate::bench::keys;
use crate::bench::places::{CONTESTANT_CPU, Folder, free_address};
use crate::bench::server::Server;
use crate::command::{Outcome, find};

/// Starts one thread with the first 100,000 of `known` in its map.
pub(in crate::bench) fn start(
    folder: &Folder,
    upstream: SocketAddr,
    known: &[String],
) -> Outcome<(Server, SocketAddr)> {
    let address = free_address()?;
    let mut map = String::with_capacity(known.len() * 64);
    for key in known.iter().take(keys::IN_MAPS) {
        let _ = writeln!(map, "{key} standard");
    }
    let map = folder.write("haproxy.map", &map)?;
    let config = folder.write("haproxy.cfg", &text(address, upstream, &map.display().to_string()))?;
    let mut command = Command::new(find("haproxy").ok_or("haproxy is not installed")?);
    command.arg("-db").arg("-f").arg(config);
    let mut server = Server::start(CONTESTANT_CPU, &command, &folder.path().join("haproxy.log"))?;
    server.wait_until_ready(address, "/")?;
    Ok((server, address))
}

fn text(address: SocketAddr, upstream: SocketAddr, map: &str) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 9800\n  log /dev/null local0\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 60s\n\
         \x20 timeout http-keep-alive 600s\n  option http-keep-alive\n  http-reuse always\n\
         frontend gate\n  bind {address}\n\
         \x20 http-request set-var(txn.key) req.hdr(authorization),word(2,' ')\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.key),map_str({map}) -m found }}\n\
         \x20 http-request track-sc0 var(txn.key) table rates\n\
         \x20 http-request deny deny_status 429 if {{ sc0_http_req_rate(rates) gt 1000000 }}\n\
         \x20 default_backend up\n\
         backend rates\n  stick-table type string len 64 size 200k expire 60s store http_req_rate(60s)\n\
         backend up\n  server up {upstream} pool-max-conn 1024\n"
    )
}
