//! nginx with `auth_request` to an auth service of its own: what many people build first. The auth service is a
//! second nginx with the keys in a map, asked over kept connections; its CPU counts too.

use std::fmt::Write;
use std::net::SocketAddr;

use super::nginx::{KEEP_ALIVE, launch, pool};
use crate::bench::keys;
use crate::bench::places::{CONTESTANT_CPU, Folder, free_address};
use crate::bench::server::Server;
use crate::command::Outcome;

/// Starts both servers on the contestant's CPU. `known` are the keys in the map.
pub(in crate::bench) fn start(
    folder: &Folder,
    upstream: SocketAddr,
    known: &[String],
) -> Outcome<(Vec<Server>, SocketAddr)> {
    let (service, judge) = start_service(folder, known)?;
    let address = free_address()?;
    let http = format!(
        "{} {} server {{ listen {address} reuseport;\n\
         location / {{ auth_request /judge; proxy_pass http://up; {KEEP_ALIVE} }}\n\
         location = /judge {{ internal; proxy_pass http://judge; {KEEP_ALIVE}\n\
         proxy_pass_request_body off; proxy_set_header Content-Length ''; }} }}",
        pool("up", upstream),
        pool("judge", judge)
    );
    let proxy = launch(folder, "nginx-auth", CONTESTANT_CPU, &http, address)?;
    Ok((vec![proxy, service], address))
}

fn start_service(folder: &Folder, known: &[String]) -> Outcome<(Server, SocketAddr)> {
    let address = free_address()?;
    let mut map = String::with_capacity(known.len() * 64);
    for key in known.iter().take(keys::IN_MAPS) {
        let _ = writeln!(map, "\"Bearer {key}\" 1;");
    }
    let file = folder.write("nginx-judge.map", &map)?;
    let http = format!(
        "map $http_authorization $known {{ default 0; include {}; }}\n\
         server {{ listen {address} reuseport; location / {{ if ($known = 0) {{ return 401; }} return 204; }} }}",
        file.display()
    );
    Ok((launch(folder, "nginx-judge", CONTESTANT_CPU, &http, address)?, address))
}
