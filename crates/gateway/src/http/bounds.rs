//! Every bound of the engine, each with its default and the reason for it.
//!
//! Times are checked by a tick of [`TICK_MS`]; a time-out fires up to two ticks late, never early.

use std::time::Duration;

/// How often a lane looks for time-outs, in milliseconds. One timer for a whole lane instead of one per
/// request keeps timers out of the cost of a request.
pub const TICK_MS: u64 = 50;

/// Bounds of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one request head, request line and fields together. Default 32 KiB.
    pub head_bytes_max: usize,
    /// Fields of one request head; at most 100, which is also the codec's own limit. Default 100.
    pub fields_max: usize,
    /// Bytes of the request target. Default 8 KiB.
    pub target_bytes_max: usize,
    /// From the first byte of a head to its last; also the time for the first byte of a connection.
    /// Default 10 s: a head fits into one packet.
    pub head_timeout: Duration,
    /// How long a connection may rest between requests. Default 60 s.
    pub keep_alive_idle: Duration,
    /// How long a request body may stay silent while we wait for it. Default 60 s.
    pub body_idle: Duration,
    /// Least average bytes per second of a request body, counting only time spent waiting for the client,
    /// after [`Bounds::body_grace`]. Default 240: what a slow modem did. 0 turns the check off.
    pub body_rate_min: u64,
    /// How long a body may be slower than [`Bounds::body_rate_min`]. Default 15 s.
    pub body_grace: Duration,
    /// How long a request body may take that is held whole before anything is done with it (records, questions to
    /// models, calls of models, signed requests), counting only time spent waiting for the client. Default 5 min:
    /// 16 MiB at half a megabit per second. What a proxy passes on as it comes has no such bound.
    pub held_body_timeout: Duration,
    /// How long the client may leave no room for bytes we want to send, in all; bytes it takes give time back.
    /// Default 60 s.
    pub write_idle: Duration,
    /// Bytes per second that a client has to take in the long run while bytes wait for it: each byte it takes
    /// gives back the time that it takes at this rate. Default 240, as for [`Bounds::body_rate_min`]. 0: any
    /// byte gives back all. On a stream of HTTP/2 it is seen by pieces of up to 16 KiB what is taken, and one that
    /// stops altogether is ended after at most twice [`Bounds::write_idle`].
    pub write_rate_min: u64,
    /// How long a tunnel (WebSocket) may be silent in both directions. Default 5 min.
    pub tunnel_idle: Duration,
    /// TLS handshake, from accept to finished. Default 10 s.
    pub handshake_timeout: Duration,
    /// Connections open at once on all lanes of the listener; more are closed unread. Default 65,536.
    pub connections_max: usize,
    /// Connections open at once from one IPv4 address or IPv6 /64. Default 16,384: a reverse proxy in
    /// front of the gateway is one address.
    pub connections_per_ip_max: usize,
    /// Requests on one HTTP/1 connection before it is closed; 0 for no bound. Default 0.
    pub requests_per_connection_max: u32,
    /// Streams open at once on one HTTP/2 connection. Default 100.
    pub h2_streams_max: u32,
    /// Streams the peer may reset before we accepted them (CVE-2023-44487, rapid reset). Default 20.
    pub h2_pending_resets_max: usize,
    /// Streams we reset because of the peer's errors (CVE-2025-8671, MadeYouReset). Default 128.
    pub h2_local_resets_max: usize,
    /// Bytes of one HTTP/2 connection's send buffer per stream. Default 256 KiB.
    pub h2_send_buffer_bytes: usize,
    /// Silence after which an HTTP/2 peer is pinged. Default 30 s.
    pub h2_ping_every: Duration,
    /// How long the answer to a ping may take. Default 20 s.
    pub h2_ping_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            fields_max: 100,
            target_bytes_max: 8 * 1024,
            head_timeout: Duration::from_secs(10),
            keep_alive_idle: Duration::from_secs(60),
            body_idle: Duration::from_secs(60),
            body_rate_min: 240,
            body_grace: Duration::from_secs(15),
            held_body_timeout: Duration::from_secs(300),
            write_idle: Duration::from_secs(60),
            write_rate_min: 240,
            tunnel_idle: Duration::from_secs(300),
            handshake_timeout: Duration::from_secs(10),
            connections_max: 65_536,
            connections_per_ip_max: 16_384,
            requests_per_connection_max: 0,
            h2_streams_max: 100,
            h2_pending_resets_max: 20,
            h2_local_resets_max: 128,
            h2_send_buffer_bytes: 256 * 1024,
            h2_ping_every: Duration::from_secs(30),
            h2_ping_timeout: Duration::from_secs(20),
        }
    }
}

/// Bounds of one lane's upstream connections. They hold per lane and origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolBounds {
    /// HTTP/1.1 connections kept while nothing uses them. Default 256.
    pub idle_max: usize,
    /// How long an unused connection is kept. Default 30 s, less than the 60 to 75 s after which common
    /// servers close, so that a request seldom meets a closing connection.
    pub idle_timeout: Duration,
    /// Connections open at once, in use and idle; beyond it `Saturated` is answered. Default 4,096.
    pub connections_max: usize,
    /// Streams in use on one HTTP/2 connection before another connection is opened. Default 100.
    pub h2_streams_max: usize,
    /// Bytes of an upstream answer's head. Default 64 KiB.
    pub head_bytes_max: usize,
}

impl Default for PoolBounds {
    fn default() -> Self {
        Self {
            idle_max: 256,
            idle_timeout: Duration::from_secs(30),
            connections_max: 4_096,
            h2_streams_max: 100,
            head_bytes_max: 64 * 1024,
        }
    }
}

/// How long the parts of one upstream call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution, TCP and TLS together. Default 5 s.
    pub connect: Duration,
    /// From the request being handed over to the head of the answer, not counting time in which the
    /// client's body is on its way. Default 60 s.
    pub response_head: Duration,
    /// Longest silence inside the body of the answer. Default 60 s.
    pub body_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response_head: Duration::from_secs(60),
            body_idle: Duration::from_secs(60),
        }
    }
}
