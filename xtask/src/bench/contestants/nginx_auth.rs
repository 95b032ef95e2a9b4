//! nginx with `auth_request` to an auth service of its own: what many people build first. The auth service is a
//! second nginx with the keys in a map, asked over kept connections; its CPU counts too. As with every
//! contestant that checks keys, the upstream is told who calls and the credential stays behind.

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
         location / {{ auth_request /judge; auth_request_set $consumer $upstream_http_x_consumer;\n\
         proxy_pass http://up; {KEEP_ALIVE} proxy_set_header Authorization '';\n\
         proxy_set_header X-Consumer $consumer; proxy_set_header X-Request-Id $request_id;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto http;\n\
         proxy_set_header X-Forwarded-Host $http_host; add_header X-Request-Id $request_id; }}\n\
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
        let _ = writeln!(map, "\"Bearer {key}\" team;");
    }
    let file = folder.write("nginx-judge.map", &map)?;
    let http = format!(
        "map $http_authorization $consumer {{ default ''; include {}; }}\n\
         server {{ listen {address} reuseport; location / {{ if ($consumer = '') {{ return 401; }}\n\
         add_header X-Consumer $consumer; return 204; }} }}",
        file.display()
    );
    Ok((launch(folder, "nginx-judge", CONTESTANT_CPU, &http, address)?, address))
}
