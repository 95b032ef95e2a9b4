//! An upstream that writes down what it saw and misbehaves on request.
//!
//! It reads HTTP/1.1 with its own small parser, because the bytes themselves are the evidence: what arrived here
//! must be, one to one, what the gateway decided and logged (I17). HTTP/2 with prior knowledge (and by ALPN on
//! TLS) goes to hyper. How it answers is chosen by a word in the path, see [`Behaviour`].
//!
//! It runs on a thread of its own, so that it serves tests with and without a runtime.

mod behaviour;
mod http1;
mod http2;
mod reader;
mod seen;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

pub use behaviour::Behaviour;
use seen::Log;
pub use seen::Seen;

/// A running upstream. Dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    log: Arc<Log>,
    certificate: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// An upstream on a free loopback port: HTTP/1.1, and HTTP/2 with prior knowledge.
    pub fn start() -> Self {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// As [`Upstream::start`], on a given address: for an upstream that comes back.
    ///
    /// # Panics
    /// When the address is taken.
    pub fn start_on(address: SocketAddr) -> Self {
        Self::launch(address, None, None)
    }

    /// An upstream with TLS for `localhost` and `127.0.0.1`, ALPN `h2` and `http/1.1`.
    /// [`Upstream::certificate`] is what a client must trust.
    pub fn start_tls() -> Self {
        let (acceptor, certificate) = tls::acceptor();
        Self::launch(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(acceptor), Some(certificate))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        let host = if self.certificate.is_some() { "localhost" } else { "127.0.0.1" };
        format!("{scheme}://{host}:{}", self.address.port())
    }

    /// The PEM of its self-signed certificate, when it speaks TLS.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Every request whose whole head arrived, in order of arrival (the first 100,000 are kept).
    pub fn seen(&self) -> Vec<Seen> {
        self.log.all()
    }

    /// The requests seen since the last call; the log is empty afterwards.
    pub fn take_seen(&self) -> Vec<Seen> {
        self.log.take()
    }

    /// How many requests arrived, including those no longer kept.
    pub fn count(&self) -> u64 {
        self.log.count()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> u64 {
        self.log.connections()
    }

    /// How many connections are open now.
    pub fn connections_open(&self) -> u64 {
        self.log.connections_open()
    }

    /// Closes the listener and every connection, and returns the address for [`Upstream::start_on`].
    pub fn stop(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn launch(address: SocketAddr, tls: Option<TlsAcceptor>, certificate: Option<String>) -> Self {
        let log = Arc::new(Log::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread_log = Arc::clone(&log);
        let thread = std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("make a runtime for the upstream");
                runtime.block_on(async move {
                    let listener = TcpListener::bind(address).await.expect("bind the upstream");
                    tell.send(listener.local_addr().expect("read the bound address")).expect("tell");
                    tokio::select! {
                        () = accept(listener, tls, thread_log) => {}
                        _ = stopped => {}
                    }
                });
                // Dropping the runtime ends every connection task and so closes every connection.
                runtime.shutdown_timeout(Duration::from_secs(1));
            })
            .expect("start a thread for the upstream");
        let address = told.recv().expect("the upstream binds its address");
        Self { address, log, certificate, stop: Some(stop), thread: Some(thread) }
    }

    fn end(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, log: Arc<Log>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let tls = tls.clone();
        let connection = log.open();
        tokio::spawn(async move {
            serve(stream, tls, &connection).await;
        });
    }
}

/// One connection: TLS or not, then HTTP/2 or HTTP/1. How it ends is of no interest here; what was seen is.
async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, connection: &seen::Connection) {
    let reset = reader::Reset::of(&stream);
    match tls {
        Some(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2::serve(stream, connection.clone()).await;
            } else {
                http1::serve(Box::new(stream), reset, connection).await;
            }
        }
        None if speaks_http2(&stream).await => http2::serve(stream, connection.clone()).await,
        None => http1::serve(Box::new(stream), reset, connection).await,
    }
}

/// Whether the first bytes are the HTTP/2 preface (RFC 9113 §3.4). They stay in the socket.
async fn speaks_http2(stream: &TcpStream) -> bool {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut first = [0_u8; PREFACE.len()];
    loop {
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return false,
            Ok(read) if first[..read] != PREFACE[..read] => return false,
            Ok(read) if read == PREFACE.len() => return true,
            // A preface cut in two: `peek` returns at once for what is there, so look again a little later.
            Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}
