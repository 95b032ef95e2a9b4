//! Programs that post batches, one after the other each, as fast as they are answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::text::{Batch, RECORDS};
use crate::command::Outcome;

/// What became of the batches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Posted {
    /// Records that were taken.
    pub(crate) accepted: u64,
    /// Records that were known.
    pub(crate) duplicates: u64,
    /// Batches that were answered with 503 and sent again.
    pub(crate) overloaded: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// The longest that one batch took, in milliseconds.
    pub(crate) longest_ms: f64,
}

/// Who posts what.
pub(crate) struct Load<'l> {
    pub(crate) gateway: SocketAddr,
    pub(crate) key: &'l str,
    /// Whether records have an `id`.
    pub(crate) with_ids: bool,
    /// Connections, one batch on its way on each.
    pub(crate) connections: usize,
    /// Records a second that are offered at most; all that is taken when 0.
    pub(crate) rate: u64,
    /// Numbers are drawn from here, so that none comes twice.
    pub(crate) numbers: &'l AtomicU64,
}

/// Posts for that long. A batch that has begun is finished, unless it is told to come again when the time is over.
pub(crate) fn run(load: &Load<'_>, length: Duration) -> Outcome<Posted> {
    let start = Instant::now();
    let results: Vec<Result<Posted, String>> = std::thread::scope(|scope| {
        let programs: Vec<_> = (0..load.connections)
            .map(|index| {
                scope.spawn(move || program(load, index, start, length).map_err(|error| error.to_string()))
            })
            .collect();
        programs
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("a program broke off".to_owned())))
            .collect()
    });
    let mut all = Posted { seconds: start.elapsed().as_secs_f64(), ..Posted::default() };
    for posted in results {
        let posted = posted?;
        all.accepted += posted.accepted;
        all.duplicates += posted.duplicates;
        all.overloaded += posted.overloaded;
        all.longest_ms = all.longest_ms.max(posted.longest_ms);
    }
    Ok(all)
}

fn program(load: &Load<'_>, index: usize, start: Instant, length: Duration) -> Outcome<Posted> {
    let mut batch = Batch::json(load.with_ids, index as u64 + 1);
    let head = format!(
        "POST /api/v1/ingest HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        load.gateway,
        load.key,
        batch.bytes.len()
    );
    let mut line = Line::open(load.gateway)?;
    let mut posted = Posted::default();
    // With a rate every connection has its share of it, one batch at a time.
    let pace = (load.rate > 0).then(|| (RECORDS * load.connections) as f64 / load.rate as f64);
    let mut turn = 0.0;
    while start.elapsed() < length {
        if let Some(pace) = pace {
            let due = Duration::from_secs_f64(pace * turn);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
            turn += 1.0;
        }
        batch.number(load.numbers.fetch_add(RECORDS as u64, Ordering::Relaxed), 1);
        let begun = Instant::now();
        while !line.post(&head, &batch.bytes, &mut posted)? {
            if start.elapsed() >= length {
                return Ok(posted);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        posted.longest_ms = posted.longest_ms.max(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(posted)
}

struct Line {
    address: SocketAddr,
    reader: BufReader<TcpStream>,
}

impl Line {
    fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { address, reader: BufReader::new(stream) })
    }

    /// Posts one batch; `false` when it is to be sent again.
    fn post(&mut self, head: &str, body: &[u8], posted: &mut Posted) -> Outcome<bool> {
        let stream = self.reader.get_mut();
        stream.write_all(head.as_bytes())?;
        // Who is refused early may be told so before the whole body is there.
        let sent = stream.write_all(body);
        let (status, answer, closes) =
            self.answer().map_err(|error| format!("{error}; sending: {sent:?}"))?;
        if closes {
            *self = Self::open(self.address)?;
        }
        match status {
            202 => {
                posted.accepted += answer["accepted"].as_u64().unwrap_or(0);
                posted.duplicates += answer["duplicates"].as_u64().unwrap_or(0);
                Ok(true)
            }
            503 => {
                posted.overloaded += 1;
                Ok(false)
            }
            _ => Err(format!("a batch got {status}: {answer}").into()),
        }
    }

    fn answer(&mut self) -> Outcome<(u16, serde_json::Value, bool)> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("the answer begins with {line:?}"))?;
        let (mut length, mut closes) = (0, false);
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let lower = line.trim_end().to_ascii_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            closes |= lower == "connection: close";
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default(), closes))
    }
}
