//! Counting events in memory: records as they lie in blocks, and requests of the journal.

use tollgate_core::{
    code::Code,
    id::{ConsumerId, KeyId, ProjectId, ServiceId},
    meter::{number::Number, path::Scalar, set::Tally, spec::REQUEST_TYPE},
    money::amount::Amount,
};
use tollgate_journal::{Flags, LentRecord};

use super::Meters;
use crate::ingest::Event;

/// Counts a record.
pub(crate) fn record(meters: &Meters, event: &Event<'_>, tally: &mut Tally) {
    let Some(interest) = meters.set.of_type(event.sender.project, event.kind) else { return };
    let sender = |name: &'static str| match name {
        "key" => id(event.sender.key.0).map(|key| Scalar::text(&KeyId(key).to_string())),
        "consumer" => {
            id(event.sender.consumer.0).map(|consumer| Scalar::text(&ConsumerId(consumer).to_string()))
        }
        "service" => meters.service(event.sender.service),
        _ => Some(Scalar::text(event.source)),
    };
    let found = interest.of_data(&mut serde_json::Deserializer::from_slice(event.data), sender);
    tally.add(interest, &found, event.at_us(), |meter| event.position >= meter.from_position);
}

/// Counts a request.
pub(crate) fn request(meters: &Meters, record: &LentRecord<'_>, tally: &mut Tally) {
    let entry = &record.entry;
    let service = ServiceId(entry.service);
    let project = match entry.project {
        0 => meters.services.get(&service).map_or(ProjectId(0), |(project, _)| *project),
        project => ProjectId(project),
    };
    let Some(interest) = meters.set.of_type(project, REQUEST_TYPE) else { return };
    let sender = |name: &'static str| match name {
        "key" => id(entry.key).map(|key| Scalar::text(&KeyId(key).to_string())),
        "consumer" => id(entry.consumer).map(|consumer| Scalar::text(&ConsumerId(consumer).to_string())),
        "service" => meters.service(service),
        _ => None,
    };
    let found = interest.of_fields(|name| field(meters, record, name), sender);
    tally.add(interest, &found, entry.at_us, |meter| entry.at_us >= meter.from_us);
}

/// A field of a request (`tollgate_core::meter::spec::REQUEST_FIELDS`).
fn field(meters: &Meters, record: &LentRecord<'_>, name: &str) -> Option<Scalar> {
    let entry = &record.entry;
    let whole = |value: u64| Some(Scalar::Number(i64::try_from(value).ok().map(Number::whole)));
    let millis = |micros: u32| {
        let text = format!("{}.{:03}", micros / 1000, micros % 1000);
        Some(Scalar::Number(Number::parse(&text)))
    };
    match name {
        "service" => meters.service(ServiceId(entry.service)),
        "code" => Some(Scalar::text(Code::from_number(entry.code)?.name())),
        "status" => {
            if entry.status == 0 {
                None
            } else {
                whole(u64::from(entry.status))
            }
        }
        "latency_ms" => millis(entry.latency_us),
        "upstream_ms" => millis(entry.upstream_us),
        "bytes_in" => whole(entry.bytes_in),
        "bytes_out" => whole(entry.bytes_out),
        "units" => whole(u64::from(entry.units)),
        "tokens" => whole(record.tokens.input.saturating_add(record.tokens.output)),
        "tokens_in" => whole(record.tokens.input),
        "tokens_out" => whole(record.tokens.output),
        "model" => std::str::from_utf8(record.model).ok().filter(|model| !model.is_empty()).map(Scalar::text),
        "cost" => {
            let amount = Amount::from_atoms(record.cost)?.to_text(currency(record)?.parse().ok()?);
            Some(Scalar::Number(Number::parse(&amount)))
        }
        "currency" => currency(record).map(Scalar::text),
        "verified" => Some(Scalar::Flag(entry.flags.contains(Flags::VERIFIED))),
        _ => None,
    }
}

fn currency<'r>(record: &'r LentRecord<'_>) -> Option<&'r str> {
    let currency = std::str::from_utf8(&record.currency).ok()?.trim_end_matches('\0');
    (!currency.is_empty()).then_some(currency)
}

impl Meters {
    fn service(&self, service: ServiceId) -> Option<Scalar> {
        id(service.0)?;
        Some(match self.services.get(&service) {
            Some((_, name)) => Scalar::text(name),
            None => Scalar::text(&service.to_string()),
        })
    }
}

/// 0 is none.
fn id(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}
