//! The upstream, and the constant answer that verify is held against: nginx with `return 200`.

use std::net::SocketAddr;

use crate::bench::places::{Folder, LOAD_CPU, free_address};
use crate::bench::server::Server;
use crate::command::Outcome;

use super::nginx;

/// Bytes of the upstream's answers.
const BODY_BYTES: usize = 200;

/// Starts the upstream on the load's CPU.
pub(in crate::bench) fn start(folder: &Folder) -> Outcome<(Server, SocketAddr)> {
    constant(folder, "upstream", LOAD_CPU, &"u".repeat(BODY_BYTES))
}

/// Starts an nginx that answers every request with one text.
pub(in crate::bench) fn constant(
    folder: &Folder,
    name: &str,
    cpu: &str,
    body: &str,
) -> Outcome<(Server, SocketAddr)> {
    let address = free_address()?;
    let http = format!(
        "server {{ listen {address} reuseport; location / {{ default_type application/json; return 200 '{body}'; }} }}"
    );
    Ok((nginx::launch(folder, name, cpu, &http, address)?, address))
}
