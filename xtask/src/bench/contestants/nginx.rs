//! nginx as a bare proxy: the floor that a gateway is held against.

use std::net::SocketAddr;
use std::process::Command;

use crate::bench::places::{CONTESTANT_CPU, Folder, free_address};
use crate::bench::server::Server;
use crate::command::{Outcome, find};

/// Starts a bare proxy to `upstream`.
pub(in crate::bench) fn start(folder: &Folder, upstream: SocketAddr) -> Outcome<(Server, SocketAddr)> {
    let address = free_address()?;
    let http = format!(
        "{} server {{ listen {address} reuseport; location / {{ proxy_pass http://up; {KEEP_ALIVE} }} }}",
        pool("up", upstream)
    );
    Ok((launch(folder, "nginx", CONTESTANT_CPU, &http, address)?, address))
}

/// What makes nginx keep its connections to an upstream. Both lines must stand in the location itself: a location
/// with any `proxy_set_header` of its own inherits none, and then opens a connection for every request.
pub(super) const KEEP_ALIVE: &str =
    "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_request_buffering off;";

/// A named upstream with idle connections kept.
pub(super) fn pool(name: &str, upstream: SocketAddr) -> String {
    format!("upstream {name} {{ server {upstream}; keepalive 1024; keepalive_requests 100000000; }}")
}

/// Starts nginx with one worker and the given text in its `http` block.
pub(super) fn launch(
    folder: &Folder,
    name: &str,
    cpu: &str,
    http: &str,
    address: SocketAddr,
) -> Outcome<Server> {
    let home = folder.path().join(name);
    std::fs::create_dir_all(&home)?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", home.display()))
        .concat();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let text = format!(
        "daemon off; worker_processes 1; {user} pid {home}/pid; error_log stderr error;\n\
         events {{ worker_connections 19000; multi_accept on; }}\n\
         http {{\n access_log off; keepalive_timeout 600s; keepalive_requests 100000000; server_tokens off;\n\
         {temporary} map_hash_max_size 524288; map_hash_bucket_size 128;\n {http}\n}}\n",
        home = home.display()
    );
    let config = folder.write(&format!("{name}.conf"), &text)?;
    let program = find("nginx").ok_or("nginx is not installed")?;
    let mut command = Command::new(program);
    command.arg("-e").arg(home.join("error.log")).arg("-p").arg(&home).arg("-c").arg(config);
    let mut server = Server::start(cpu, &command, &folder.path().join(format!("{name}.log")))?;
    server.wait_until_ready(address, "/")?;
    Ok(server)
}
