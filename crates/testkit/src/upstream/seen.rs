//! What the upstream wrote down about each request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Most requests kept whole; further ones are only counted, so that load tests stay small.
const KEPT_MAX: usize = 100_000;
/// Most bytes of a body kept as they were; its length and digest always cover all of it.
pub(super) const BODY_KEPT_BYTES_MAX: usize = 64 * 1024;

/// One request as it arrived at the upstream.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Number of the connection, from 0 in order of acceptance.
    pub connection: u64,
    /// Number of the request on its connection, from 0.
    pub index: u64,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The method as it came.
    pub method: String,
    /// The request target as it came, with its query. HTTP/2: path and query.
    pub target: String,
    /// HTTP/2: `:authority`; HTTP/1: the (first) Host.
    pub host: String,
    /// Header lines in order, names as they came, values as text with foreign bytes replaced.
    pub headers: Vec<(String, String)>,
    /// HTTP/1: the bytes of the head with its blank line. HTTP/2: empty.
    pub head: Vec<u8>,
    /// Whether the whole body arrived.
    pub complete: bool,
    /// Length of what arrived of the body, after removing chunked framing.
    pub body_bytes: u64,
    /// SHA-256 of what arrived of the body, in hex.
    pub body_sha256: String,
    /// The body itself, up to 64 KiB of it.
    pub body: Vec<u8>,
    /// Trailer fields, in order.
    pub trailers: Vec<(String, String)>,
}

impl Seen {
    /// The path of the target.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query of the target, without the question mark; nothing when there is none.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).next()
    }

    /// The values of all headers of this name, in any case.
    pub fn headers_named(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(seen, _)| seen.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }
}

/// The upstream's memory, shared by its connections.
#[derive(Debug, Default)]
pub(super) struct Log {
    seen: Mutex<Vec<Seen>>,
    taken: AtomicU64,
    count: AtomicU64,
    connections: AtomicU64,
    connections_open: AtomicU64,
}

impl Log {
    pub(super) fn all(&self) -> Vec<Seen> {
        self.seen.lock().expect("the log of an upstream").clone()
    }

    pub(super) fn take(&self) -> Vec<Seen> {
        let mut seen = self.seen.lock().expect("the log of an upstream");
        self.taken.fetch_add(seen.len() as u64, Ordering::Relaxed);
        std::mem::take(&mut *seen)
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn connections_open(&self) -> u64 {
        self.connections_open.load(Ordering::SeqCst)
    }

    pub(super) fn open(self: &Arc<Self>) -> Connection {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        self.connections_open.fetch_add(1, Ordering::SeqCst);
        Connection(Arc::new(Open { log: Arc::clone(self), number, requests: AtomicU64::new(0) }))
    }
}

/// One accepted connection; the last copy dropped counts it as closed.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<Open>);

#[derive(Debug)]
struct Open {
    log: Arc<Log>,
    number: u64,
    requests: AtomicU64,
}

impl Connection {
    /// Writes down a request as soon as its head is there, and returns where to add its body.
    pub(super) fn record(&self, mut seen: Seen) -> Entry {
        seen.connection = self.0.number;
        seen.index = self.0.requests.fetch_add(1, Ordering::SeqCst);
        let log = &self.0.log;
        log.count.fetch_add(1, Ordering::SeqCst);
        let mut all = log.seen.lock().expect("the log of an upstream");
        let position = (all.len() < KEPT_MAX).then(|| {
            all.push(seen.clone());
            log.taken.load(Ordering::Relaxed) + all.len() as u64 - 1
        });
        drop(all);
        Entry { log: Arc::clone(log), position, seen }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.log.connections_open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A request in the log whose body is still arriving.
#[derive(Debug)]
pub(super) struct Entry {
    log: Arc<Log>,
    position: Option<u64>,
    seen: Seen,
}

impl Entry {
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Changes what is written down; nothing happens to the log when the test has taken the entry already.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen);
        let Some(position) = self.position else { return };
        let mut all = self.log.seen.lock().expect("the log of an upstream");
        let index = position.checked_sub(self.log.taken.load(Ordering::Relaxed));
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(kept) = index.and_then(|index| all.get_mut(index)) {
            kept.clone_from(&self.seen);
        }
    }
}
