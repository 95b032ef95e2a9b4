//! The look at Kafka.

use std::time::Duration;

use super::finding::Finding;
use crate::config::Config;

/// How long the brokers may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Whether the brokers answer and have the topic; nothing where none are set.
pub(super) async fn kafka(config: &Config) -> Option<Finding> {
    const CHECK: &str = "kafka";
    let options = config.events.kafka.options()?;
    let (brokers, topic) = (options.brokers.clone(), options.topic.clone());
    let asked = tokio::task::spawn_blocking(move || options.check(ANSWER_WITHIN)).await;
    Some(match asked.unwrap_or_else(|error| Err(error.to_string())) {
        Err(why) => Finding::wrong(
            CHECK,
            format!("{brokers} does not answer: {why}"),
            "check `kafka.brokers`, `kafka.tls` and `kafka.sasl.*`; records wait in the database meanwhile",
        ),
        Ok(found) if found.partitions == 0 => Finding::warning(
            CHECK,
            format!("{} broker(s) answer, and topic `{topic}` is not there", found.brokers),
            "create it, or let the brokers create topics (`auto.create.topics.enable`)",
        ),
        Ok(found) => Finding::ok(
            CHECK,
            format!("{} broker(s), topic `{topic}` with {} partition(s)", found.brokers, found.partitions),
        ),
    })
}
