//! Reading reports from a topic: what is durable is committed, what is wrong is counted and passed over, what
//! cannot be kept now is tried again before anything behind it is committed.
//!
//! A request without an id gets the place of its message as one, so that a message that comes again counts once.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tollgate_core::{
    time::Clock,
    usage_report::{Wrong, read},
};

use super::{
    NotReported, Reporter, UsageIn,
    source::{Incoming, OpenReports, Reports},
};
use crate::{faults::Faults, stop::Stop};

/// Messages that are taken at once.
const MESSAGES_MAX: usize = 128;
/// How long to wait for the first of them.
const WITHIN: Duration = Duration::from_millis(500);
/// The pause after a fault.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it tells of messages that are wrong.
const TELL_EVERY_NS: u64 = 10_000_000_000;
/// How long the task may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a report.
const BYTES_MAX: usize = tollgate_core::usage_report::REPORT_BYTES_MAX as usize;

/// How reports are read.
pub struct ReportOptions {
    /// Where they come from.
    pub from: Arc<dyn OpenReports>,
}

/// The running task.
pub struct Reporting {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Reporting {
    /// Starts it on the present tokio runtime.
    #[must_use]
    pub fn start(usage: Arc<UsageIn>, clock: Arc<dyn Clock>, options: ReportOptions) -> Self {
        let (stop, stopped) = watch::channel(false);
        let reading = Reading { usage, clock, from: options.from, told: None };
        Self { stop, task: tokio::spawn(reading.run(Stop::new(stopped))) }
    }

    /// Ends it: what was taken and not committed comes again and is known then.
    pub async fn stop(mut self) {
        // Nobody listening means that it has ended already.
        let _listeners = self.stop.send(true);
        match timeout(STOP_PATIENCE, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "reading reports of usage ended badly"),
            Err(_late) => self.task.abort(),
        }
    }
}

struct Reading {
    usage: Arc<UsageIn>,
    clock: Arc<dyn Clock>,
    from: Arc<dyn OpenReports>,
    /// When it last told of a message that is wrong, and how many were since.
    told: Option<(u64, u64)>,
}

impl Reading {
    async fn run(mut self, mut stop: Stop) {
        metrics::describe_counter!(
            "tollgate_usage_messages_total",
            "Messages with reports of usage: taken, or refused because they are wrong"
        );
        let mut faults = Faults::of("usage topic");
        loop {
            match self.session(&mut stop, &mut faults).await {
                Ok(()) => return,
                Err(why) => {
                    faults.failed(self.clock.now(), &"reports of usage cannot be read", Some(&why));
                }
            }
            if stop.pause(PAUSE, std::future::pending()).await {
                return;
            }
        }
    }

    /// Reads until a fault, or the end.
    async fn session(&mut self, stop: &mut Stop, faults: &mut Faults) -> Result<(), String> {
        let from = Arc::clone(&self.from);
        let mut reports = blocking(move || from.open()).await??;
        loop {
            let (messages, back) = blocking(move || {
                let messages = reports.next(MESSAGES_MAX, WITHIN);
                (messages, reports)
            })
            .await?;
            reports = back;
            let messages = messages?;
            faults.worked();
            if !messages.is_empty() {
                if !self.take(messages, stop).await? {
                    return Ok(());
                }
                let (committed, back) = blocking(move || {
                    let committed = reports.commit();
                    (committed, reports)
                })
                .await?;
                reports = back;
                committed?;
            }
            if stop.is_asked() {
                // Leaving the group waits for the broker a little; not on a thread that others share.
                return blocking(move || drop::<Box<dyn Reports>>(reports)).await;
            }
        }
    }

    /// Takes messages, until each is durable or wrong; `false` when it is to end before that.
    ///
    /// # Errors
    /// When one was not looked at to its end: nothing is committed then.
    async fn take(&mut self, messages: Vec<Incoming>, stop: &mut Stop) -> Result<bool, String> {
        let mut waiting = messages;
        while !waiting.is_empty() {
            let mut taking = JoinSet::new();
            for message in std::mem::take(&mut waiting) {
                let usage = Arc::clone(&self.usage);
                taking.spawn(async move {
                    let outcome = one(&usage, &message).await;
                    (message, outcome)
                });
            }
            while let Some(done) = taking.join_next().await {
                let (message, outcome) = done.map_err(|error| error.to_string())?;
                match outcome {
                    Ok(()) => {
                        metrics::counter!("tollgate_usage_messages_total", "outcome" => "taken").increment(1)
                    }
                    Err(NotReported::Wrong(wrong)) => self.refuse(&message, &wrong),
                    Err(NotReported::NotTaken(_)) => waiting.push(message),
                }
            }
            if !waiting.is_empty() && stop.pause(PAUSE, std::future::pending()).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A message that is wrong will be wrong for ever: it is counted, and told now and then.
    fn refuse(&mut self, message: &Incoming, wrong: &Wrong) {
        metrics::counter!("tollgate_usage_messages_total", "outcome" => "refused").increment(1);
        let now_ns = self.clock.mono_ns();
        if let Some((told_ns, count)) = &mut self.told
            && now_ns.saturating_sub(*told_ns) < TELL_EVERY_NS
        {
            *count += 1;
            return;
        }
        let before = self.told.replace((now_ns, 0)).map_or(0, |(_, count)| count);
        let place = message.place.as_str();
        tracing::warn!(place, before, %wrong, "a report of usage is wrong and was passed over");
    }
}

async fn one(usage: &UsageIn, message: &Incoming) -> Result<(), NotReported> {
    if message.payload.len() > BYTES_MAX {
        let problem = format!("it has {} bytes, over the bound of {BYTES_MAX}", message.payload.len());
        return Err(NotReported::Wrong(Wrong::Body(problem)));
    }
    let mut json = serde_json::Deserializer::from_slice(&message.payload);
    let mut requests = read(&mut json).map_err(NotReported::Wrong)?;
    json.end().map_err(|error| NotReported::Wrong(Wrong::Body(error.to_string())))?;
    for (index, request) in requests.iter_mut().enumerate() {
        if request.id.is_none() {
            request.id = Some(format!("{}/{index}", message.place).into());
        }
    }
    let reporter = Reporter { tenant: None, services: Box::default() };
    usage.take(&reporter, requests).await.map(drop)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}
