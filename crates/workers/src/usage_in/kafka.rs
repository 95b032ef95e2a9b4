//! Reports from a topic of Kafka: a consumer group, whose offsets are committed by hand.

use std::time::Duration;

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};

use super::source::{Incoming, OpenReports, Reports};
use crate::relay::KafkaOptions;

/// The topic that services report to, and as whom it is read.
#[derive(Clone, Debug)]
pub struct KafkaReports {
    /// How Kafka is reached; its topic is not this one.
    pub kafka: KafkaOptions,
    /// The topic of reports.
    pub topic: String,
    /// The consumer group: all nodes together read each message once, while nothing fails.
    pub group: String,
}

impl OpenReports for KafkaReports {
    fn open(&self) -> Result<Box<dyn Reports>, String> {
        let mut config = self.kafka.reached();
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            // How long the partitions of a node that was killed wait for another.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "3000")
            // What is fetched and not yet taken stays small.
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.message.max.bytes", "1048576");
        let consumer: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        consumer.subscribe(&[&self.topic]).map_err(|error| error.to_string())?;
        Ok(Box::new(Topic { consumer, given: TopicPartitionList::new() }))
    }
}

struct Topic {
    consumer: BaseConsumer,
    /// Behind what was given of each partition.
    given: TopicPartitionList,
}

impl Reports for Topic {
    fn next(&mut self, most: usize, within: Duration) -> Result<Vec<Incoming>, String> {
        let mut messages = Vec::new();
        let mut wait = within;
        while messages.len() < most {
            let Some(polled) = self.consumer.poll(wait) else { break };
            let message = polled.map_err(|error| error.to_string())?;
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            let behind = Offset::Offset(offset + 1);
            let known = self.given.find_partition(topic, partition).is_some();
            let noted = if known {
                self.given.set_partition_offset(topic, partition, behind)
            } else {
                self.given.add_partition_offset(topic, partition, behind)
            };
            noted.map_err(|error| error.to_string())?;
            messages.push(Incoming {
                place: format!("{topic}/{partition}/{offset}"),
                payload: message.payload().unwrap_or_default().to_vec(),
            });
            wait = Duration::ZERO;
        }
        Ok(messages)
    }

    fn commit(&mut self) -> Result<(), String> {
        if self.given.count() == 0 {
            return Ok(());
        }
        let given = std::mem::replace(&mut self.given, TopicPartitionList::new());
        self.consumer.commit(&given, CommitMode::Sync).map_err(|error| error.to_string())
    }
}
