//! Starts the lanes of a listener and ends them again.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::bounds::Bounds;
use super::exchange::{Handler, Lane};

/// Where and how to accept connections.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Address to bind; port 0 picks a free one.
    pub bind: SocketAddr,
    /// TLS with ALPN `h2` and `http/1.1`; without it, HTTP/1.1 and h2c with prior knowledge.
    pub tls: Option<Tls>,
    /// Bounds.
    pub bounds: Bounds,
}

/// Certificate and key of a listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file: the certificate, then its chain.
    pub cert: PathBuf,
    /// PEM file: the private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// A listener could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be bound.
    #[error("cannot listen on {bind}: {cause}")]
    Bind {
        /// The address asked for.
        bind: SocketAddr,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("{path}: {problem}")]
    Tls {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A thread could not be started.
    #[error("cannot start a lane: {0}")]
    Thread(std::io::Error),
}

/// Binds, then starts one thread per lane of `lanes`, each with its own runtime, socket (`SO_REUSEPORT`)
/// and handler. `make_handler` runs once on each lane's thread. Returns when all lanes accept.
///
/// # Errors
/// [`ServeError`]; nothing is left running then.
pub fn serve<H, F>(listener: Listener, lanes: Range<u16>, make_handler: F) -> Result<Serving, ServeError>
where
    H: Handler,
    F: Fn(Lane) -> Rc<H> + Send + Sync + 'static,
{
    let _ = (lanes, make_handler);
    Err(ServeError::Bind { bind: listener.bind, cause: std::io::ErrorKind::Unsupported.into() })
}

/// A running listener. Dropping it stops the lanes at once.
#[derive(Debug)]
pub struct Serving {
    local_addr: SocketAddr,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they were not done at the deadline.
    pub cut: usize,
}

impl Serving {
    /// The address that is listened on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Connections open now, on all lanes.
    pub fn connections(&self) -> usize {
        0
    }

    /// Stops accepting, closes idle connections, lets requests in flight finish for at most `within`, then
    /// cuts the rest and joins the threads. Blocks: call it from a thread that may.
    pub fn drain(self, within: Duration) -> Drained {
        let _ = within;
        Drained { cut: 0 }
    }
}
