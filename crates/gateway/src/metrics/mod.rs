//! The kind `metrics`: points of time series, taken whole or not at all (CONTRACT §4).
//!
//! A body is read within bounds as batches of records are, its points are checked and completed (host, moment,
//! measurement), and they go to the same intake as records of type `tollgate.metric`. Whatever is taken here has
//! exactly one line in InfluxDB. What must never be here: InfluxDB itself, which the workers write to.

mod members;
mod points;

use tollgate_core::{
    code::Code,
    counters::Counters,
    event::{Batch, Content, Record, Slice, Taken},
    ingest_spec::RECORD_BYTES_DEFAULT,
    metric::METRIC_TYPE,
    metrics_spec::{MEASUREMENT, METRICS_BODY_BYTES_DEFAULT, POINTS_DEFAULT},
};
use tollgate_wire::text::push_number;

use self::points::{Terms, Unusable, Walk};
use crate::{
    denial::Denial,
    http::{answer::Answer, exchange::Exchange},
    ingest::{Delivery, Form, digests, kept, not_taken, read_body, request_name},
    intake::Share,
    lane::{Gateway, account::Account},
};

/// Points between two breaths, so that a large request does not hold up the others of its lane.
const POINTS_A_BREATH: usize = 256;

/// Takes points; answers once they are durable.
pub(crate) async fn take<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    exchange: &mut Exchange,
    delivery: Delivery,
) -> Result<Answer, Denial> {
    let sender = delivery.sender(&exchange.head, "points")?;
    let Delivery { service, caller, .. } = delivery;
    let spec = &service.service.spec;
    let form = match Form::of(&exchange.head) {
        Ok(form @ (Form::Json | Form::Lines)) => form,
        _ => {
            let detail = "send application/json or application/x-ndjson, in UTF-8";
            return Err(Denial::new(Code::UnsupportedContent, detail));
        }
    };
    let name = request_name(&exchange.head)?;
    let bytes_max = spec.body_bytes_max.unwrap_or(METRICS_BODY_BYTES_DEFAULT);
    // Held until the points are durable: what is on its way counts, not only what is read.
    let (body, mut room) = read_body(exchange, bytes_max, &gateway.shared.ingest_room).await?;
    let settings = spec.metrics.clone().unwrap_or_default();
    let received_us = gateway.now().wall_us;
    let narrowing = caller.identity.as_ref().and_then(|identity| identity.record.narrowing.as_ref());
    let host = narrowing.and_then(|own| own.bind_host.as_deref());
    let terms = Terms {
        measurement: settings.measurement.as_deref().unwrap_or(MEASUREMENT),
        host,
        hosts: settings.hosts,
        numbers: settings.numbers,
        arrived_ns: received_us.saturating_mul(1000),
        points_max: settings.points_max.unwrap_or(POINTS_DEFAULT) as usize,
    };
    let mut batch = Batch {
        sender,
        senders: Vec::new(),
        received_us,
        name: name.map(|name| digests(&name, sender, &form, &body)),
        source: format!("urn:tollgate:{}", sender.consumer).into(),
        default_type: METRIC_TYPE.into(),
        buffer: Vec::new(),
        records: Vec::new(),
        attributes: Vec::new(),
    };
    fill(&mut batch, (&body, form == Form::Lines), &terms, &mut room).await?;
    drop(body);
    let taken = gateway.shared.intake.submit(batch).await.map_err(|refused| not_taken(&refused))?;
    account.note_outcome(Code::Valid, "");
    let mut answer = accepted(&taken);
    caller.rate.write(&mut answer.head);
    Ok(answer)
}

fn accepted(taken: &Taken) -> Answer {
    let mut body = b"{\"accepted\":".to_vec();
    push_number(&mut body, taken.accepted);
    body.push(b'}');
    kept(body, taken.replayed)
}

/// Checks every point of a body and puts it into the batch as the JSON that it is kept as.
async fn fill(
    batch: &mut Batch,
    (body, lines): (&[u8], bool),
    terms: &Terms<'_>,
    room: &mut Share,
) -> Result<(), Denial> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("byte {} of the body is not UTF-8", error.valid_up_to());
        Denial::new(Code::MalformedRequest, detail)
    })?;
    let mut walk = Walk::new(text, lines);
    loop {
        let index = batch.records.len();
        let Some(point) = walk.next(index, terms).map_err(unusable)? else { return Ok(()) };
        let start = batch.buffer.len();
        serde_json::to_writer(&mut batch.buffer, &point)
            .map_err(|_| unusable(Unusable::point(index, "", "it cannot be written as JSON")))?;
        let end = batch.buffer.len();
        if end - start > RECORD_BYTES_DEFAULT as usize {
            let reason = format!("its {} bytes are over the bound of {RECORD_BYTES_DEFAULT}", end - start);
            return Err(unusable(Unusable::point(index, "", reason)));
        }
        if !room.grow_to((body.len() + end) as u64) {
            let detail = "too many batches are on their way; send these points again";
            return Err(Denial::new(Code::Overloaded, detail));
        }
        // Bodies are bounded far below 4 GiB, and so is the memory that was just taken.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        batch.records.push(Record {
            id: None,
            kind: None,
            source: None,
            version: None,
            time_us: Some(point.timestamp / 1000),
            data: Slice { start: place(start), end: place(end) },
            content: Content::Json,
            attributes: (0, 0),
        });
        if index.is_multiple_of(POINTS_A_BREATH) {
            tokio::task::yield_now().await;
        }
    }
}

fn unusable(why: Unusable) -> Denial {
    match why {
        Unusable::Body(detail) => Denial::new(Code::MalformedRequest, detail),
        Unusable::TooMany { points_max } => Denial::new(
            Code::BodyTooLarge,
            format!("the request has more than {points_max} points; send several requests"),
        ),
        Unusable::Point { index, path, reason } => {
            let place = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
            Denial::new(Code::RecordInvalid, format!("point {index}{place}: {reason}"))
                .at_record(index, path, reason)
        }
    }
}
