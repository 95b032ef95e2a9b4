//! Kafka's producer: librdkafka, idempotent, with no time-out of its own.
//!
//! `message.timeout.ms = 0`: with a time-out librdkafka leaves a message out and goes on with the next, a gap
//! that nobody asked for. Here only a broken session ends a message, and then all after it.

use std::time::Duration;

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, Message as _, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};
use tollgate_core::secret::Secret;

use super::producer::{Ack, Acks, Fault, MakeProducer, Message, Producer, SendError};

/// How Kafka is reached.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port` of some brokers, separated by commas.
    pub brokers: String,
    /// The topic of records.
    pub topic: String,
    /// Whether connections are TLS.
    pub tls: bool,
    /// PEM file of the authorities to trust instead of the system's.
    pub ca_file: Option<String>,
    /// How this process says who it is.
    pub sasl: Option<Sasl>,
    /// The largest message that the brokers take; larger ones are parked.
    pub message_bytes_max: u32,
}

/// A user and a password.
#[derive(Clone)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'static str,
    /// The user.
    pub username: String,
    /// The password.
    pub password: std::sync::Arc<Secret<String>>,
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sasl({}, {})", self.mechanism, self.username)
    }
}

/// Whether this build knows TLS and SCRAM to Kafka: its feature `kafka-tls`.
pub const KAFKA_SPEAKS_TLS: bool = cfg!(feature = "kafka-tls");

/// What a look at the brokers found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaCheck {
    /// Brokers that are known.
    pub brokers: usize,
    /// Partitions of the topic; 0 when it is not there.
    pub partitions: usize,
}

impl KafkaOptions {
    /// How brokers are reached by whoever reads or writes.
    pub(crate) fn reached(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let protocol = match (self.tls, self.sasl.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "tollgate")
            .set("security.protocol", protocol)
            .set("reconnect.backoff.max.ms", "2000");
        self.secure(&mut config);
        config
    }

    fn config(&self) -> ClientConfig {
        let mut config = self.reached();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "131072")
            .set("message.max.bytes", self.message_bytes_max.to_string())
            // The same partition for a key as Kafka's own clients choose.
            .set("partitioner", "murmur2_random");
        config
    }

    fn secure(&self, config: &mut ClientConfig) {
        if let Some(ca_file) = &self.ca_file {
            config.set("ssl.ca.location", ca_file);
        }
        if let Some(sasl) = &self.sasl {
            config
                .set("sasl.mechanism", sasl.mechanism)
                .set("sasl.username", &sasl.username)
                .set("sasl.password", sasl.password.expose());
        }
    }

    /// Asks a broker for the topic; waits that long at most. Blocks.
    ///
    /// # Errors
    /// Why there is no answer, in words for people.
    pub fn check(&self, within: Duration) -> Result<KafkaCheck, String> {
        let (acks, _none) = tokio::sync::mpsc::channel(1);
        let producer: Threaded = self.config().create_with_context(Context { acks }).map_err(said)?;
        let found = producer.client().fetch_metadata(Some(&self.topic), within).map_err(said)?;
        let topic = found.topics().iter().find(|topic| topic.name() == self.topic && topic.error().is_none());
        Ok(KafkaCheck {
            brokers: found.brokers().len(),
            partitions: topic.map_or(0, |topic| topic.partitions().len()),
        })
    }
}

fn said(error: KafkaError) -> String {
    error.to_string()
}

impl MakeProducer for KafkaOptions {
    fn open(&self, acks: Acks) -> Result<Box<dyn Producer>, String> {
        let producer: Threaded = self.config().create_with_context(Context { acks }).map_err(said)?;
        Ok(Box::new(KafkaProducer { producer: Some(producer), topic: self.topic.clone() }))
    }
}

type Threaded = ThreadedProducer<Context>;

struct KafkaProducer {
    /// There until it is dropped.
    producer: Option<Threaded>,
    topic: String,
}

impl Producer for KafkaProducer {
    fn send(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        let Some(producer) = &self.producer else { return Err(SendError::Broken("it is closed".to_owned())) };
        if let Some((_, reason)) = producer.client().fatal_error() {
            return Err(SendError::Broken(reason));
        }
        let headers = message
            .headers
            .iter()
            .fold(OwnedHeaders::new_with_capacity(message.headers.len()), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value.as_bytes()) })
            });
        let token = usize::try_from(message.token).unwrap_or(usize::MAX);
        let record = BaseRecord::with_opaque_to(&self.topic, token)
            .key(message.key)
            .payload(message.payload)
            .headers(headers);
        producer.send(record).map_err(|(error, _)| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => SendError::Full,
            Some(code) if is_poison(code) => SendError::Poison(code.to_string()),
            _ => SendError::Broken(error.to_string()),
        })
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        // Closing waits for the brokers a little; not on a thread that others share.
        if let Some(producer) = self.producer.take() {
            drop(std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(producer)));
        }
    }
}

/// Whether an error is about one message, whatever is tried.
fn is_poison(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::PolicyViolation
    )
}

struct Context {
    acks: Acks,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, "kafka: {message}");
            }
            _ => tracing::debug!(facility, "kafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, token: usize) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(match error.rdkafka_error_code() {
                Some(code) if is_poison(code) => Fault::Poison(code.to_string()),
                _ => Fault::Broken(format!("{error} (partition {})", message.partition())),
            }),
        };
        // Nobody listens once the session has ended; before, there is room.
        let _ended = self.acks.try_send(Ack { token: token as u64, outcome });
    }
}
