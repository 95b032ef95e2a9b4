//! A record as a message: CloudEvents 1.0 in Kafka's binary mode, the attributes as headers.

use std::borrow::Cow;

use jiff::Timestamp;
use tollgate_store::{Event, RelayLease};

use super::producer::Header;

/// Attributes that are said here of every record: none of the record's own takes their place.
const SAID_HERE: [&str; 11] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "version",
    "tenantid",
    "projectid",
    "serviceid",
    "consumerid",
    "keyid",
];

/// The headers of a record: those of CloudEvents, `event_id`, which stays the same however often the record is
/// sent, and its place in the order of commits.
pub(super) fn headers<'e>(event: &'e Event<'e>, event_id: &'e str, lease: &RelayLease) -> Vec<Header<'e>> {
    let sender = event.sender;
    let time = Timestamp::from_microsecond(event.at_us()).map(|time| time.to_string()).unwrap_or_default();
    let mut headers: Vec<Header<'e>> = Vec::with_capacity(18 + event.attributes.len());
    let mut put = |name: &'static str, value: Cow<'e, str>| headers.push((name.into(), value));
    put("ce_specversion", "1.0".into());
    put("ce_id", event.id.unwrap_or(event_id).into());
    put("ce_source", event.source.into());
    put("ce_type", event.kind.into());
    put("ce_time", time.into());
    put("ce_tenantid", sender.tenant.to_string().into());
    put("ce_projectid", sender.project.to_string().into());
    put("ce_serviceid", sender.service.to_string().into());
    put("ce_consumerid", sender.consumer.to_string().into());
    put("ce_keyid", sender.key.to_string().into());
    if let Some(version) = event.version {
        put("ce_version", version.into());
    }
    put("content-type", event.media_type.unwrap_or("application/json").into());
    put("event_id", event_id.into());
    put("seq", event.position.to_string().into());
    put("shard", "0".into());
    put("producer_epoch", lease.epoch.to_string().into());
    let own = event.attributes.iter().filter(|(name, _)| !SAID_HERE.contains(name));
    let own = own.map(|(name, value)| (format!("ce_{name}").into(), (*value).into()));
    headers.extend(own);
    headers
}
