//! Sends mails one after the other, apart from whoever asked for them.
//!
//! Bounds: [`WAITING_MAX`] mails wait; one that is refused for now, or meets a server that is gone, is
//! tried [`PAUSES`]`.len() + 1` times in all. What is given up is told to the log: to whom, about what
//! and why, never with its text, which may hold a link that is a secret.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor, message::header::ContentType,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

use super::{Sender, SmtpOptions, words};
use crate::mail::{Courier, Mail};

/// Mails that may wait to be sent; further ones are lost, and said to be.
const WAITING_MAX: usize = 2048;
/// Places among them that digests leave to links, for which somebody waits.
const LINKS_RESERVED: usize = 1024;
/// The pauses between two attempts at one mail.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(15), Duration::from_secs(60), Duration::from_secs(300)];

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Sends mails over SMTP.
pub struct SmtpCourier {
    inbox: Mutex<Option<mpsc::Sender<Waiting>>>,
    places: Arc<Semaphore>,
    task: Mutex<Option<JoinHandle<()>>>,
    place: String,
}

impl fmt::Debug for SmtpCourier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpCourier").field("server", &self.place).finish_non_exhaustive()
    }
}

/// A mail that waits, with its place among those that may.
struct Waiting {
    mail: Mail,
    /// How often it was tried.
    tried: usize,
    /// Not before.
    due: tokio::time::Instant,
    _place: OwnedSemaphorePermit,
}

impl SmtpCourier {
    /// Starts sending on the present tokio runtime. The server is not asked yet: it may be gone now
    /// and there when a mail comes.
    ///
    /// # Errors
    /// When the settings cannot be used: an unreadable file of authorities, or no TLS to another machine.
    pub fn start(options: &SmtpOptions) -> Result<Arc<Self>, String> {
        let desk = Desk { transport: options.transport()?, from: options.from.clone() };
        let (inbox, mails) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(desk.run(mails));
        Ok(Arc::new(Self {
            inbox: Mutex::new(Some(inbox)),
            places: Arc::new(Semaphore::new(WAITING_MAX)),
            task: Mutex::new(Some(task)),
            place: options.place(),
        }))
    }

    /// How many digests there is room for; links have places of their own.
    pub fn room_for_digests(&self) -> usize {
        self.places.available_permits().saturating_sub(LINKS_RESERVED)
    }

    /// Takes a mail that nobody waits for; whether there is room for it.
    pub fn take_digest(&self, mail: Mail) -> bool {
        let has_room = self.room_for_digests() > 0;
        if has_room {
            self.send(mail);
        }
        has_room
    }

    /// Takes nothing more, tries once more what waits, and ends, within `within` at the latest.
    pub async fn end(&self, within: Duration) {
        drop(self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if tokio::time::timeout(within, &mut task).await.is_err() {
            task.abort();
            let lost = WAITING_MAX - self.places.available_permits();
            tracing::error!(lost, server = self.place, "mails were not sent: the process ends");
        }
    }
}

impl Courier for SmtpCourier {
    fn send(&self, mail: Mail) {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return say_lost(&mail, "too many mails wait already");
        };
        let waiting = Waiting { mail, tried: 0, due: tokio::time::Instant::now(), _place: place };
        let refused = match &*inbox {
            // Whoever has a place finds room: there are as many of one as of the other.
            Some(inbox) => inbox.try_send(waiting).err().map(|refused| refused.into_inner()),
            None => Some(waiting),
        };
        if let Some(waiting) = refused {
            say_lost(&waiting.mail, "the process ends");
        }
    }
}

/// What sends.
struct Desk {
    transport: Transport,
    from: Sender,
}

impl Desk {
    async fn run(self, mut inbox: mpsc::Receiver<Waiting>) {
        // Mails that were refused for now, in no order; there are never more than places.
        let mut later: VecDeque<Waiting> = VecDeque::new();
        loop {
            let next_due = later.iter().map(|waiting| waiting.due).min();
            let arrived = match next_due {
                Some(due) => tokio::time::timeout_at(due, inbox.recv()).await,
                None => Ok(inbox.recv().await),
            };
            match arrived {
                Ok(Some(waiting)) => later.extend(self.attempt(waiting).await),
                Ok(None) => break,
                Err(_) => {
                    for _ in 0..later.len() {
                        let Some(waiting) = later.pop_front() else { break };
                        if waiting.due <= tokio::time::Instant::now() {
                            later.extend(self.attempt(waiting).await);
                        } else {
                            later.push_back(waiting);
                        }
                    }
                }
            }
        }
        for waiting in later {
            // The last attempt, whatever comes of it.
            let last = Waiting { tried: PAUSES.len(), ..waiting };
            let _given_up = self.attempt(last).await;
        }
    }

    /// Tries once; the mail when it shall be tried again.
    async fn attempt(&self, waiting: Waiting) -> Option<Waiting> {
        let message = match self.message(&waiting.mail) {
            Ok(message) => message,
            Err(problem) => {
                say_lost(&waiting.mail, &problem);
                return None;
            }
        };
        match self.transport.send(message).await {
            Ok(_) => {
                tracing::info!(subject = waiting.mail.subject, "a mail was handed to the server");
                None
            }
            Err(error) => match PAUSES.get(waiting.tried) {
                Some(pause) if !error.is_permanent() => {
                    tracing::warn!(
                        to = waiting.mail.to,
                        problem = words(&error),
                        again_s = pause.as_secs(),
                        "a mail could not be sent, it is tried again"
                    );
                    let due = tokio::time::Instant::now() + *pause;
                    Some(Waiting { tried: waiting.tried + 1, due, ..waiting })
                }
                _ => {
                    say_lost(&waiting.mail, &words(&error));
                    None
                }
            },
        }
    }

    fn message(&self, mail: &Mail) -> Result<Message, String> {
        let to = mail.to.parse().map_err(|_| "it is to no mail address".to_owned())?;
        Message::builder()
            .from(self.from.0.clone())
            .to(to)
            .subject(mail.subject.clone())
            .message_id(None)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.expose().clone())
            .map_err(|error| words(&error))
    }
}

fn say_lost(mail: &Mail, problem: &str) {
    tracing::error!(to = mail.to, subject = mail.subject, problem, "a mail was not sent");
}
