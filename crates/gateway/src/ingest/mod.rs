//! The kind `ingest`: batches of records, taken whole or not at all (CONTRACT §4).
//!
//! A body is read within bounds of its service and of the process, decompressed with a cap, taken apart
//! into places of one buffer, held against the schemas of its types, and handed to the intake, which
//! answers once it is durable. What must never be here: how records are kept.

mod body;
mod cloud_event;
mod form;
mod members;
mod records;
mod schemas;

use std::rc::Rc;

use sha2::{Digest as _, Sha256};
use tollgate_core::{
    code::Code,
    counters::Counters,
    event::{Batch, BatchName, NotTaken, Sender, Taken},
    ingest_spec::{BODY_BYTES_DEFAULT, DEFAULT_TYPE, RECORD_BYTES_DEFAULT, RECORDS_DEFAULT},
    key::Digest,
};
use tollgate_wire::text::push_number;

use self::records::{Bounds, Unreadable};
pub(crate) use self::{body::read as read_body, form::Form};
use crate::{
    caller::Caller,
    denial::Denial,
    http::{answer::Answer, exchange::Exchange, head::RequestHead},
    lane::{Gateway, account::Account},
    names,
    service::ProxyService,
};

/// The longest `Idempotency-Key`, in bytes.
const NAME_LEN_MAX: usize = 255;

/// A batch that may be taken: whose it is and where it came in.
pub(crate) struct Delivery {
    pub(crate) service: Rc<ProxyService>,
    pub(crate) caller: Caller,
    pub(crate) path: Rc<str>,
}

impl Delivery {
    /// Who sends; `what` is what they send, in words. It is posted, to the path of the service itself.
    pub(crate) fn sender(&self, head: &RequestHead, what: &str) -> Result<Sender, Denial> {
        let service = &self.service.service;
        let prefix = service.spec.matches.path_prefix.as_deref();
        if prefix.is_some_and(|prefix| self.path.trim_end_matches('/') != prefix) {
            let detail = format!("{what} are posted to the path of the service itself");
            return Err(Denial::new(Code::NoService, detail));
        }
        if head.method() != "POST" {
            return Err(Denial::new(Code::MalformedRequest, format!("{what} are sent with POST")));
        }
        let Some(identity) = &self.caller.identity else {
            return Err(Denial::new(Code::KeyMissing, ""));
        };
        Ok(Sender {
            tenant: service.tenant,
            project: service.project,
            service: service.id,
            consumer: identity.record.consumer,
            key: identity.record.id,
        })
    }
}

/// Takes a batch; answers once it is durable.
pub(crate) async fn take<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    exchange: &mut Exchange,
    delivery: Delivery,
) -> Result<Answer, Denial> {
    let sender = delivery.sender(&exchange.head, "batches")?;
    let Delivery { service, caller, .. } = delivery;
    let spec = &service.service.spec;
    let form = Form::of(&exchange.head)?;
    let name = request_name(&exchange.head)?;
    let bytes_max = spec.body_bytes_max.unwrap_or(BODY_BYTES_DEFAULT);
    // Held until the batch is durable: what is on its way counts, not only what is read.
    let (body, _room) = body::read(exchange, bytes_max, &gateway.shared.ingest_room).await?;
    let name = name.map(|name| digests(&name, sender, &form, &body));
    let settings = spec.ingest.clone().unwrap_or_default();
    let bounds = Bounds {
        records_max: settings.records_max.unwrap_or(RECORDS_DEFAULT),
        record_bytes_max: settings.record_bytes_max.unwrap_or(RECORD_BYTES_DEFAULT),
    };
    let mut batch = Batch {
        sender,
        senders: Vec::new(),
        received_us: gateway.now().wall_us,
        name,
        source: settings.source.unwrap_or_else(|| format!("urn:tollgate:{}", sender.consumer)).into(),
        default_type: settings.default_type.as_deref().unwrap_or(DEFAULT_TYPE).into(),
        buffer: body,
        records: Vec::new(),
        attributes: Vec::new(),
    };
    records::read(&mut batch, &form, bounds).await.map_err(unreadable)?;
    gateway.check_schemas(&batch, settings.schemas).await.map_err(unreadable)?;
    let taken = gateway.shared.intake.submit(batch).await.map_err(|refused| not_taken(&refused))?;
    account.note_outcome(Code::Valid, "");
    let mut answer = receipt(taken);
    caller.rate.write(&mut answer.head);
    Ok(answer)
}

fn receipt(taken: Taken) -> Answer {
    let mut body = format!("{{\"batch_id\":\"{}\",\"accepted\":", taken.batch).into_bytes();
    push_number(&mut body, taken.accepted);
    body.extend_from_slice(b",\"duplicates\":");
    push_number(&mut body, taken.duplicates);
    body.push(b'}');
    kept(body, taken.replayed)
}

/// The answer to what is durable now, or was when it came before.
pub(crate) fn kept(body: Vec<u8>, replayed: bool) -> Answer {
    let answer = Answer::new(202)
        .with(&names::CONTENT_TYPE, &names::APPLICATION_JSON)
        .with(&names::CACHE_CONTROL, &names::NO_STORE)
        .with_body(body);
    if replayed { answer.with(&names::IDEMPOTENT_REPLAYED, &names::TRUE) } else { answer }
}

fn unreadable(why: Unreadable) -> Denial {
    match why {
        Unreadable::Body(detail) => Denial::new(Code::MalformedRequest, detail),
        Unreadable::TooMany { records_max } => Denial::new(
            Code::BodyTooLarge,
            format!("the batch has more than {records_max} records; send several batches"),
        ),
        Unreadable::Record { index, path, reason } => {
            let place = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
            Denial::new(Code::RecordInvalid, format!("record {index}{place}: {reason}"))
                .at_record(index, path, reason)
        }
    }
}

pub(crate) fn not_taken(refused: &NotTaken) -> Denial {
    match refused {
        NotTaken::Overloaded { why, retry_after_s } => {
            Denial::new(Code::Overloaded, *why).wait_ns(retry_after_s.saturating_mul(1_000_000_000))
        }
        NotTaken::NameConflict => Denial::new(Code::IdempotencyConflict, ""),
        NotTaken::UnderWay => Denial::new(Code::IdempotencyInProgress, ""),
        NotTaken::Unavailable => Denial::new(
            Code::Overloaded,
            "the batch could not be made durable; whether it was kept is not known, so send it again with the same ids or the same Idempotency-Key",
        ),
    }
}

/// The name that the sender gives the request (IETF draft `idempotency-key-header`): quoted or not.
pub(crate) fn request_name(head: &RequestHead) -> Result<Option<Vec<u8>>, Denial> {
    let wrong = |detail| Err(Denial::new(Code::MalformedRequest, detail));
    let mut values = head.values("idempotency-key");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return wrong("the request has more than one Idempotency-Key; send one");
    }
    let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    if !(1..=NAME_LEN_MAX).contains(&value.len()) || !value.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return wrong("the Idempotency-Key is not 1 to 255 visible characters");
    }
    Ok(Some(value.to_vec()))
}

pub(crate) fn digests(name: &[u8], sender: Sender, form: &Form, body: &[u8]) -> BatchName {
    let mut named = Sha256::new();
    named.update(sender.service.0.to_le_bytes());
    named.update(sender.consumer.0.to_le_bytes());
    named.update(name);
    let mut request = Sha256::new();
    form.each_part(|part| {
        request.update((part.len() as u64).to_le_bytes());
        request.update(part);
    });
    request.update(body);
    BatchName { name: Digest(named.finalize().into()), request: Digest(request.finalize().into()) }
}
