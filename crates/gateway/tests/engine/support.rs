//! A running engine with a small handler, a raw client, and scripted upstreams.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use tokio::sync::Semaphore;
use tollgate_gateway::http::answer::{Answer, AnswerBody, Finish, FinishInfo, FinishRefused};
use tollgate_gateway::http::body::{BodyError, BodySource, Frame, SourceFailed};
use tollgate_gateway::http::bounds::{Bounds, PoolBounds, Timeouts};
use tollgate_gateway::http::exchange::{Exchange, Handler, Peer};
use tollgate_gateway::http::field::{FieldName, FieldValue};
use tollgate_gateway::http::guard::Malformed;
use tollgate_gateway::http::head::RequestHead;
use tollgate_gateway::http::serve::{Listener, Serving, Tls, serve};
use tollgate_gateway::http::upstream::{
    Origin, UpstreamError, UpstreamErrorKind, UpstreamRequest, Upstreams,
};

/// Nothing in these tests takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What the handler saw and the hooks were told.
#[derive(Default)]
pub(crate) struct Shared {
    /// `METHOD path`, in order of arrival; `refused: …` for refused heads.
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) finished: Mutex<Vec<(String, FinishInfo)>>,
    pub(crate) errors: Mutex<Vec<UpstreamError>>,
    /// `/gate` waits for a permit.
    pub(crate) gate: OpenLater,
    /// Called by each finish hook before it returns.
    pub(crate) in_finish: Mutex<Option<Box<dyn Fn() + Send>>>,
}

pub(crate) struct OpenLater(pub(crate) Semaphore);

impl Default for OpenLater {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

pub(crate) struct Rig {
    pub(crate) serving: Option<Serving>,
    pub(crate) addr: SocketAddr,
    pub(crate) shared: Arc<Shared>,
}

#[derive(Clone, Default)]
pub(crate) struct Setup {
    pub(crate) bounds: Bounds,
    pub(crate) pool: PoolBounds,
    pub(crate) timeouts: Timeouts,
    pub(crate) tls: Option<Tls>,
    pub(crate) origin: Option<Origin>,
}

impl Rig {
    pub(crate) fn start(setup: Setup) -> Self {
        let shared = Arc::new(Shared::default());
        let listener = Listener {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: setup.tls.clone(),
            bounds: setup.bounds.clone(),
        };
        let theirs = Arc::clone(&shared);
        let serving = serve(listener, 0..1, move |_lane| {
            Rc::new(Forwarder {
                upstreams: Upstreams::new(setup.pool.clone()),
                setup: setup.clone(),
                shared: Arc::clone(&theirs),
            })
        })
        .unwrap();
        Self { addr: serving.local_addr(), serving: Some(serving), shared }
    }

    pub(crate) fn plain() -> Self {
        Self::start(Setup::default())
    }

    /// In front of an HTTP/1.1 upstream.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        Self::start(Setup { origin: Some(origin("http", upstream)), ..Setup::default() })
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.addr)
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The finish infos so far, once there are `count`.
    pub(crate) fn finished(&self, count: usize) -> Vec<(String, FinishInfo)> {
        eventually("finish hooks ran", || self.shared.finished.lock().unwrap().len() >= count);
        self.shared.finished.lock().unwrap().clone()
    }

    pub(crate) fn error(&self) -> UpstreamError {
        eventually("an upstream call failed", || !self.shared.errors.lock().unwrap().is_empty());
        self.shared.errors.lock().unwrap()[0].clone()
    }
}

pub(crate) fn origin(scheme: &str, addr: SocketAddr) -> Origin {
    Origin::parse(&format!("{scheme}://{addr}")).unwrap()
}

/// Waits until `state` holds.
pub(crate) fn eventually(what: &str, state: impl Fn() -> bool) {
    let started = Instant::now();
    while !state() {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes of the answer at `/whole`, which is there at once.
pub(crate) const WHOLE_BYTES: usize = 160 * 1024;

struct Forwarder {
    upstreams: Upstreams,
    setup: Setup,
    shared: Arc<Shared>,
}

impl Forwarder {
    fn finish(&self, path: &str) -> Finish {
        let (shared, path) = (Arc::clone(&self.shared), path.to_owned());
        Finish::new(move |info| {
            if let Some(hook) = shared.in_finish.lock().unwrap().as_ref() {
                hook();
            }
            let refuse = path == "/unaccountable";
            shared.finished.lock().unwrap().push((path, info));
            if refuse { Err(FinishRefused) } else { Ok(()) }
        })
    }

    async fn answer(&self, mut exchange: Exchange) -> Answer {
        let path = exchange.head.path().to_owned();
        match path.as_str() {
            "/hello" | "/unaccountable" => Answer::new(200).with_body("hello"),
            "/whole" => Answer::new(200).with_body(vec![b'w'; WHOLE_BYTES]),
            "/nothing" => Answer::new(204).with_body("must not be sent"),
            "/ignore" => Answer::new(200).with_body("ignored"),
            "/gate" => {
                self.shared.gate.0.acquire().await.unwrap().forget();
                Answer::new(200).with_body("opened")
            }
            "/echo" => match exchange.body.collect(4 << 20).await {
                Ok(bytes) => Answer::new(200).with_body(bytes),
                Err(error) => Answer::new(status_of(error)).with_body(error.to_string()),
            },
            "/made" => {
                let pieces = vec!["one ", "two ", "three"];
                Answer {
                    body: AnswerBody::Source(Box::new(Made { pieces, declared: None })),
                    ..Answer::new(200)
                }
            }
            "/short" => {
                let made = Made { pieces: vec!["one"], declared: Some(10) };
                Answer { body: AnswerBody::Source(Box::new(made)), ..Answer::new(200) }
            }
            "/head" => {
                let names: Vec<&str> = exchange.head.headers().map(|(name, _)| name).collect();
                Answer::new(200).with_body(names.join(","))
            }
            _ => self.forward(exchange).await,
        }
    }

    async fn forward(&self, mut exchange: Exchange) -> Answer {
        let Some(origin) = &self.setup.origin else { return Answer::new(404) };
        exchange.head.strip(&FieldName::of("x-secret"));
        exchange.head.set(&FieldName::of("x-set"), &FieldValue::of("by-gateway"));
        let mut request = UpstreamRequest {
            head: &exchange.head,
            body: exchange.body,
            timeouts: self.setup.timeouts,
            upgrade: exchange.upgrade.take(),
        };
        match self.upstreams.send(origin, &mut request).await {
            Ok(answer) => Answer::from(answer),
            Err(error) => {
                self.shared.errors.lock().unwrap().push(error.clone());
                match error.kind {
                    UpstreamErrorKind::RequestBody(error) => Answer::new(status_of(error)),
                    UpstreamErrorKind::ResponseTimeout | UpstreamErrorKind::ConnectTimeout => {
                        Answer::new(504)
                    }
                    _ => Answer::new(502),
                }
            }
        }
    }
}

fn status_of(error: BodyError) -> u16 {
    match error {
        BodyError::TooLarge { .. } => 413,
        BodyError::Idle | BodyError::TooSlow | BodyError::Late => 408,
        BodyError::Malformed(_) | BodyError::Disconnected => 400,
    }
}

impl Handler for Forwarder {
    async fn handle(self: Rc<Self>, exchange: Exchange) -> Answer {
        let path = exchange.head.path().to_owned();
        self.shared.seen.lock().unwrap().push(format!("{} {path}", exchange.head.method()));
        let finish = self.finish(&path);
        self.answer(exchange).await.with_finish(finish)
    }

    fn refused(&self, _peer: Peer, why: Malformed, _head: Option<&RequestHead>) -> Answer {
        self.shared.seen.lock().unwrap().push(format!("refused: {why:?}"));
        let status = if why.is_too_large() { 431 } else { 400 };
        Answer::new(status).with_body(why.to_string()).with_finish(self.finish("refused"))
    }
}

struct Made {
    pieces: Vec<&'static str>,
    declared: Option<u64>,
}

impl BodySource for Made {
    fn poll_frame(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame, SourceFailed>>> {
        let piece = (!self.pieces.is_empty()).then(|| self.pieces.remove(0));
        std::task::Poll::Ready(piece.map(|piece| Ok(Frame::Data(piece.into()))))
    }

    fn declared_len(&self) -> Option<u64> {
        self.declared
    }
}

/// A client that writes and reads bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// One answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawAnswer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (there, value) = line.split_once(':')?;
            there.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends `text` with CR LF for `$`.
    pub(crate) fn send(&mut self, text: &str) -> &mut Self {
        self.send_bytes(text.replace('$', "\r\n").as_bytes())
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.stream.write_all(bytes).unwrap();
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> RawAnswer {
        self.send(&format!("GET {path} HTTP/1.1$Host: a$$")).answer()
    }

    /// Reads more; `false` at the end.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let len = self.stream.read(&mut piece).unwrap();
        self.read.extend_from_slice(&piece[..len]);
        len > 0
    }

    /// Reads one head: the text up to the empty line.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                let head = self.read.drain(..at + 4).collect::<Vec<u8>>();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.fill(), "closed in a head: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    pub(crate) fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            assert!(self.fill(), "closed after {} of {len} bytes", self.read.len());
        }
        self.read.drain(..len).collect()
    }

    /// Reads one answer to a request that was not `HEAD`.
    pub(crate) fn answer(&mut self) -> RawAnswer {
        let head = self.head();
        let status = head[9..12].parse().unwrap();
        let mut answer = RawAnswer { status, head, body: Vec::new() };
        if answer.header("transfer-encoding").is_some() {
            answer.body = self.chunks();
        } else if let Some(length) = answer.header("content-length") {
            answer.body = self.exactly(length.parse().unwrap());
        }
        answer
    }

    /// Reads a chunked body without trailers.
    pub(crate) fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            while !self.read.windows(2).any(|end| end == b"\r\n") {
                assert!(self.fill(), "closed in a chunk");
            }
            let at = self.read.windows(2).position(|end| end == b"\r\n").unwrap();
            let line: Vec<u8> = self.read.drain(..at + 2).collect();
            let len = usize::from_str_radix(std::str::from_utf8(&line[..at]).unwrap(), 16).unwrap();
            body.extend(self.exactly(len));
            assert_eq!(self.exactly(2), b"\r\n");
            if len == 0 {
                return body;
            }
        }
    }

    /// Everything until the other side closes or resets.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut piece = [0; 16 * 1024];
        while let Ok(len @ 1..) = self.stream.read(&mut piece) {
            self.read.extend_from_slice(&piece[..len]);
        }
        self.read
    }

    pub(crate) fn assert_closed(self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }
}

/// A scripted upstream: `script` runs on a thread for each connection, with its number.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

pub(crate) fn upstream(script: impl Fn(usize, Client) + Send + Sync + 'static) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (script, count) = (Arc::new(script), Arc::clone(&connections));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let (script, client) = (Arc::clone(&script), Client::over(stream.unwrap()));
            std::thread::spawn(move || script(number, client));
        }
    });
    Upstream { addr, connections }
}

/// An upstream that answers each request with `answer`, keeping the connection.
pub(crate) fn upstream_saying(answer: &'static str) -> Upstream {
    upstream(move |_, mut client| {
        loop {
            if client.read.is_empty() && !matches!(client.stream.peek(&mut [0]), Ok(1)) {
                return;
            }
            client.head();
            client.send(answer);
        }
    })
}
