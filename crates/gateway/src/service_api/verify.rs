//! `POST /v1/keys/verify` and `/v1/keys/verify-batch`: JSON in, JSON out, 200 whatever the verdict.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;
use tollgate_core::{
    code::Code, counters::Counters, facts::Facts, path::normalise, service::Service,
    signature::SignatureFact, tables::ServiceToken,
};
use tollgate_wire::{
    codes::entry,
    text::DecisionText,
    verify::{
        BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX,
        answer::{Allowed, Refused},
        read,
        request::{BatchForm, Text, VerifyRequest},
    },
};

use super::{ServiceApi, ask::Decided, mistake::Mistake, token};
use crate::{
    denial::Denial,
    http::{answer::Answer, exchange::Exchange, head::RequestHead},
    lane::{
        account::{Account, method_number},
        tables::LaneTables,
    },
    names,
    request::credential::{Place, Presented},
};

/// Bytes that an answer usually has.
const ANSWER_BYTES: usize = 768;
/// How long a batch may wait for what has to be asked beyond this process; what is not decided then is
/// refused. Each decision waits a bounded time, but a batch has many.
const BATCH_NS_MAX: u64 = 10_000_000_000;

impl<C: Counters + 'static> ServiceApi<C> {
    pub(super) async fn verify(&self, mut exchange: Exchange) -> Result<Answer, Mistake> {
        let token = token::of_bearer(&exchange.head, &self.gateway.tables().tables)?;
        let body = whole_body(&mut exchange, BODY_BYTES_MAX).await?;
        let request = read::request(&body).map_err(|error| Mistake::malformed(error.to_string()))?;
        let mut out = Vec::with_capacity(ANSWER_BYTES);
        let id = self.answer(&request, &token, u64::MAX, &mut out).await;
        let mut answer = json(out);
        answer.head.set_text(&names::X_REQUEST_ID, |out| out.extend_from_slice(id.as_bytes()));
        Ok(answer)
    }

    pub(super) async fn verify_batch(&self, mut exchange: Exchange) -> Result<Answer, Mistake> {
        let token = token::of_bearer(&exchange.head, &self.gateway.tables().tables)?;
        let body = whole_body(&mut exchange, BATCH_BODY_BYTES_MAX).await?;
        let batch = read::batch(&body).map_err(|error| Mistake::malformed(error.to_string()))?;
        let (open, close): (&[u8], &[u8]) = match batch.form {
            BatchForm::Object => (b"{\"results\":[", b"]}"),
            BatchForm::Array => (b"[", b"]"),
        };
        let until_ns = self.gateway.mono_ns().saturating_add(BATCH_NS_MAX);
        let mut out = Vec::with_capacity(ANSWER_BYTES * batch.requests.len());
        out.extend_from_slice(open);
        for (index, request) in batch.requests.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.answer(request, &token, until_ns, &mut out).await;
            if index % YIELD_EVERY == YIELD_EVERY - 1 {
                tokio::task::yield_now().await;
            }
        }
        out.extend_from_slice(close);
        Ok(json(out))
    }

    /// Decides one question, accounts for it and writes the answer. After `until_ns`, monotonic, it is refused.
    async fn answer(
        &self,
        request: &VerifyRequest<'_>,
        token: &ServiceToken,
        until_ns: u64,
        out: &mut Vec<u8>,
    ) -> DecisionText {
        let ticket = match self.gateway.ticket() {
            Ok(ticket) => ticket,
            Err(id) => {
                let id = DecisionText::of(id);
                overloaded(id).write(out);
                return id;
            }
        };
        let mut account = self.open(ticket, token);
        let id = account.request_id();
        let start = out.len();
        let decided = match self.gateway.mono_ns() < until_ns {
            true => self.decide(&mut account, request, token).await,
            false => {
                Err(Denial::new(Code::Overloaded, "those before it in the batch took too long; try again"))
            }
        };
        match decided {
            Ok(decided) if decided.decision.is_allowed() => self.write_allowed(&decided, id, out),
            Ok(decided) => {
                let detail = decided.decision.detail.as_deref().unwrap_or("");
                account.note_outcome(decided.decision.code, detail);
                let refused = Refused {
                    id,
                    code: decided.decision.code,
                    detail,
                    key: Some(decided.record().id),
                    retry_after_ns: decided.decision.retry_after_ns,
                };
                refused.write(out);
            }
            Err(denial) => {
                account.note_outcome(denial.code(), denial.detail());
                let retry_after_ns =
                    denial.retry_after_s().map(|seconds| seconds.saturating_mul(1_000_000_000));
                Refused { id, code: denial.code(), detail: denial.detail(), key: None, retry_after_ns }
                    .write(out);
            }
        }
        if account.settle(200).is_err() {
            out.truncate(start);
            overloaded(id).write(out);
        }
        id
    }

    async fn decide(
        &self,
        account: &mut Account<C>,
        request: &VerifyRequest<'_>,
        token: &ServiceToken,
    ) -> Result<Decided, Denial> {
        let headers = request.headers.as_ref();
        if let Some(method) = &request.method {
            account.entry.method = method_number(method.as_str());
        }
        if let Some(address) = request.ip {
            account.note_address(address);
        }
        if let Some(agent) = headers.and_then(|headers| headers.user_agent.as_ref()) {
            account.note_user_agent(agent.as_str().as_bytes());
        }
        let path = match &request.path {
            Some(path) => Some(one_spelling(path.as_str())?),
            None => None,
        };
        if let Some(path) = &path {
            account.note_path(&Rc::from(&**path));
        }
        let service = self.service(&self.gateway.tables(), token, request.service.as_ref())?;
        if let Some(service) = &service {
            account.note_service(service);
        }
        let scopes: SmallVec<[&str; 8]> =
            request.scopes.iter().flat_map(|scopes| scopes.0.iter()).map(Text::as_str).collect();
        let facts = Facts {
            service: service.as_deref(),
            method: text(&request.method),
            path: path.as_deref(),
            address: request.ip,
            bound_host_addresses: None,
            referer: headers.and_then(|headers| text(&headers.referer)),
            origin: headers.and_then(|headers| text(&headers.origin)),
            user_agent: headers.and_then(|headers| text(&headers.user_agent)),
            android_package: headers.and_then(|headers| text(&headers.android_package)),
            android_certificate: headers.and_then(|headers| text(&headers.android_certificate)),
            ios_bundle: headers.and_then(|headers| text(&headers.ios_bundle)),
            scopes: &scopes,
            signature: SignatureFact::Unknown,
            model: text(&request.model),
            tokens: None,
            cost: request.units(),
        };
        let secret = Cow::Borrowed(request.key.as_str().as_bytes());
        self.ask(account, token, &Presented { secret, place: Place::Authorization }, facts).await
    }

    /// The service that is asked about: the named one, or the only one of the token; `None` when a
    /// token for the whole tenant names none.
    fn service(
        &self,
        tables: &LaneTables,
        token: &ServiceToken,
        name: Option<&Text<'_>>,
    ) -> Result<Option<Arc<Service>>, Denial> {
        match (name, &*token.services) {
            (Some(name), _) => self.names.find(&tables.tables, token, name.as_str()).map(Some),
            (None, []) => Ok(None),
            (None, [only]) => match tables.tables.services.get(only) {
                Some(service) => Ok(Some(Arc::clone(service))),
                None => {
                    Err(Denial::new(Code::NoService, "the service of this token does not exist any more"))
                }
            },
            (None, _) => Err(Denial::new(
                Code::NoService,
                "this token may ask about several services; name one in `service`",
            )),
        }
    }

    fn write_allowed(&self, decided: &Decided, id: DecisionText, out: &mut Vec<u8>) {
        let record = decided.record();
        let (tenant, project) = decided.owner();
        let consumers = self.gateway.shared.snapshot.consumers.pin();
        let allowed = Allowed {
            id,
            record,
            tenant,
            project,
            consumer: consumers.get(&record.consumer.0).map(|consumer| &**consumer),
            policy: decided.policy(),
            decision: &decided.decision,
        };
        allowed.write(out);
    }
}

/// Decisions of a batch after which other connections of the lane get their turn.
const YIELD_EVERY: usize = 32;

fn text<'t>(field: &'t Option<Text<'_>>) -> Option<&'t str> {
    field.as_ref().map(Text::as_str)
}

fn overloaded(id: DecisionText) -> Refused<'static> {
    Refused { id, code: Code::Overloaded, detail: "", key: None, retry_after_ns: None }
}

/// The path of a target in its one spelling.
pub(super) fn one_spelling(target: &str) -> Result<Cow<'_, str>, Denial> {
    let path = target.split_once(['?', '#']).map_or(target, |(path, _)| path);
    normalise(path).map_err(|error| Denial::new(Code::MalformedRequest, error.to_string()))
}

/// The body of a question.
pub(super) async fn whole_body(exchange: &mut Exchange, bytes_max: u64) -> Result<Bytes, Mistake> {
    check_content(&exchange.head)?;
    exchange.body.collect(bytes_max).await.map_err(Mistake::of_body)
}

/// JSON, as it is. Without `Content-Type` it is taken for JSON.
fn check_content(head: &RequestHead) -> Result<(), Mistake> {
    if let Some(kind) = head.header("content-type") {
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !kind.eq_ignore_ascii_case(b"application/json") {
            return Err(unsupported("send the body as JSON, with `Content-Type: application/json`"));
        }
    }
    match head.header("content-encoding") {
        Some(coding) if !coding.eq_ignore_ascii_case(b"identity") => {
            Err(unsupported("send the body as it is, without `Content-Encoding`"))
        }
        _ => Ok(()),
    }
}

fn unsupported(detail: &'static str) -> Mistake {
    Mistake::new(entry(Code::UnsupportedContent), detail)
}

pub(super) fn json(body: Vec<u8>) -> Answer {
    Answer::new(200)
        .with(&names::CONTENT_TYPE, &names::APPLICATION_JSON)
        .with(&names::CACHE_CONTROL, &names::NO_STORE)
        .with_body(body)
}
