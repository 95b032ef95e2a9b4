//! The write endpoint of InfluxDB 2.x as its API reference and its server describe it, for there is no server of 2.x
//! in Debian: token, organisation and bucket are asked for, bodies may be gzip, a field keeps the type of its first
//! point, points that fit are kept when others do not. And faults that are switched on and off.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What it does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfluxMood {
    /// It works.
    Well,
    /// It answers 503 without a reason.
    Down,
    /// It answers 429 and asks to wait for a second.
    Busy,
    /// It takes requests and closes without an answer, having kept the points.
    Silent,
}

/// Series and timestamp of a point.
type Place = (String, String);

#[derive(Debug)]
struct Shared {
    mood: InfluxMood,
    /// Name and value of the fields of each point.
    points: BTreeMap<Place, BTreeMap<String, String>>,
    /// What each field of a measurement is: `i`, `"`, `b` or `f`.
    types: HashMap<(String, String), char>,
    requests: u64,
    /// The most lines of one request.
    lines_most: usize,
}

/// A running endpoint; it lives as long as the runtime it was started on.
#[derive(Clone, Debug)]
pub struct Influx2 {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Influx2 {
    /// The organisation that it has.
    pub const ORG: &'static str = "an org";
    /// The bucket that it has.
    pub const BUCKET: &'static str = "metrics";
    /// The token that may write.
    pub const TOKEN: &'static str = "a-token==";

    /// Starts it on a free loopback port.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind the endpoint");
        let address = listener.local_addr().expect("read the bound address");
        let shared = Arc::new(Mutex::new(Shared {
            mood: InfluxMood::Well,
            points: BTreeMap::new(),
            types: HashMap::new(),
            requests: 0,
            lines_most: 0,
        }));
        let own = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = Arc::clone(&own);
                let service = service_fn(move |request| answer(request, Arc::clone(&own)));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, shared }
    }

    /// Its address, as `influx.url` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it does from now on.
    pub fn feel(&self, mood: InfluxMood) {
        self.lock().mood = mood;
    }

    /// A line for each point that it has, in the order of series and time, fields in the order of names.
    pub fn lines(&self) -> Vec<String> {
        let line = |((series, timestamp), fields): (&Place, &BTreeMap<String, String>)| {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{series} {} {timestamp}", fields.join(","))
        };
        self.lock().points.iter().map(line).collect()
    }

    /// Requests that came, and the most lines that one of them had.
    pub fn requests(&self) -> (u64, usize) {
        let shared = self.lock();
        (shared.requests, shared.lines_most)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answer = Response<Full<Bytes>>;

fn said(status: u16, code: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "code": code, "message": message }).to_string();
    let answer = Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .header("x-influxdb-version", "v2.7.1");
    answer.body(Full::new(Bytes::from(body))).expect("an answer")
}

async fn answer(request: Request<Incoming>, shared: Arc<Mutex<Shared>>) -> Result<Answer, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.requests += 1;
    match shared.mood {
        InfluxMood::Down => {
            return Ok(Response::builder().status(503).body(Full::default()).expect("an answer"));
        }
        InfluxMood::Busy => {
            let busy = Response::builder().status(429).header("retry-after", "1").body(Full::default());
            return Ok(busy.expect("an answer"));
        }
        InfluxMood::Well | InfluxMood::Silent => {}
    }
    let Ok(answer) = write(&mut shared, &head, &body);
    if shared.mood == InfluxMood::Silent {
        return Err(std::io::ErrorKind::ConnectionReset.into());
    }
    Ok(answer)
}

fn write(shared: &mut Shared, head: &http::request::Parts, body: &[u8]) -> Result<Answer, Infallible> {
    if head.method != "POST" || head.uri.path() != "/api/v2/write" {
        return Ok(said(404, "not found", "path not found"));
    }
    let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    if field("authorization") != Some(&format!("Token {}", Influx2::TOKEN)) {
        return Ok(said(401, "unauthorized", "unauthorized access"));
    }
    let query = head.uri.query().unwrap_or_default();
    let parameter = |name: &str| {
        let own = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        own.unwrap_or_default().replace("%20", " ")
    };
    if parameter("org") != Influx2::ORG {
        return Ok(said(404, "not found", "organization name not found"));
    }
    if parameter("bucket") != Influx2::BUCKET {
        return Ok(said(404, "not found", "bucket not found"));
    }
    let mut text = String::new();
    let read = if field("content-encoding") == Some("gzip") {
        flate2::read::GzDecoder::new(body).read_to_string(&mut text)
    } else {
        let mut plain = body;
        plain.read_to_string(&mut text)
    };
    if read.is_err() || parameter("precision") != "ns" {
        return Ok(said(400, "invalid", "unable to decode body"));
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Ok(said(400, "invalid", "writing requires points"));
    }
    shared.lines_most = shared.lines_most.max(lines.len());
    let mut conflict = None;
    let mut dropped = 0;
    for line in lines {
        match keep(shared, line) {
            Ok(()) => {}
            Err(Flaw::Unreadable) => return Ok(said(400, "invalid", &format!("unable to parse '{line}'"))),
            Err(Flaw::Conflict(words)) => {
                dropped += 1;
                conflict = Some(words);
            }
        }
    }
    match conflict {
        None => Ok(Response::builder().status(204).body(Full::default()).expect("an answer")),
        Some(words) => {
            let message =
                format!("failure writing points to database: partial write: {words} dropped={dropped}");
            Ok(said(422, "unprocessable entity", &message))
        }
    }
}

enum Flaw {
    Unreadable,
    Conflict(String),
}

/// The parts of a line between these signs, where none stands in quotes or behind a backslash.
fn parts(line: &str, at: char) -> Vec<String> {
    let (mut found, mut is_quoted, mut is_escaped) = (vec![String::new()], false, false);
    for sign in line.chars() {
        let splits = sign == at && !is_quoted && !is_escaped;
        is_quoted ^= sign == '"' && !is_escaped;
        is_escaped = sign == '\\' && !is_escaped;
        if splits {
            found.push(String::new());
        } else {
            found.last_mut().expect("at least one").push(sign);
        }
    }
    found
}

fn keep(shared: &mut Shared, line: &str) -> Result<(), Flaw> {
    let [series, fields, timestamp] = &parts(line, ' ')[..] else { return Err(Flaw::Unreadable) };
    if timestamp.parse::<i64>().is_err() {
        return Err(Flaw::Unreadable);
    }
    let measurement = parts(series, ',').swap_remove(0);
    let mut kept = Vec::new();
    for pair in parts(fields, ',') {
        let [name, value] = &parts(&pair, '=')[..] else { return Err(Flaw::Unreadable) };
        let kind = match value.chars().last() {
            Some('"') => '"',
            Some('i') => 'i',
            _ if matches!(value.as_str(), "true" | "false") => 'b',
            _ if value.parse::<f64>().is_ok() => 'f',
            _ => return Err(Flaw::Unreadable),
        };
        let known = *shared.types.entry((measurement.clone(), name.clone())).or_insert(kind);
        if known != kind {
            let words = format!(
                "field type conflict: input field \"{name}\" on measurement \"{measurement}\" is type {kind}, already exists as type {known}"
            );
            return Err(Flaw::Conflict(words));
        }
        kept.push((name.clone(), value.clone()));
    }
    shared.points.entry((series.clone(), timestamp.clone())).or_default().extend(kept);
    Ok(())
}
