//! What the relay needs of a producer: so little that a test can be one, with any fault it likes.

use std::borrow::Cow;

use tokio::sync::mpsc;

/// Name and value of a header.
pub type Header<'m> = (Cow<'m, str>, Cow<'m, str>);

/// A message on its way.
#[derive(Debug)]
pub struct Message<'m> {
    /// Messages with the same key keep their order.
    pub key: &'m str,
    /// The data.
    pub payload: &'m [u8],
    /// Names and values of its headers.
    pub headers: &'m [Header<'m>],
    /// What its acknowledgement is told apart by.
    pub token: u64,
}

/// Why a message was not even taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Too many are on their way; try again when some are acknowledged.
    Full,
    /// This message will never be taken.
    Poison(String),
    /// The producer is of no use any more.
    Broken(String),
}

/// Why a message that was taken was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It will never be taken, others may.
    Poison(String),
    /// The producer gave up on it: messages may be missing from here on, and a new producer has to begin anew.
    Broken(String),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Whose.
    pub token: u64,
    /// Whether it is where it should be.
    pub outcome: Result<(), Fault>,
}

/// Where acknowledgements go. There is room for one of each message that is on its way, so that sending never
/// waits.
pub type Acks = mpsc::Sender<Ack>;

/// Sends messages in order and says what became of each.
pub trait Producer: Send {
    /// Hands a message over. Messages of one key are delivered in the order in which they are handed over,
    /// without gaps: once one was not, all after it fail too, but for poison.
    ///
    /// # Errors
    /// [`SendError`]; no acknowledgement follows then.
    fn send(&mut self, message: &Message<'_>) -> Result<(), SendError>;
}

/// Makes producers: a new one after each fault.
pub trait MakeProducer: Send + Sync {
    /// Makes one.
    ///
    /// # Errors
    /// Why there can be none, in words for the log.
    fn open(&self, acks: Acks) -> Result<Box<dyn Producer>, String>;
}
