//! `ANY /authz/forward` (Traefik ForwardAuth, Caddy `forward_auth`) and `ANY /authz/nginx`
//! (`auth_request`).
//!
//! Allowed is 200 with the identity in header fields, for the proxy to hand on. A refusal of
//! `/authz/forward` is the gateway's own answer, which these proxies pass to the client as it is.
//! nginx understands 2xx, 401 and 403 alone and takes anything else for a fault, so a refusal of
//! `/authz/nginx` is one of the two with the real code and status in header fields.

use std::rc::Rc;

use tollgate_core::{
    code::Code, counters::Counters, facts::Facts, id::DecisionId, resource::ServiceKind, service::Service,
    signature::SignatureFact, tables::ServiceToken,
};
use tollgate_wire::{headers, text::push_id};

use super::{
    ServiceApi,
    ask::Decided,
    mistake::Mistake,
    original::{FORWARD, Fields, NGINX, Original, address},
    token::{self, covers, parameter},
};
use crate::{
    denial::{Denial, RateFields},
    http::{
        answer::Answer,
        field::{FieldName, FieldValue},
        head::RequestHead,
    },
    identity::{environment_value, push_consumer, push_value, value_of},
    lane::account::{Account, method_number},
    names,
    pipeline::{admission::flaw_denial, set_request_id},
    request::{
        credential::{Places, extract_with},
        only,
    },
};

static X_TOLLGATE_CODE: FieldName = FieldName::of(headers::CODE);
static X_TOLLGATE_STATUS: FieldName = FieldName::of(headers::STATUS);
static X_TOLLGATE_RETRY_AFTER: FieldName = FieldName::of(headers::RETRY_AFTER_HINT);

/// The parameter of the query that names the service, where host and path do not say it.
const SERVICE_PARAMETER: &str = "service";

impl<C: Counters + 'static> ServiceApi<C> {
    pub(super) async fn forward(&self, head: &RequestHead) -> Result<Answer, Mistake> {
        let token = token::of_proxy(head, &self.gateway.tables().tables)?;
        Ok(self.judged(head, &token, FORWARD, |answer, _| answer).await)
    }

    pub(super) async fn nginx(&self, head: &RequestHead) -> Answer {
        match token::of_proxy(head, &self.gateway.tables().tables) {
            Ok(token) => self.judged(head, &token, NGINX, for_nginx).await,
            // 401 would tell the client that its own credential is wrong.
            Err(mistake) => {
                let code = mistake.code();
                for_nginx_refused(mistake.into_answer(), code, 403)
            }
        }
    }

    /// Decides, accounts for it with the status that is answered, and answers.
    async fn judged(
        &self,
        head: &RequestHead,
        token: &ServiceToken,
        fields: Fields,
        shape: fn(Answer, Code) -> Answer,
    ) -> Answer {
        let ticket = match self.gateway.ticket() {
            Ok(ticket) => ticket,
            Err(id) => return shape(overloaded(id), Code::Overloaded),
        };
        let mut account = self.open(ticket, token);
        let id = account.id();
        let (mut answer, code) = match self.pass_original(&mut account, head, token, fields).await {
            Ok(answer) => (answer, Code::Valid),
            Err(denial) => {
                let code = denial.code();
                account.note_outcome(code, denial.detail());
                (denial.into_answer(id), code)
            }
        };
        set_request_id(&mut answer, id);
        let answer = shape(answer, code);
        match account.settle(answer.head.status()) {
            Ok(()) => answer,
            Err(_) => shape(overloaded(id), Code::Overloaded),
        }
    }

    async fn pass_original(
        &self,
        account: &mut Account<C>,
        head: &RequestHead,
        token: &ServiceToken,
        fields: Fields,
    ) -> Result<Answer, Denial> {
        account.note_head(head);
        let original = Original::read(head, fields)?;
        account.entry.method = method_number(original.method);
        account.note_path(&Rc::from(&*original.path));
        let address = address(head, fields, &self.gateway.shared.options.trusted_proxies);
        if let Some(address) = address {
            account.note_address(address);
        }
        let tables = self.gateway.tables();
        let service = match parameter(head.query(), SERVICE_PARAMETER) {
            Some(name) => self.names.find(&tables.tables, token, &name)?,
            None => tables
                .tables
                .router
                .find(original.host, &original.path, original.method)
                .filter(|service| service.tenant == token.tenant && covers(token, service.id))
                .cloned()
                .ok_or_else(|| Denial::new(Code::NoService, ""))?,
        };
        account.note_service(&service);
        if service.spec.public {
            self.gateway.check_fresh(self.gateway.now())?;
            account.note_outcome(Code::Valid, "");
            return Ok(Answer::new(200));
        }
        let places = match service.spec.kind {
            ServiceKind::Llm => Places::of_llm(&service.spec.credentials),
            _ => Places::of(&service.spec.credentials),
        };
        let presented = extract_with(head, original.query, &places).map_err(flaw_denial)?;
        let facts = Facts {
            service: Some(&service),
            method: Some(original.method),
            path: Some(&original.path),
            address,
            bound_host_addresses: None,
            referer: only(head, "referer"),
            origin: only(head, "origin"),
            user_agent: only(head, "user-agent"),
            android_package: only(head, "x-android-package"),
            android_certificate: only(head, "x-android-cert"),
            ios_bundle: only(head, "x-ios-bundle-identifier"),
            scopes: &[],
            signature: SignatureFact::Unknown,
            model: None,
            tokens: None,
            cost: 1,
        };
        let decided = self.ask(account, token, &presented, facts).await?;
        let choice = service.spec.headers;
        if !decided.decision.is_allowed() {
            return Err(Denial::of_decision(&decided.decision, decided.policy(), choice));
        }
        Ok(self.identified(&decided, &service))
    }

    /// 200 with who it is and what remains.
    fn identified(&self, decided: &Decided, service: &Service) -> Answer {
        let record = decided.record();
        let (tenant, project) = decided.owner();
        let mut answer = Answer::new(200)
            .with(&names::CACHE_CONTROL, &names::NO_STORE)
            .with(&names::X_TOLLGATE_TENANT, &value_of(tenant))
            .with(&names::X_TOLLGATE_PROJECT, &value_of(project))
            .with(&names::X_TOLLGATE_ENVIRONMENT, &environment_value(record.environment))
            .with(&names::X_TOLLGATE_SCOPES, &decided.tables.granted(decided.policy()).scopes);
        let head = &mut answer.head;
        head.set_text(&names::X_TOLLGATE_KEY_ID, |out| push_id(out, "key", record.id.0));
        self.gateway.with_consumer(record, |consumer| {
            head.set_text(&names::X_TOLLGATE_CONSUMER, |out| push_consumer(out, record, consumer));
            if let Some(external_id) = consumer.and_then(|consumer| consumer.external_id.as_deref()) {
                head.set_text(&names::X_TOLLGATE_CONSUMER_EXTERNAL_ID, |out| push_value(out, external_id));
            }
        });
        RateFields::of(&decided.decision, decided.policy(), service.spec.headers).write(head);
        answer
    }
}

fn overloaded(id: DecisionId) -> Answer {
    let mut answer = Denial::new(Code::Overloaded, "").into_answer(id);
    set_request_id(&mut answer, id);
    answer
}

/// Says in header fields what nginx would not pass on.
fn for_nginx(answer: Answer, code: Code) -> Answer {
    match (code, answer.head.status()) {
        (Code::Valid, _) => answer,
        (_, 401) => for_nginx_refused(answer, code.name(), 401),
        (_, _) => for_nginx_refused(answer, code.name(), 403),
    }
}

fn for_nginx_refused(mut answer: Answer, code: &'static str, status: u16) -> Answer {
    let head = &mut answer.head;
    let real = head.status();
    head.set(&X_TOLLGATE_CODE, &FieldValue::of(code));
    head.set(&X_TOLLGATE_STATUS, &FieldValue::number(u64::from(real)));
    if let Some(wait) = head.header(headers::RETRY_AFTER).and_then(|wait| FieldValue::parse(wait).ok()) {
        head.set(&X_TOLLGATE_RETRY_AFTER, &wait);
    }
    head.set_status(status);
    answer
}
