//! Reminding people of keys that expire, whose secret is old, that nobody uses: as rows that are shown
//! and passed on, and once a day by mail.
//!
//! The store makes each reminder once, whichever node asks; the digests of a tenant's day belong to whoever
//! took them, one tenant at a time, and what they say is marked once the postman has them. A mail that its
//! server never takes is lost: the reminder itself is still shown.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use tollgate_core::time::Clock;
use tollgate_store::{
    DIGEST_PEOPLE_MAX, Digest, Digests, REMINDERS_FOUND_MAX, Reminder, ReminderKind, ReminderRules, Store,
    StoreError,
};

use crate::{faults::Faults, stop::Stop};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often reminders are looked for.
const TURN_NS: u64 = 600_000_000_000;
/// How long one call may take.
const CALL_MAX: Duration = Duration::from_secs(30);
/// Calls of one turn, at most [`REMINDERS_FOUND_MAX`] reminders of a kind each.
const CALLS_MAX: u32 = 20;
/// Reminders that a mail names; the rest is counted.
const NAMED_MAX: usize = 50;
const DAY_US: i64 = 86_400_000_000;

/// Takes mails and returns at once.
pub trait Postman: Send + Sync {
    /// How many letters there is room for now. Digests leave room for mails that somebody waits for.
    fn room(&self) -> usize;

    /// Takes a mail; whether there was room. What cannot be sent then is the postman's business.
    fn post(&self, letter: Letter) -> bool;
}

/// A mail without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The e-mail address it goes to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// Whom to remind of what, and how.
#[derive(Clone)]
pub struct RemindOptions {
    /// When somebody is reminded.
    pub rules: ReminderRules,
    /// Who sends digests; none are sent without.
    pub postman: Option<Arc<dyn Postman>>,
    /// Where the console is, for links.
    pub console: Option<String>,
}

pub(crate) struct Reminding {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: RemindOptions,
}

impl Reminding {
    pub(crate) async fn run(self, mut stop: Stop) {
        let mut faults = Faults::of("remind");
        let mut last_ns: Option<u64> = None;
        loop {
            let now = self.clock.now();
            if last_ns.is_none_or(|last| now.mono_ns.saturating_sub(last) >= TURN_NS) {
                match self.turn(now.wall_us, &stop).await {
                    Ok(()) => {
                        last_ns = Some(now.mono_ns);
                        faults.worked();
                    }
                    Err(Fault::Store(error)) => {
                        faults.failed(self.clock.now(), &error, error.cause());
                    }
                    Err(Fault::Slow) => {
                        faults.failed(self.clock.now(), &"the database did not answer within 30 s", None);
                    }
                }
            }
            if stop.pause(LOOK_EVERY, std::future::pending()).await {
                return;
            }
        }
    }

    async fn turn(&self, now_us: i64, stop: &Stop) -> Result<(), Fault> {
        for _ in 0..CALLS_MAX {
            let made = within(self.store.remind(&self.options.rules, now_us)).await?;
            if made < REMINDERS_FOUND_MAX as u64 || stop.is_asked() {
                break;
            }
        }
        let Some(postman) = &self.options.postman else { return Ok(()) };
        for tenant in within(self.store.digests_due(now_us)).await? {
            // What waits is sent first; the next turn goes on.
            if stop.is_asked() || postman.room() < DIGEST_PEOPLE_MAX {
                break;
            }
            let Digests { letters, mut numbers } = within(self.store.take_digests(tenant, now_us)).await?;
            let console = self.options.console.as_deref();
            let is_refused = |digest: &&Digest| !postman.post(letter(digest, console, now_us));
            let refused: Vec<&Digest> = letters.iter().filter(is_refused).collect();
            numbers.retain(|number| !refused.iter().any(|digest| has(digest, *number)));
            if !numbers.is_empty() {
                within(self.store.digests_mailed(&numbers, now_us)).await?;
            }
        }
        Ok(())
    }
}

fn has(digest: &Digest, number: u64) -> bool {
    digest.reminders.iter().any(|reminder| reminder.number == number)
}

enum Fault {
    Store(StoreError),
    Slow,
}

async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, Fault> {
    tokio::time::timeout(CALL_MAX, call).await.map_err(|_| Fault::Slow)?.map_err(Fault::Store)
}

fn letter(digest: &Digest, console: Option<&str>, now_us: i64) -> Letter {
    let count = digest.reminders.len();
    let noun = if count == 1 { "key needs" } else { "keys need" };
    let mut text = format!("In {} on Tollgate, {count} {noun} attention.\n", digest.tenant_name);
    for kind in ReminderKind::ALL {
        let own: Vec<&Reminder> = digest.reminders.iter().filter(|reminder| reminder.kind == kind).collect();
        if own.is_empty() {
            continue;
        }
        // Writing to a String cannot fail.
        let _infallible = write!(text, "\n{}:\n", heading(kind));
        for reminder in own.iter().take(NAMED_MAX) {
            let name = reminder.key_name.clone().unwrap_or_else(|| reminder.shown.clone());
            let _infallible = writeln!(
                text,
                "- {name} of {} in {}: {}",
                reminder.consumer.name,
                reminder.project.name,
                words(reminder, now_us)
            );
            if let Some(console) = console {
                let _infallible = writeln!(text, "  {}/keys/{}", console.trim_end_matches('/'), reminder.key);
            }
        }
        if own.len() > NAMED_MAX {
            let _infallible = writeln!(text, "- and {} more", own.len() - NAMED_MAX);
        }
    }
    text.push_str("\nEach is said once, in one mail a day at most.\n");
    let subject = format!("{count} {noun} attention in {}", digest.tenant_name);
    Letter { to: digest.to.clone(), subject, text }
}

const fn heading(kind: ReminderKind) -> &'static str {
    match kind {
        ReminderKind::Expiring => "They expire soon",
        ReminderKind::RotationDue => "Their secret is old, rotate them",
        ReminderKind::Unused => "Nobody uses them, revoke what is not needed",
    }
}

fn words(reminder: &Reminder, now_us: i64) -> String {
    let days = (reminder.due_us - now_us).div_euclid(DAY_US);
    let since = -days;
    match reminder.kind {
        ReminderKind::Expiring if days <= 0 => "it expires within a day".to_owned(),
        ReminderKind::Expiring => format!("it expires in {days} days"),
        ReminderKind::RotationDue if since <= 1 => "rotation is due".to_owned(),
        ReminderKind::RotationDue => format!("rotation has been due for {since} days"),
        ReminderKind::Unused => "not used for long".to_owned(),
    }
}
