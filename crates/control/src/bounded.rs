//! Accepting so many connections and no more, none of them for ever: a client that sends nothing, or
//! a byte now and then, or takes its answer in sips, holds its place only for a while.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// Connections at once; more wait in the kernel's queue.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// How long a connection may stay silent.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// What a client that fell behind must take of its answer within [`IDLE_MAX`], bytes: a kilobyte a second.
const SIP_MIN: usize = 32 << 10;
/// How long a connection may live at all.
const LIFE_MAX: Duration = Duration::from_secs(600);
/// The pause after the system refused to accept, for lack of descriptors and the like.
const PAUSE_AFTER_FAULT: Duration = Duration::from_millis(100);

/// The times that a connection is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Of silence.
    pub(crate) idle: Duration,
    /// In all.
    pub(crate) life: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { idle: IDLE_MAX, life: LIFE_MAX }
    }
}

/// A listener with bounds.
pub(crate) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    patience: Patience,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, connections: usize, patience: Patience) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections)), patience }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed, so that there always is a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (Connection::new(stream, place, self.patience), peer),
                Err(_) => tokio::time::sleep(PAUSE_AFTER_FAULT).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it is silent for too long.
pub(crate) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    ends: Instant,
    idle: Duration,
    /// Bytes that must still be taken before the silence begins anew; 0 for a client that keeps up.
    owed: usize,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(stream: TcpStream, place: Option<OwnedSemaphorePermit>, patience: Patience) -> Self {
        let silence = Box::pin(tokio::time::sleep(patience.idle));
        let ends = silence.deadline() - patience.idle + patience.life;
        Self { stream, silence, ends, idle: patience.idle, owed: 0, _place: place }
    }

    /// So many bytes of the answer were taken. Of a client that fell behind only mouthfuls count.
    fn took(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_sub(bytes);
        if self.owed == 0 {
            self.heard();
        }
    }

    /// The client does not take more at present.
    fn fell_behind(&mut self) {
        if self.owed == 0 {
            self.owed = SIP_MIN;
        }
    }

    /// Something happened: the silence begins anew, but never past the end of life.
    fn heard(&mut self) {
        let present = Instant::now();
        self.silence.as_mut().reset((present + self.idle).min(self.ends));
    }

    /// Whether the silence has lasted too long.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.silence.as_mut().poll(context).is_ready()
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the connection was silent for too long")
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                // What it sends is no excuse for what it does not take.
                if self.owed == 0 {
                    self.heard();
                }
                Poll::Ready(read)
            }
            Poll::Pending if self.is_over(context) => Poll::Ready(Err(over())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.took(written.as_ref().copied().unwrap_or_default());
                Poll::Ready(written)
            }
            // A client that does not take its answer.
            Poll::Pending if self.is_over(context) => Poll::Ready(Err(over())),
            Poll::Pending => {
                self.fell_behind();
                Poll::Pending
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::{Bounded, Patience};

    async fn start(connections: usize, patience: Patience) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/long", get(|| async { vec![b'x'; 64 << 20] }));
        tokio::spawn(async move { axum::serve(Bounded::new(listener, connections, patience), router).await });
        address
    }

    async fn ask(address: std::net::SocketAddr) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn who_holds_all_places_in_silence_loses_them() {
        let patience = Patience { idle: Duration::from_millis(100), life: Duration::from_secs(60) };
        let address = start(2, patience).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTT").await.unwrap();
        assert!(ask(address).await.ends_with("ok"), "it waits for a place and gets one");
        assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0, "closed");
        let mut rest = Vec::new();
        let _reset = half.read_to_end(&mut rest).await;
        assert!(!rest.windows(6).any(|part| part == b"200 OK"));
    }

    #[tokio::test]
    async fn who_takes_a_long_answer_in_sips_is_cut_off() {
        let patience = Patience { idle: Duration::from_millis(500), life: Duration::from_secs(600) };
        let address = start(1, patience).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let sipping = async {
            let mut sip = [0; 64];
            while slow.read(&mut sip).await.is_ok_and(|bytes| bytes > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = sipping => {}
            answer = ask(address) => assert!(answer.ends_with("ok"), "the place came free"),
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it sips on and on"),
        }
    }

    #[tokio::test]
    async fn who_takes_a_long_answer_at_an_honest_pace_gets_it_whole() {
        let patience = Patience { idle: Duration::from_millis(500), life: Duration::from_secs(600) };
        let address = start(1, patience).await;
        let mut steady = TcpStream::connect(address).await.unwrap();
        steady.write_all(b"GET /long HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let (mut part, mut taken) = (vec![0; 1 << 20], 0);
        loop {
            match steady.read(&mut part).await.unwrap() {
                0 => break,
                bytes => taken += bytes,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(taken > 64 << 20);
    }

    #[tokio::test]
    async fn who_sends_a_byte_now_and_then_is_cut_off_in_the_end() {
        let patience = Patience { idle: Duration::from_millis(200), life: Duration::from_millis(600) };
        let address = start(1, patience).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        let dripping = async {
            for byte in b"GET / HTTP/1.1\r\nx-slow: ".iter().chain(std::iter::repeat(&b'a')) {
                if slow.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waiting = async {
            assert!(ask(address).await.ends_with("ok"), "the place came free");
        };
        tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(dripping, waiting) })
            .await
            .unwrap();
    }
}
