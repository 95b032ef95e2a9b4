//! Settings of the gateway that are not about sockets, each with its default and the reason for it.
//!
//! Bounds of connections, heads and idle times are the engine's ([`crate::http::bounds`]).

use std::time::Duration;

use ipnet::IpNet;
use tollgate_core::{limits::Gcra, webhook::Egress};

use crate::{assertion::AssertionKeys, bound_host::BoundHostOptions, http::bounds::PoolBounds};

/// Settings of the gateway.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Networks whose peers are believed when they say on whose behalf they call
    /// (`X-Forwarded-For`, `-Proto`, `-Host`). Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Bytes of a request body where the service says nothing. Default 100 MiB.
    pub body_bytes_max: u64,
    /// Upstream connections of one lane.
    pub pool: PoolBounds,
    /// Where upstreams may be: held to the public internet, because one tenant of several wrote them, or not
    /// ([`tollgate_core::reach`]). Default: no exceptions.
    pub upstream_egress: Egress,
    /// How many bad keys an address may show before its further bad keys get 429. Default 30 at
    /// once and 30 a minute: a broken script gets its answer, a guesser gets nowhere with 155 bits.
    pub bad_keys: Gcra,
    /// Threads for bcrypt and argon2 of imported keys. Default 2.
    pub slow_hash_threads: usize,
    /// Slow hashes that may wait for a thread; more get `overloaded`. Default 64.
    pub slow_hash_queue: usize,
    /// Resolving the hosts that keys are bound to.
    pub bound_hosts: BoundHostOptions,
    /// Bytes that batches of records on their way may take, over all lanes; more get `overloaded`.
    /// Default 256 MiB.
    pub ingest_bytes_max: u64,
    /// How long a large question to a model may wait to be read by the threads of the models; then it gets
    /// `overloaded`. Default 10 s.
    pub aside_timeout: Duration,
    /// Signs the assertions of services that ask for them; without keys their upstreams get none.
    pub assertion: Option<AssertionKeys>,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            body_bytes_max: 100 * 1024 * 1024,
            pool: PoolBounds::default(),
            upstream_egress: Egress { allow_http: true, ..Egress::default() },
            bad_keys: Gcra::new(30, 60_000_000_000, 30),
            slow_hash_threads: 2,
            slow_hash_queue: 64,
            bound_hosts: BoundHostOptions::default(),
            ingest_bytes_max: 256 << 20,
            aside_timeout: Duration::from_secs(10),
            assertion: None,
        }
    }
}
