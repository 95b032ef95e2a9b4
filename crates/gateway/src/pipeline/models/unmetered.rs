//! Requests of a service of kind `llm` that are no calls with a price: lists, files, batches, and whatever
//! the provider offers beside. They pass as at a proxy, with the provider's credential.
//!
//! What nobody can price is refused under a hard budget, and what may name any model where models are
//! granted (rule 1). Reading costs nothing, and neither does counting tokens.

use std::rc::Rc;

use tollgate_core::{code::Code, counters::Counters, money::price::Provider};

use super::call::Entered;
use crate::{
    denial::Denial,
    http::{
        answer::{Answer, AnswerBody},
        body::Frame,
        exchange::Exchange,
        upstream::UpstreamBody,
    },
    lane::{Gateway, account::Account, purse::Budgets},
    llm::models::{LIST_BYTES_MAX, filtered, is_model_list},
    names,
    pipeline::admission::{Judged, Request},
    proxy::{self, Passage, body_denial},
    service::ProxyService,
};

/// Serves one of them.
pub(super) async fn serve<C: Counters + 'static>(
    gateway: &Rc<Gateway<C>>,
    account: &mut Account<C>,
    exchange: &mut Exchange,
    (request, service, entered): (Request<'_>, Rc<ProxyService>, Entered),
) -> Result<Answer, Denial> {
    let policy = entered.policy();
    let provider = service.llm.as_deref().map_or(Provider::OpenAi, |llm| llm.provider);
    let reads = matches!(exchange.head.method(), "GET" | "HEAD" | "OPTIONS");
    let is_free = reads || counts_tokens(provider, request.path);
    if !reads && policy.is_some_and(|policy| policy.models.is_some()) {
        let detail = "the key may use certain models only, and which one this request uses is not known here";
        return Err(Denial::new(Code::ModelNotAllowed, detail));
    }
    if !is_free {
        let tenant = service.service.tenant;
        let budgets = Budgets::of(&entered.tables.tables, &entered.known.record, tenant, request.now.wall_us);
        if let Some(hard) = budgets.hard() {
            let detail = format!("{hard} is hard, and nobody can say what this request costs");
            account.note_payment(false);
            return Err(Denial::new(Code::Unpriceable, detail));
        }
    }
    let judged = Judged { known: &entered.known, policy, service: Some(&service), model: None, tokens: None };
    let mut decision = gateway.judge(&exchange.head, request, judged, 1);
    if decision.is_open() {
        decision = gateway.judge_beyond(&exchange.head, request, judged, (1, decision)).await;
    }
    account.note_decision(&decision, policy);
    if !decision.is_allowed() {
        return Err(Denial::of_decision(&decision, policy, service.service.spec.headers));
    }
    let grants_some = policy.is_some_and(|policy| policy.models.is_some());
    let is_list = grants_some && exchange.head.method() == "GET" && is_model_list(provider, request.path);
    if is_list {
        exchange.head.set(&names::ACCEPT_ENCODING, &names::IDENTITY);
    }
    exchange.body.limit(service.body_bytes_max(&gateway.shared.options)).map_err(body_denial)?;
    let caller = entered.caller(&decision, &service);
    let passage = Passage { service, caller, path: request.path.into(), sender: request.sender };
    let answer = proxy::forward(gateway, account, exchange, passage).await?;
    if is_list && answer.head.status() == 200 {
        return granted_only(answer, provider, |model| {
            let models = policy.and_then(|policy| policy.models.as_deref()).unwrap_or_default();
            models.iter().any(|pattern| pattern.matches(model))
        })
        .await;
    }
    Ok(answer)
}

/// Whether a request only counts the tokens of a call that is not made, which costs nothing.
fn counts_tokens(provider: Provider, path: &str) -> bool {
    match provider {
        Provider::OpenAi => path.ends_with("/responses/input_tokens"),
        Provider::Anthropic => path.ends_with("/messages/count_tokens"),
        Provider::Gemini => path.ends_with(":countTokens"),
    }
}

/// A list of models without those that are not granted.
async fn granted_only(
    mut answer: Answer,
    provider: Provider,
    is_granted: impl Fn(&str) -> bool,
) -> Result<Answer, Denial> {
    let unreadable = || {
        let detail = "the service behind the gateway sent a list of models that cannot be read";
        Denial::new(Code::UpstreamUnreachable, detail)
    };
    let AnswerBody::Upstream(body) = std::mem::replace(&mut answer.body, AnswerBody::Empty) else {
        return Err(unreadable());
    };
    let list = whole(body).await.ok_or_else(unreadable)?;
    let granted = filtered(provider, &list, is_granted).ok_or_else(unreadable)?;
    // It describes another list.
    answer.head.strip("etag");
    Ok(answer.with_body(granted))
}

async fn whole(mut body: UpstreamBody) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    while let Some(frame) = body.frame().await {
        let Frame::Data(data) = frame.ok()? else { break };
        if list.len() + data.len() > LIST_BYTES_MAX {
            return None;
        }
        list.extend_from_slice(&data);
    }
    Some(list)
}
