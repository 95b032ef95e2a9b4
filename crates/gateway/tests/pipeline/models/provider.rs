//! A provider: reads HTTP/1.1 with a few lines, answers as it was told, and keeps what it saw and its bill.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
};

/// What it does with one request.
#[derive(Clone)]
pub(super) enum Reaction {
    /// Answers all at once: status, content type, body.
    Whole(u16, &'static str, Vec<u8>),
    /// Answers piece by piece; before the piece with this number it waits for a permit. Then it ends, or
    /// breaks off.
    Stream { kind: &'static str, pieces: Vec<Vec<u8>>, wait_at: Option<usize>, breaks_off: bool },
    /// Reads the request, waits for a permit, then answers as told.
    Late(Box<Self>),
    /// Reads the request and ends the connection.
    HangUp,
}

impl Reaction {
    pub(super) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::Whole(200, "application/json", body.into())
    }

    pub(super) fn error(status: u16) -> Self {
        Self::Whole(
            status,
            "application/json",
            br#"{"error":{"message":"not now","type":"server_error"}}"#.to_vec(),
        )
    }

    pub(super) fn events(events: &[String]) -> Self {
        let pieces = events.iter().map(|event| event.clone().into_bytes()).collect();
        Self::Stream { kind: "text/event-stream; charset=utf-8", pieces, wait_at: None, breaks_off: false }
    }

    /// The same, waiting before a piece.
    pub(super) fn waiting(self, at: usize) -> Self {
        match self {
            Self::Stream { kind, pieces, breaks_off, .. } => {
                Self::Stream { kind, pieces, wait_at: Some(at), breaks_off }
            }
            other => Self::Late(Box::new(other)),
        }
    }

    /// The same, broken off after so many pieces.
    pub(super) fn broken_after(self, count: usize) -> Self {
        match self {
            Self::Stream { kind, mut pieces, wait_at, .. } => {
                pieces.truncate(count);
                Self::Stream { kind, pieces, wait_at, breaks_off: true }
            }
            other => other,
        }
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) head: String,
    pub(super) body: String,
}

impl Seen {
    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

type React = dyn Fn(&Seen) -> Reaction + Send + Sync;

struct State {
    script: Mutex<VecDeque<Reaction>>,
    otherwise: Mutex<Option<Arc<React>>>,
    seen: Mutex<Vec<Seen>>,
    door: Semaphore,
    /// Answers that were given to their end.
    ended: AtomicU64,
}

/// A running provider.
pub(super) struct Provider {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Provider {
    pub(super) fn start() -> Self {
        let state = Arc::new(State {
            script: Mutex::default(),
            otherwise: Mutex::default(),
            seen: Mutex::default(),
            door: Semaphore::new(0),
            ended: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = std::sync::mpsc::channel();
        let own = state.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let accept = async {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        tokio::spawn(serve(stream, own.clone()));
                    }
                };
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: address.recv().unwrap(), state, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Reacts to the next requests in this order.
    pub(super) fn react(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.state.script.lock().unwrap().extend(reactions);
    }

    /// Reacts to every other request like this.
    pub(super) fn otherwise(&self, react: impl Fn(&Seen) -> Reaction + Send + Sync + 'static) {
        *self.state.otherwise.lock().unwrap() = Some(Arc::new(react));
    }

    /// What arrived, in its order.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The last that arrived.
    pub(super) fn last(&self) -> Seen {
        self.seen().pop().expect("a request arrived")
    }

    /// Lets one answer that waits go on.
    pub(super) fn go_on(&self) {
        self.state.door.add_permits(1);
    }

    /// Answers that were given to their end.
    pub(super) fn ended(&self) -> u64 {
        self.state.ended.load(Ordering::SeqCst)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Some(seen) = read(&mut stream, &mut buffer).await {
        let reaction = state.script.lock().unwrap().pop_front();
        let otherwise = state.otherwise.lock().unwrap().clone();
        let reaction = reaction.or_else(|| otherwise.map(|react| react(&seen)));
        state.seen.lock().unwrap().push(seen);
        let reaction = reaction.expect("the test says what the provider does");
        if answer(&mut stream, &state, reaction).await.is_none() {
            return;
        }
        state.ended.fetch_add(1, Ordering::SeqCst);
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let (line, head) = text.split_once("\r\n").unwrap();
    let seen = Seen { line: line.to_owned(), head: head.to_owned(), body: String::new() };
    let length: usize = seen.field("content-length").map_or(0, |length| length.parse().unwrap());
    assert_eq!(seen.field("transfer-encoding"), None, "a body that is known whole has its length");
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(buffer[end..end + length].to_vec()).unwrap();
    buffer.drain(..end + length);
    Some(Seen { body, ..seen })
}

/// `None` when the connection is over.
async fn answer(stream: &mut TcpStream, state: &State, reaction: Reaction) -> Option<()> {
    match reaction {
        Reaction::HangUp => None,
        Reaction::Late(reaction) => {
            state.door.acquire().await.ok()?.forget();
            Box::pin(answer(stream, state, *reaction)).await
        }
        Reaction::Whole(status, kind, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nx-provider: yes\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body).await.ok()
        }
        Reaction::Stream { kind, pieces, wait_at, breaks_off } => {
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
            for (index, piece) in pieces.iter().enumerate() {
                if wait_at == Some(index) {
                    state.door.acquire().await.ok()?.forget();
                }
                let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                chunk.extend_from_slice(piece);
                chunk.extend_from_slice(b"\r\n");
                stream.write_all(&chunk).await.ok()?;
            }
            if wait_at == Some(pieces.len()) {
                state.door.acquire().await.ok()?.forget();
            }
            if breaks_off {
                return None;
            }
            stream.write_all(b"0\r\n\r\n").await.ok()
        }
    }
}
