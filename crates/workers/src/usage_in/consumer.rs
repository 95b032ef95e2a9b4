//! Reading reports from a topic: what is durable is committed, what is wrong is counted, told with its place, noted
//! where it can be looked at, and passed over without the rest of its message, what cannot be kept now is tried again before anything behind it
//! is committed. So is, for some seconds, what is of a key or a service that this node does not know yet.
//!
//! A request without an id gets the place of its message as one, so that a message that comes again counts once.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tollgate_core::{
    event::NotTaken,
    time::Clock,
    usage_report::{Wrong, read},
};
use tollgate_store::{REFUSED_KEPT_MAX, RefusedUsage};

use super::{
    NotReported, Reporter, UsageIn, may_become_known,
    source::{Incoming, OpenReports, Reports},
};
use crate::{faults::Faults, stop::Stop};

/// Messages that are taken at once.
const MESSAGES_MAX: usize = 128;
/// How long to wait for the first of them.
const WITHIN: Duration = Duration::from_millis(500);
/// The pause after a fault.
const PAUSE: Duration = Duration::from_secs(1);
/// In this time
const TELL_WITHIN_NS: u64 = 10_000_000_000;
/// it tells of so many wrong requests and messages one by one; of more it tells how many, the first and the last.
const TOLD_MAX: u64 = 100;
/// How long a key or a service that was waited for in vain is not waited for again: what stays wrong must not hold
/// up the topic each time.
const IN_VAIN_NS: u64 = 60_000_000_000;
/// How many of them are remembered; all are forgotten beyond that.
const IN_VAIN_MAX: usize = 4_096;
/// How long the task may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a report.
const BYTES_MAX: usize = tollgate_core::usage_report::REPORT_BYTES_MAX as usize;

/// How reports are read.
pub struct ReportOptions {
    /// Where they come from.
    pub from: Arc<dyn OpenReports>,
    /// How often a request of a key or a service that is not known here is tried again, a second apart, before it
    /// is refused: this node may learn of it in a moment.
    pub unknown_tries: u32,
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
        let ReportOptions { from, unknown_tries } = options;
        let reading = Reading {
            usage,
            clock,
            from,
            unknown_tries,
            told: Told::default(),
            in_vain: HashMap::new(),
            refused: VecDeque::new(),
        };
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
    unknown_tries: u32,
    told: Told,
    /// What was waited for in vain, and when.
    in_vain: HashMap<Box<str>, u64>,
    /// What was passed over and is not noted yet, the latest.
    refused: VecDeque<RefusedUsage>,
}

/// What was told of wrong requests and messages.
#[derive(Default)]
struct Told {
    /// Since when it counts.
    since_ns: u64,
    count: u64,
    /// The first and the last place that was not told by itself.
    untold: Option<(String, String)>,
}

/// Why a message was not taken whole.
struct Refused {
    why: NotReported,
    /// Key and service of the request that is wrong.
    named: Option<Box<str>>,
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
                self.note_refused().await?;
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

    /// Notes what was passed over, before it is committed: otherwise it comes again.
    async fn note_refused(&mut self) -> Result<(), String> {
        if self.refused.is_empty() {
            return Ok(());
        }
        let noted = self.usage.store.note_refused_usage(self.refused.make_contiguous()).await;
        noted.map_err(|error| error.to_string())?;
        self.refused.clear();
        Ok(())
    }

    /// Takes messages, until each is durable or wrong; `false` when it is to end before that.
    ///
    /// # Errors
    /// When one was not looked at to its end: nothing is committed then.
    async fn take(&mut self, messages: Vec<Incoming>, stop: &mut Stop) -> Result<bool, String> {
        let mut waiting: Vec<Waiting> =
            messages.into_iter().map(|message| Waiting { message, tries: 0, good_only: false }).collect();
        while !waiting.is_empty() {
            let mut taking = JoinSet::new();
            for one in std::mem::take(&mut waiting) {
                let usage = Arc::clone(&self.usage);
                taking.spawn(async move {
                    let outcome = take_one(&usage, &one).await;
                    (one, outcome)
                });
            }
            while let Some(done) = taking.join_next().await {
                let (one, outcome) = done.map_err(|error| error.to_string())?;
                waiting.extend(self.ended(one, outcome));
            }
            if !waiting.is_empty() && stop.pause(PAUSE, std::future::pending()).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What became of a message; gives it back when it is to be tried again.
    fn ended(&mut self, mut one: Waiting, outcome: Result<Vec<Wrong>, Refused>) -> Option<Waiting> {
        let counted = |outcome: &'static str| {
            metrics::counter!("tollgate_usage_messages_total", "outcome" => outcome).increment(1);
        };
        let Refused { why, named } = match outcome {
            Ok(left_out) => {
                counted(if left_out.is_empty() { "taken" } else { "refused" });
                left_out.iter().for_each(|wrong| self.tell(&one.message, wrong));
                return None;
            }
            Err(refused) => refused,
        };
        let wrong = match why {
            NotReported::NotTaken(_) => return Some(one),
            NotReported::Wrong(wrong) => wrong,
        };
        if one.good_only || !matches!(wrong, Wrong::Request { .. }) {
            counted("refused");
            self.tell(&one.message, &wrong);
            return None;
        }
        let is_waited_for = may_become_known(&wrong) && one.tries < self.unknown_tries;
        if is_waited_for && !named.as_ref().is_some_and(|named| self.was_in_vain(named)) {
            one.tries += 1;
            return Some(one);
        }
        if let Some(named) = named.filter(|_| one.tries > 0) {
            if self.in_vain.len() >= IN_VAIN_MAX {
                self.in_vain.clear();
            }
            self.in_vain.insert(named, self.clock.mono_ns());
        }
        one.good_only = true;
        Some(one)
    }

    fn was_in_vain(&self, named: &str) -> bool {
        let since = |at_ns: &u64| self.clock.mono_ns().saturating_sub(*at_ns);
        self.in_vain.get(named).is_some_and(|at_ns| since(at_ns) < IN_VAIN_NS)
    }

    /// What is wrong now will be wrong for ever: it is told, so that it can be found in the topic.
    fn tell(&mut self, message: &Incoming, wrong: &Wrong) {
        let now_ns = self.clock.mono_ns();
        let place = message.place.as_str();
        if self.refused.len() >= REFUSED_KEPT_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(RefusedUsage {
            place: place.to_owned(),
            reason: wrong.to_string(),
            refused_us: self.clock.now().wall_us,
        });
        if now_ns.saturating_sub(self.told.since_ns) >= TELL_WITHIN_NS {
            let told = std::mem::replace(&mut self.told, Told { since_ns: now_ns, ..Told::default() });
            if let Some((first, last)) = told.untold {
                let more = told.count - TOLD_MAX;
                tracing::warn!(
                    more,
                    first,
                    last,
                    "more requests or reports of usage were wrong and passed over"
                );
            }
        }
        self.told.count += 1;
        if self.told.count <= TOLD_MAX {
            tracing::warn!(place, %wrong, "a request or a report of usage is wrong and was passed over");
            return;
        }
        let first = self.told.untold.take().map_or_else(|| place.to_owned(), |(first, _)| first);
        self.told.untold = Some((first, place.to_owned()));
    }
}

/// A message that is on its way.
struct Waiting {
    message: Incoming,
    /// How often it was tried again for what is not known here.
    tries: u32,
    /// Whether what is right of it is taken without the rest.
    good_only: bool,
}

/// Takes a message; answers what was left out of it.
async fn take_one(usage: &UsageIn, one: &Waiting) -> Result<Vec<Wrong>, Refused> {
    let message = &one.message;
    let refused = |why| Refused { why, named: None };
    let unreadable = |problem| refused(NotReported::Wrong(Wrong::Body(problem)));
    if !usage.is_fresh() {
        let why = "this node does not know yet what there is";
        return Err(refused(NotReported::NotTaken(NotTaken::Overloaded { why, retry_after_s: 1 })));
    }
    if message.payload.len() > BYTES_MAX {
        let bytes = message.payload.len();
        return Err(unreadable(format!("it has {bytes} bytes, over the bound of {BYTES_MAX}")));
    }
    let mut json = serde_json::Deserializer::from_slice(&message.payload);
    let mut requests = read(&mut json).map_err(|wrong| refused(NotReported::Wrong(wrong)))?;
    json.end().map_err(|error| unreadable(error.to_string()))?;
    for (index, request) in requests.iter_mut().enumerate() {
        if request.id.is_none() {
            request.id = Some(format!("{}/{index}", message.place).into());
        }
    }
    let reporter = Reporter { tenant: None, services: Box::default() };
    if one.good_only {
        return usage.take_good(&reporter, requests).await.map_err(refused);
    }
    let names: Vec<Box<str>> =
        requests.iter().map(|request| format!("{} {}", request.key, request.service).into()).collect();
    usage.take(&reporter, requests).await.map(|_| Vec::new()).map_err(|why| {
        let named = match &why {
            NotReported::Wrong(Wrong::Request { index, .. }) => names.get(*index).cloned(),
            _ => None,
        };
        Refused { why, named }
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}
