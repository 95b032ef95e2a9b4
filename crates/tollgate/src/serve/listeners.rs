//! From settings to what the gateway and the engine take.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use tollgate_core::{limits::Gcra, secret::Secret};
use tollgate_gateway::{
    assertion::AssertionKeys,
    http::{
        bounds::{Bounds, PoolBounds},
        serve::{Listener, Tls},
    },
    options::GatewayOptions,
};

use crate::{
    config::{Config, Gateway as GatewayConfig, Listener as ListenerConfig},
    failure::Failure,
};

const MINUTE_NS: u64 = 60_000_000_000;

/// How many lanes a listener gets.
pub(super) fn lanes(config: &Config) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    match config.gateway.threads {
        0 => u16::try_from(cores()).unwrap_or(256).min(256),
        threads => threads,
    }
}

/// Where and how a listener accepts. Both listeners of the engine share the gateway's bounds.
pub(super) fn listener(config: &Config, own: &ListenerConfig) -> Result<Listener, Failure> {
    ensure_free(own.listen)?;
    let tls = match (&own.tls_cert, &own.tls_key) {
        (Some(cert), Some(key)) => Some(Tls { cert: cert.clone(), key: key.clone() }),
        _ => None,
    };
    let gateway = &config.gateway;
    let bounds = Bounds {
        head_bytes_max: gateway.head_bytes_max,
        head_timeout: gateway.head_timeout,
        keep_alive_idle: gateway.keep_alive_idle,
        body_idle: gateway.body_idle,
        body_rate_min: gateway.body_rate_min,
        held_body_timeout: gateway.held_body_timeout,
        write_idle: gateway.write_idle,
        write_rate_min: gateway.write_rate_min,
        tunnel_idle: gateway.tunnel_idle,
        connections_max: gateway.connections_max,
        connections_per_ip_max: gateway.connections_per_ip_max,
        ..Bounds::default()
    };
    Ok(Listener { bind: own.listen, tls, bounds })
}

/// Where clients reach the gateway: as the settings say, or else where it listens.
pub(super) fn gateway_url(gateway: &GatewayConfig, listening: Option<SocketAddr>) -> Option<String> {
    if let Some(url) = &gateway.public_url {
        return Some(url.clone());
    }
    let mut address = listening?;
    if address.ip().is_unspecified() {
        // All addresses of the machine, of which this one is certain.
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let scheme = if gateway.listener.tls_cert.is_some() { "https" } else { "http" };
    Some(format!("{scheme}://{address}"))
}

/// The engine shares ports between its lanes, so the kernel would let a second process share them
/// too, and each would get a part of the requests. Such a start is refused.
fn ensure_free(address: SocketAddr) -> Result<(), Failure> {
    if address.port() == 0 {
        return Ok(());
    }
    std::net::TcpListener::bind(address).map(drop).map_err(|error| cannot_listen(address, &error))
}

/// An address that cannot be had, in words.
pub(super) fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let remedy = match error.kind() {
        std::io::ErrorKind::AddrInUse => "stop the other program, or choose another port",
        std::io::ErrorKind::AddrNotAvailable => "use an address of this machine",
        std::io::ErrorKind::PermissionDenied => "use a port above 1023, or grant CAP_NET_BIND_SERVICE",
        _ => "choose another address",
    };
    Failure::failed(format!("cannot listen on {address}: {error}; {remedy}"))
}

/// What the pipeline takes.
pub(super) fn options(config: &Config) -> Result<GatewayOptions, Failure> {
    let gateway = &config.gateway;
    Ok(GatewayOptions {
        trusted_proxies: gateway.trusted_proxies.clone(),
        body_bytes_max: gateway.body_bytes_max,
        pool: PoolBounds { connections_max: gateway.upstream_connections_max, ..PoolBounds::default() },
        bad_keys: Gcra::new(gateway.bad_keys_per_minute, MINUTE_NS, gateway.bad_keys_per_minute),
        slow_hash_threads: gateway.slow_hash_threads,
        upstream_egress: config.upstreams.egress(),
        ingest_bytes_max: config.events.reading_bytes_max,
        assertion: assertion(config)?,
        ..GatewayOptions::default()
    })
}

fn assertion(config: &Config) -> Result<Option<AssertionKeys>, Failure> {
    let Some(path) = &config.assertion.key_file else { return Ok(None) };
    let keys = read_keys(path)?;
    let keys = AssertionKeys::new(&keys, &config.assertion.issuer)
        .map_err(|error| Failure::failed(format!("assertion.key_file {}: a key {error}", path.display())))?;
    Ok(Some(keys))
}

fn read_keys(path: &Path) -> Result<Vec<Secret<Vec<u8>>>, Failure> {
    let unusable = |problem: String| {
        Failure::failed(format!(
            "assertion.key_file {}: {problem}; make one with `openssl genpkey -algorithm ed25519 -out {}`",
            path.display(),
            path.display()
        ))
    };
    PrivatePkcs8KeyDer::pem_file_iter(path)
        .map_err(|error| unusable(error.to_string()))?
        .map(|key| match key {
            Ok(key) => Ok(Secret::new(key.secret_pkcs8_der().to_vec())),
            Err(error) => Err(unusable(error.to_string())),
        })
        .collect()
}
