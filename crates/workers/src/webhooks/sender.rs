//! The loop of the sender: what is due, how many at once, what became of them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::task::{JoinError, JoinSet};
use tollgate_core::{
    id::{TenantId, WebhookId},
    secret::Secret,
    time::Clock,
    webhook::next_attempt_after,
};
use tollgate_store::{Attempted, Outgoing, SenderLease, Sending, Store, StoreError};

use super::{
    WebhookOptions,
    client::{Answer, Client},
    message::Message,
};
use crate::{faults::Faults, stop::Stop};

/// How often it looks for what is new or due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause before another try to take the lease, or after a fault.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a lease lasts without being kept. A sender elsewhere begins after that.
const LEASE_US: i64 = 15_000_000;
/// When a lease is kept.
const KEEP_EVERY_US: i64 = 5_000_000;
/// Requests under way to one webhook.
const EACH_MAX: usize = 4;
/// Requests under way to webhooks of one tenant: whose receivers are slow holds back nobody else.
pub(super) const TENANT_MAX: usize = 32;
/// Requests under way in all.
const ALL_MAX: usize = 256;
/// What is under way may take so long when the sender ends.
const END_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Sender {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    node: u64,
    client: Arc<Client>,
    disabled_after_us: i64,
}

/// How a turn ended that had no fault.
enum Ended {
    Stopped,
    Elsewhere,
}

/// What one turn knows: it ends with the lease.
struct Turn<'s> {
    sender: &'s Sender,
    lease: SenderLease,
    kept_us: i64,
    under_way: HashMap<WebhookId, Vec<u64>>,
    /// Whose the webhooks are that requests are under way to.
    owners: HashMap<WebhookId, TenantId>,
    /// Looks so far: each begins with another webhook.
    looks: usize,
    tasks: JoinSet<Attempted>,
}

impl Sender {
    pub(super) fn new(store: Arc<Store>, clock: Arc<dyn Clock>, node: u64, options: WebhookOptions) -> Self {
        let disabled_after_us = i64::try_from(options.disabled_after.as_micros()).unwrap_or(i64::MAX);
        Self { store, clock, node, client: Arc::new(Client::new(options)), disabled_after_us }
    }

    pub(super) async fn run(self, mut stop: Stop) {
        describe();
        let mut faults = Faults::of("webhooks");
        loop {
            match self.turn(&mut stop, &mut faults).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Elsewhere) => {}
                Err(error) => {
                    faults.failed(self.clock.now(), &error, error.cause());
                }
            }
            if stop.pause(PAUSE, std::future::pending()).await {
                return;
            }
        }
    }

    /// From taking the lease until it is lost, a fault, or the end.
    async fn turn(&self, stop: &mut Stop, faults: &mut Faults) -> Result<Ended, StoreError> {
        let now_us = self.clock.now().wall_us;
        let taken = self.store.take_sender(self.node, (now_us, until_us(now_us))).await?;
        let Some(lease) = taken else { return Ok(Ended::Elsewhere) };
        let (under_way, owners, tasks) = (HashMap::new(), HashMap::new(), JoinSet::new());
        let mut turn = Turn { sender: self, lease, kept_us: now_us, under_way, owners, looks: 0, tasks };
        loop {
            if stop.is_asked() {
                turn.end().await?;
                return Ok(Ended::Stopped);
            }
            let Some(has_more) = turn.look().await? else { return Ok(Ended::Elsewhere) };
            faults.worked();
            // While it catches up it does not wait, and what became of attempts is written down all the same.
            let first = if has_more { None } else { turn.wait(stop).await };
            if !turn.take_in(first).await? {
                return Ok(Ended::Elsewhere);
            }
        }
    }
}

fn until_us(now_us: i64) -> i64 {
    now_us.saturating_add(LEASE_US)
}

impl Turn<'_> {
    /// Takes in what is new and begins to send what is due; whether there may be more, `None` when the lease is lost.
    async fn look(&mut self) -> Result<Option<bool>, StoreError> {
        let now_us = self.sender.clock.now().wall_us;
        let until_us = until_us(now_us);
        let Ok(has_more) = self.sender.store.fan_out_notices(self.lease, (now_us, until_us)).await? else {
            return Ok(None);
        };
        if now_us.saturating_sub(self.kept_us) >= KEEP_EVERY_US {
            self.kept_us = now_us;
            if self.sender.store.keep_sender(self.lease, until_us).await?.is_err() {
                return Ok(None);
            }
        }
        let mut due = self.sender.store.due_deliveries(now_us, (EACH_MAX, &self.under_way)).await?;
        // Whoever has least under way comes first, one of each in turn, and of equals another one each time: a slow
        // receiver holds no other back.
        self.looks = self.looks.wrapping_add(1);
        let first = self.looks % due.len().max(1);
        due.rotate_left(first);
        due.sort_by_key(|(sending, _)| self.under_way.get(&sending.id).map_or(0, Vec::len));
        let mut of_tenant: HashMap<TenantId, usize> = HashMap::new();
        for (id, positions) in &self.under_way {
            if let Some(tenant) = self.owners.get(id) {
                *of_tenant.entry(*tenant).or_default() += positions.len();
            }
        }
        for place in 0..EACH_MAX {
            for (sending, outgoing) in &due {
                let own = of_tenant.entry(sending.tenant).or_default();
                if let Some(one) = outgoing.get(place)
                    && self.tasks.len() < ALL_MAX
                    && *own < TENANT_MAX
                {
                    *own += 1;
                    self.begin(sending, one.clone());
                }
            }
        }
        metrics::gauge!("tollgate_webhook_requests").set(self.tasks.len() as f64);
        Ok(Some(has_more))
    }

    fn begin(&mut self, sending: &Sending, outgoing: Outgoing) {
        self.under_way.entry(sending.id).or_default().push(outgoing.position);
        self.owners.insert(sending.id, sending.tenant);
        let (client, clock) = (Arc::clone(&self.sender.client), Arc::clone(&self.sender.clock));
        let (url, secrets) = (sending.url.clone(), sending.secrets.clone());
        self.tasks.spawn(async move { attempt(&client, &*clock, (&url, &secrets), &outgoing).await });
    }

    /// Waits for the next look or for what is under way.
    async fn wait(&mut self, stop: &mut Stop) -> Option<Result<Attempted, JoinError>> {
        tokio::select! {
            Some(done) = self.tasks.join_next() => Some(done),
            _ = stop.pause(LOOK_EVERY, std::future::pending()) => None,
        }
    }

    /// Writes down what became of all that has ended. `false` when the lease is lost.
    async fn take_in(&mut self, first: Option<Result<Attempted, JoinError>>) -> Result<bool, StoreError> {
        let mut done = Vec::new();
        for one in first.into_iter().chain(std::iter::from_fn(|| self.tasks.try_join_next())) {
            match one {
                Ok(attempted) => done.push(attempted),
                Err(error) => return Err(ended_badly(&error)),
            }
        }
        self.settle(done).await
    }

    async fn settle(&mut self, done: Vec<Attempted>) -> Result<bool, StoreError> {
        if done.is_empty() {
            return Ok(true);
        }
        let now_us = self.sender.clock.now().wall_us;
        let failing_since_us = now_us.saturating_sub(self.sender.disabled_after_us);
        let moments = (now_us, until_us(now_us), failing_since_us);
        if self.sender.store.settle_deliveries(self.lease, &done, moments).await?.is_err() {
            return Ok(false);
        }
        for one in done {
            if let Some(positions) = self.under_way.get_mut(&one.webhook) {
                positions.retain(|position| *position != one.position);
                if positions.is_empty() {
                    self.under_way.remove(&one.webhook);
                    self.owners.remove(&one.webhook);
                }
            }
            let outcome = if one.is_taken { "taken" } else { "failed" };
            metrics::counter!("tollgate_webhook_attempts_total", "outcome" => outcome).increment(1);
        }
        Ok(true)
    }

    /// Waits a little for what is under way, writes it down, and gives the lease back.
    async fn end(&mut self) -> Result<(), StoreError> {
        let mut done = Vec::new();
        let all = async {
            while let Some(one) = self.tasks.join_next().await {
                done.extend(one.ok());
            }
        };
        // What takes longer is sent again by the next sender.
        let _late = tokio::time::timeout(END_PATIENCE, all).await;
        self.settle(done).await?;
        self.sender.store.leave_sender(self.lease).await
    }
}

fn ended_badly(error: &JoinError) -> StoreError {
    StoreError::Unavailable {
        public: "a request to a webhook ended badly".to_owned(),
        cause: error.to_string(),
    }
}

/// Sends once.
async fn attempt(
    client: &Client,
    clock: &dyn Clock,
    (url, secrets): (&str, &[Secret<Vec<u8>>]),
    outgoing: &Outgoing,
) -> Attempted {
    let began = clock.now();
    let message = Message::sign(outgoing, secrets, began.wall_us);
    let answer = client.send(url, &message).await;
    let ended = clock.now();
    let took_us = i64::try_from(ended.mono_ns.saturating_sub(began.mono_ns) / 1000).unwrap_or(i64::MAX);
    let judged = judge(answer, ended.wall_us);
    let pause_us = next_attempt_after(outgoing.attempts + 1, judged.retry_after_s, spread(outgoing));
    let next_us = pause_us.filter(|_| !judged.is_taken && !judged.is_gone);
    Attempted {
        webhook: outgoing.webhook,
        position: outgoing.position,
        is_taken: judged.is_taken,
        status: judged.status,
        answer: judged.text,
        at_us: began.wall_us,
        took_us,
        next_us: next_us.map(|pause_us| ended.wall_us.saturating_add(pause_us)),
        is_gone: judged.is_gone,
    }
}

/// What spreads retries: the id of a notice is random.
fn spread(outgoing: &Outgoing) -> u32 {
    let mixed =
        outgoing.notice.0.wrapping_add(u64::from(outgoing.attempts)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

#[derive(Debug, PartialEq, Eq)]
struct Judged {
    is_taken: bool,
    is_gone: bool,
    status: u16,
    retry_after_s: Option<u32>,
    text: String,
}

/// What an answer means (Standard Webhooks, "Operational considerations"): 2xx is taken, 410 is gone, everything else
/// is a failure, redirects too.
fn judge(answer: Result<Answer, String>, now_us: i64) -> Judged {
    let failed =
        |text: String| Judged { is_taken: false, is_gone: false, status: 0, retry_after_s: None, text };
    match answer {
        Err(why) => failed(why),
        Ok(Answer { status, retry_after, text }) => Judged {
            is_taken: (200..300).contains(&status),
            is_gone: status == 410,
            status,
            retry_after_s: retry_after.and_then(|text| seconds(&text, now_us)),
            text: if (300..400).contains(&status) {
                "a redirect, which is not followed".to_owned()
            } else {
                text
            },
        },
    }
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
fn seconds(text: &str, now_us: i64) -> Option<u32> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(seconds);
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    u32::try_from(date.saturating_sub(now_us.div_euclid(1_000_000)).max(0)).ok()
}

fn describe() {
    metrics::describe_counter!("tollgate_webhook_attempts_total", "Attempts to tell webhooks, by outcome");
    metrics::describe_gauge!("tollgate_webhook_requests", "Requests to webhooks under way");
}

#[cfg(test)]
mod tests {
    use super::{Answer, judge, seconds};

    #[test]
    fn answers_mean_what_the_standard_says() {
        let judged = |status: u16| {
            let judged = judge(Ok(Answer { status, retry_after: None, text: String::new() }), 0);
            (judged.is_taken, judged.is_gone)
        };
        for status in [200, 201, 204, 299] {
            assert_eq!(judged(status), (true, false), "{status}");
        }
        for status in [301, 302, 307, 400, 401, 404, 429, 500, 502, 503] {
            assert_eq!(judged(status), (false, false), "{status}");
        }
        assert_eq!(judged(410), (false, true));
        assert!(!judge(Err("no".to_owned()), 0).is_taken);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now_us = 1_445_412_420_000_000;
        assert_eq!(seconds(" 120 ", now_us), Some(120));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT", now_us), Some(60));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:20:00 GMT", now_us), Some(0));
        assert_eq!(seconds("soon", now_us), None);
    }
}
