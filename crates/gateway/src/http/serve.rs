//! Starts the lanes of a listener and ends them again.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::ops::Range;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::bounds::Bounds;
use super::connection;
use super::exchange::{Handler, Lane, Peer};
use super::lane::{LaneState, Opened, Places};

/// Connections the kernel keeps for a lane that is busy.
const BACKLOG: i32 = 4096;
/// Threads of one lane for what blocks: reading host names.
const BLOCKING_THREADS_MAX: usize = 4;
/// Rest after accepting failed: the process is out of file descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(50);

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
        cause: io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("{path}: {problem}")]
    Tls {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A thread or its runtime could not be started.
    #[error("cannot start a lane: {0}")]
    Thread(io::Error),
}

/// What the lanes are told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Serve,
    /// Finish what is in flight for at most so long.
    Drain(Duration),
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
    let tls = listener.tls.as_ref().map(tls_config).transpose()?;
    let cannot_bind = |cause| ServeError::Bind { bind: listener.bind, cause };
    let mut local_addr = listener.bind;
    let mut sockets = Vec::new();
    for _ in lanes.clone() {
        // The first socket picks the port, the others share it.
        let socket = bind(local_addr).map_err(cannot_bind)?;
        local_addr = socket.local_addr().map_err(cannot_bind)?;
        sockets.push(socket);
    }

    let places = Places::new(&listener.bounds);
    let (command, commands) = watch::channel(Command::Serve);
    let mut serving = Serving { local_addr, places: Arc::clone(&places), command, threads: Vec::new() };
    let make_handler = Arc::new(make_handler);
    let (ready, started) = mpsc::sync_channel(sockets.len());
    for (lane, socket) in lanes.map(Lane).zip(sockets) {
        let setup = Setup {
            socket,
            tls: tls.clone(),
            bounds: listener.bounds.clone(),
            places: Arc::clone(&places),
            commands: commands.clone(),
        };
        let (make_handler, ready) = (Arc::clone(&make_handler), ready.clone());
        let thread = std::thread::Builder::new()
            .name(format!("lane-{}", lane.0))
            .spawn(move || lane_thread(setup, &ready, || make_handler(lane)))
            .map_err(ServeError::Thread)?;
        serving.threads.push(thread);
    }
    drop(ready);
    for _ in 0..serving.threads.len() {
        let lost = || Err(io::Error::other("the lane's thread ended"));
        started.recv().unwrap_or_else(|_| lost()).map_err(ServeError::Thread)?;
    }
    Ok(serving)
}

/// A running listener. Dropping it cuts all connections and ends the lanes.
pub struct Serving {
    local_addr: SocketAddr,
    places: Arc<Places>,
    command: watch::Sender<Command>,
    threads: Vec<JoinHandle<usize>>,
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
        self.places.open()
    }

    /// Stops accepting, closes idle connections, lets requests in flight finish for at most `within`, then
    /// cuts the rest and joins the threads. Blocks: call it from a thread that may.
    pub fn drain(mut self, within: Duration) -> Drained {
        Drained { cut: self.end(within) }
    }

    fn end(&mut self, within: Duration) -> usize {
        let _ = self.command.send(Command::Drain(within));
        self.threads.drain(..).map(|thread| thread.join().unwrap_or(0)).sum()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serving({}, {} lanes)", self.local_addr, self.threads.len())
    }
}

/// What one lane needs.
struct Setup {
    socket: StdListener,
    tls: Option<Arc<ServerConfig>>,
    bounds: Bounds,
    places: Arc<Places>,
    commands: watch::Receiver<Command>,
}

/// One lane from start to end; the number of connections that were cut.
fn lane_thread<H: Handler>(
    setup: Setup,
    ready: &mpsc::SyncSender<io::Result<()>>,
    make_handler: impl FnOnce() -> Rc<H>,
) -> usize {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return 0;
        }
    };
    let cut = runtime.block_on(async {
        let listener = match TcpListener::from_std(setup.socket) {
            Ok(listener) => listener,
            Err(error) => {
                let _ = ready.send(Err(error));
                return 0;
            }
        };
        let lane = LaneState::new(setup.bounds);
        let handler = make_handler();
        let _ = ready.send(Ok(()));
        let acceptor = setup.tls.map(TlsAcceptor::from);
        let mut commands = setup.commands;
        let accepting = accept(&listener, acceptor, (&setup.places, &lane), &handler);
        let within = until_drain(&mut commands, accepting).await;
        // No more connections are taken from here on.
        drop(listener);
        lane.drain();
        let emptied =
            poll_fn(|cx| if lane.open_or_wake(cx.waker()) == 0 { Poll::Ready(()) } else { Poll::Pending });
        let ended = async {
            emptied.await;
            handler.settled().await;
        };
        let _ = tokio::time::timeout(within, ended).await;
        handler.close();
        lane.open()
    });
    // Ends every task: answers that were not finished run their hooks as aborted.
    drop(runtime);
    cut
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build_local(LocalOptions::default())
}

/// Accepts until told to drain, and says for how long.
async fn until_drain(
    commands: &mut watch::Receiver<Command>,
    accepting: impl Future<Output = ()>,
) -> Duration {
    let mut accepting = pin!(accepting);
    loop {
        let command = *commands.borrow_and_update();
        if let Command::Drain(within) = command {
            return within;
        }
        tokio::select! {
            changed = commands.changed() => {
                if changed.is_err() {
                    return Duration::ZERO;
                }
            }
            () = &mut accepting => return Duration::ZERO,
        }
    }
}

async fn accept<H: Handler>(
    listener: &TcpListener,
    acceptor: Option<TlsAcceptor>,
    (places, lane): (&Arc<Places>, &Rc<LaneState>),
    handler: &Rc<H>,
) {
    loop {
        let (tcp, addr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let Some(peer) = peer(&tcp, addr, acceptor.is_some()) else { continue };
        let Some(place) = places.take(peer.addr.ip()) else {
            tracing::debug!(peer = %peer.addr, "too many connections");
            continue;
        };
        let opened = Opened::new(lane, place);
        let (acceptor, lane, handler) = (acceptor.clone(), Rc::clone(lane), Rc::clone(handler));
        tokio::task::spawn_local(async move {
            connection::run(tcp, peer, acceptor, &lane, &handler).await;
            drop(opened);
        });
    }
}

/// `None` when the client is gone already.
fn peer(tcp: &TcpStream, addr: SocketAddr, tls: bool) -> Option<Peer> {
    tcp.set_nodelay(true).ok()?;
    let local = tcp.local_addr().ok()?;
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    Some(Peer { addr: canonical(addr), local: canonical(local), tls })
}

fn bind(addr: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn tls_config(tls: &Tls) -> Result<Arc<ServerConfig>, ServeError> {
    let wrong =
        |path: &PathBuf, problem: String| ServeError::Tls { path: path.display().to_string(), problem };
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&tls.cert, format!("not a readable PEM certificate: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(&tls.cert, "holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| wrong(&tls.key, format!("not a readable PEM private key: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| wrong(&tls.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
