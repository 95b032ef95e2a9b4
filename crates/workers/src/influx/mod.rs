//! Handing points on to InfluxDB: a sink of the relay that takes records of type `tollgate.metric` alone.
//!
//! The relay keeps cursor, lease and order (`relay`); here a point becomes its line ([`tollgate_core::metric`]), lines
//! become requests, and requests are repeated until InfluxDB has answered. A point that is written twice is the same
//! point, so that repeating does no harm; one that InfluxDB never takes is told apart from the others and parked.

mod answer;
mod client;
mod kept;
mod writer;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tollgate_core::{secret::Secret, time::Clock};

use self::{
    answer::Verdict,
    client::Client,
    writer::{Line, Writer},
};
use crate::relay::{Acks, MakeProducer, Message, Producer, SendError};

/// Lines that wait for InfluxDB at most; more stay in the database.
const LINES_WAITING_MAX: usize = 16_384;

/// How InfluxDB is reached.
#[derive(Clone)]
pub struct InfluxOptions {
    /// `http://` or `https://`, host, port, and the path before `/write`, if any.
    pub url: String,
    /// Where points go there.
    pub target: InfluxTarget,
    /// PEM file of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where points go.
#[derive(Clone)]
pub enum InfluxTarget {
    /// InfluxDB 1.x: `/write`.
    Database {
        /// The database, with its default retention policy.
        name: String,
        /// Who writes; nobody in particular when `None`.
        user: Option<(String, Arc<Secret<String>>)>,
    },
    /// InfluxDB 2.x: `/api/v2/write`.
    Bucket {
        /// The organisation, its name or id.
        org: String,
        /// The bucket, its name or id.
        name: String,
        /// The token.
        token: Option<Arc<Secret<String>>>,
    },
}

impl fmt::Debug for InfluxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.target {
            InfluxTarget::Database { name, .. } => format!("database {name}"),
            InfluxTarget::Bucket { name, .. } => format!("bucket {name}"),
        };
        write!(f, "InfluxOptions({}, {place})", self.url)
    }
}

impl InfluxOptions {
    /// Writes nothing, and hears whether that would have been taken: address, credential and place in one. What
    /// InfluxDB calls its version.
    ///
    /// # Errors
    /// Why points would not be taken, in words for people.
    pub async fn check(&self, within: Duration) -> Result<Option<String>, String> {
        let mut client = Client::new(self)?;
        let answered = tokio::time::timeout(within, client.write("")).await;
        let answer = answered.map_err(|_| "no answer in time".to_owned())??;
        match Verdict::of(&answer) {
            Verdict::Taken => Ok(answer.version),
            // 2.x finds nothing in a request without points once it has looked at everything else.
            Verdict::Again { .. } if answer.status == 400 && answer.reason().contains("requires points") => {
                Ok(answer.version)
            }
            Verdict::Refused | Verdict::Again { .. } => Err(answer.in_words()),
        }
    }
}

/// Makes what the relay sends points with.
pub struct InfluxSink {
    /// How InfluxDB is reached.
    pub options: InfluxOptions,
    /// For saying once in a while that it cannot be.
    pub clock: Arc<dyn Clock>,
}

impl MakeProducer for InfluxSink {
    fn open(&self, acks: Acks) -> Result<Box<dyn Producer>, String> {
        let client = Client::new(&self.options)?;
        let (lines, waiting) = mpsc::channel(LINES_WAITING_MAX);
        let clock = Arc::clone(&self.clock);
        tokio::spawn(Writer::new(client, waiting, acks, clock).run());
        Ok(Box::new(Points { lines }))
    }
}

/// Hands lines to the writer, which ends when this is dropped.
struct Points {
    lines: mpsc::Sender<Line>,
}

impl Producer for Points {
    fn send(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        let room = self.lines.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => SendError::Full,
            mpsc::error::TrySendError::Closed(()) => SendError::Broken("its writer has ended".to_owned()),
        })?;
        let point = kept::point(message.payload)
            .map_err(|why| SendError::Poison(format!("it is not a point: {why}")))?;
        let mut text = String::with_capacity(message.payload.len() + 1);
        point.push_line(&mut text);
        text.push('\n');
        room.send(Line { token: message.token, text });
        Ok(())
    }
}
