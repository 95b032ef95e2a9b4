//! Writing lines: many in a request, one request after the other so that their order holds, each until InfluxDB has
//! answered. Where it refuses some of a request's points, the request is cut in halves until it is known which.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tollgate_core::time::Clock;

use super::{
    answer::{Answer, Verdict},
    client::Client,
};
use crate::{
    faults::Faults,
    relay::{Ack, Acks, Fault},
};

/// Lines of one request at most: what InfluxData advises.
const LINES_MAX: usize = 5_000;
/// Bytes of lines from which on a request is full.
const BYTES_FULL: usize = 4 << 20;
/// The first pause after a fault; it doubles from then on.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause, unless InfluxDB asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// A line on its way.
pub(super) struct Line {
    pub(super) token: u64,
    /// With its line break.
    pub(super) text: String,
}

pub(super) struct Writer {
    client: Client,
    waiting: mpsc::Receiver<Line>,
    acks: Acks,
    clock: Arc<dyn Clock>,
    faults: Faults,
}

impl Writer {
    pub(super) fn new(
        client: Client,
        waiting: mpsc::Receiver<Line>,
        acks: Acks,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { client, waiting, acks, clock, faults: Faults::of("influx") }
    }

    /// Writes until the session of the relay has ended: who listens no longer has begun anew, or stopped.
    pub(super) async fn run(mut self) {
        metrics::describe_counter!(
            "tollgate_influx_requests_total",
            "Requests to InfluxDB, by their outcome"
        );
        let acks = self.acks.clone();
        tokio::select! {
            () = acks.closed() => {}
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        while let Some(first) = self.waiting.recv().await {
            let mut bytes = first.text.len();
            let mut lines = vec![first];
            while lines.len() < LINES_MAX && bytes < BYTES_FULL {
                let Ok(line) = self.waiting.try_recv() else { break };
                bytes += line.text.len();
                lines.push(line);
            }
            self.write(&lines).await;
        }
    }

    /// Writes lines, in parts where some are refused, and says of each what became of it.
    async fn write(&mut self, lines: &[Line]) {
        // At most one part for each time that a part can be halved.
        let mut parts = vec![lines];
        while let Some(part) = parts.pop() {
            match (self.answered(part).await, part) {
                (None, _) => part.iter().for_each(|line| self.tell(line.token, Ok(()))),
                (Some(reason), [line]) => self.tell(line.token, Err(Fault::Poison(reason))),
                (Some(_), _) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
    }

    /// Sends a request until it is answered; why its points are refused, when some are.
    async fn answered(&mut self, part: &[Line]) -> Option<String> {
        let body: String = part.iter().map(|line| line.text.as_str()).collect();
        let mut pause = PAUSE_MIN;
        loop {
            let (problem, after) = match self.client.write(&body).await {
                Ok(answer) => match Verdict::of(&answer) {
                    Verdict::Taken => {
                        count("taken");
                        self.faults.worked();
                        return None;
                    }
                    Verdict::Refused => {
                        count("refused");
                        self.faults.worked();
                        return Some(Answer::reason(&answer))
                            .map(|reason| if reason.is_empty() { answer.in_words() } else { reason });
                    }
                    Verdict::Again { after } => (answer.in_words(), after),
                },
                Err(problem) => (problem, None),
            };
            count("fault");
            let place = self.client.place();
            self.faults.failed(self.clock.now(), &format!("{place} does not take points: {problem}"), None);
            tokio::time::sleep(after.unwrap_or(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn tell(&self, token: u64, outcome: Result<(), Fault>) {
        // There is room for one of each; nobody listens once the session has ended.
        let _ended = self.acks.try_send(Ack { token, outcome });
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("tollgate_influx_requests_total", "outcome" => outcome).increment(1);
}
