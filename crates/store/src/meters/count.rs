//! Counting events in memory: records as they lie in blocks, and requests of the journal.

use tollgate_core::{
    code::Code,
    id::{ConsumerId, KeyId, ProjectId, ServiceId},
    meter::{
        number::Number,
        path::Scalar,
        set::{Meter, Tally},
        spec::REQUEST_TYPE,
    },
    money::amount::{Amount, Currency},
};
use tollgate_journal::{Entry, Flags, LentRecord};

use super::Meters;
use crate::ingest::Event;

/// Counts a record into the meters that `counts` says.
pub(crate) fn record(meters: &Meters, event: &Event<'_>, tally: &mut Tally, counts: impl Fn(&Meter) -> bool) {
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
    tally.add(interest, &found, event.at_us(), counts);
}

/// Counts a request of a lane as it is shipped.
pub(crate) fn shipped(meters: &Meters, lane: (u64, u16), record: &LentRecord<'_>, tally: &mut Tally) {
    let request = Request {
        entry: &record.entry,
        tokens: (record.tokens.input, record.tokens.output),
        model: std::str::from_utf8(record.model).unwrap_or_default(),
        cost: record.cost,
        currency: currency(record),
    };
    self::request(meters, &request, tally, |meter| {
        record.entry.at_us >= meter.from_us && !meters.leaves(lane, record.position, meter.series)
    });
}

/// A request, however it lies.
pub(crate) struct Request<'r> {
    pub(crate) entry: &'r Entry,
    /// Read and written.
    pub(crate) tokens: (u64, u64),
    pub(crate) model: &'r str,
    pub(crate) cost: i64,
    pub(crate) currency: Option<Currency>,
}

/// Counts a request into the meters that `counts` says.
pub(crate) fn request(
    meters: &Meters,
    request: &Request<'_>,
    tally: &mut Tally,
    counts: impl Fn(&Meter) -> bool,
) {
    let entry = request.entry;
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
    let found = interest.of_fields(|name| field(meters, request, name), sender);
    tally.add(interest, &found, entry.at_us, counts);
}

/// A field of a request (`tollgate_core::meter::spec::REQUEST_FIELDS`).
fn field(meters: &Meters, request: &Request<'_>, name: &str) -> Option<Scalar> {
    let entry = request.entry;
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
        "tokens" => whole(request.tokens.0.saturating_add(request.tokens.1)),
        "tokens_in" => whole(request.tokens.0),
        "tokens_out" => whole(request.tokens.1),
        "model" => (!request.model.is_empty()).then(|| Scalar::text(request.model)),
        "cost" => {
            let amount = Amount::from_atoms(request.cost)?.to_text(request.currency?);
            Some(Scalar::Number(Number::parse(&amount)))
        }
        "currency" => request.currency.map(|currency| Scalar::text(&currency.to_string())),
        "verified" => Some(Scalar::Flag(entry.flags.contains(Flags::VERIFIED))),
        _ => None,
    }
}

fn currency(record: &LentRecord<'_>) -> Option<Currency> {
    let currency = std::str::from_utf8(&record.currency).ok()?.trim_end_matches('\0');
    currency.parse().ok()
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
