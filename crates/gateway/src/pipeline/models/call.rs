//! A request of a service of kind `llm`, up to the moment when it goes upstream: who calls, what is asked
//! for, whether it may and can be paid for.
//!
//! Until then nothing is spent, and a client that leaves takes everything with it: what was held is given
//! back. From there on `course` goes on, whether the client stays or not.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use tollgate_core::{
    admit::{
        Decision,
        afford::{OUTPUT_TOKENS_LEAST, Refusal, Wish},
    },
    code::Code,
    counters::Counters,
    facts::TokenAsk,
    money::{cost::Ask, table::Wanted},
    policy::Policy,
    resource::Unit,
    time::Now,
};

use super::{
    body::{Whole, read_whole},
    course::{self, Course},
    unmetered,
};
use crate::{
    caller::{Caller, Identity},
    denial::{Denial, RateFields},
    http::{answer::Answer, exchange::Exchange},
    lane::{
        Gateway, account::Account, bill::Terms, call_account::CallAccount, purse::Budgets, tables::LaneTables,
    },
    llm::{
        api::{Api, api_of, gemini_target},
        request::{BodyError, Call, Wishes, is_name},
    },
    pipeline::{
        admission::{Judged, Request, check_declared_length, flaw_denial, policy_of, tenant_of},
        recognition::Recognition,
    },
    proxy::Passage,
    request::credential::{Place, extract},
    service::{
        ProxyService,
        route::{LlmService, Route},
    },
};

/// How long what was found out of a caller is believed while its body arrives: less than a revocation takes
/// to reach a node.
pub(crate) const BELIEVED_NS: u64 = 100_000_000;

/// Who calls, as was found out before the body.
pub(crate) struct Entered {
    pub(crate) known: Recognition,
    pub(super) tables: Rc<LaneTables>,
    /// Where the credential stood.
    pub(super) place: Place,
}

impl Entered {
    pub(crate) fn policy(&self) -> Option<&Policy> {
        policy_of(&self.tables, &self.known.record)
    }

    fn shared_policy(&self) -> Option<&Arc<Policy>> {
        self.known.record.policy.and_then(|id| self.tables.tables.policies.get(&id))
    }

    /// What upstream and answer are told of the caller.
    pub(crate) fn caller(&self, decision: &Decision, service: &ProxyService) -> Caller {
        let policy = self.policy();
        Caller {
            at_ns: self.known.now.mono_ns,
            strip: smallvec::smallvec![self.place],
            identity: Some(Identity {
                granted: self.tables.granted(policy),
                record: self.known.record.clone(),
            }),
            rate: RateFields::of(decision, policy, service.service.spec.headers),
        }
    }
}

/// All that is known of a call that was let through, for every attempt of it.
pub(super) struct Asked<C> {
    pub(super) api: Api,
    pub(super) body: Whole<C>,
    /// The model that the client asks for.
    pub(super) model: Box<str>,
    pub(super) is_stream: bool,
    pub(super) budgets: Budgets,
    pub(super) entered: Entered,
    /// The most tokens of each answer that limits and quotas allow, when that is less than is asked for.
    pub(super) tokens_limit: Option<u64>,
    pub(super) passage: Passage,
}

/// A call ready to be sent to one route.
pub(super) struct Prepared {
    pub(super) body: Bytes,
    pub(super) terms: Rc<Terms>,
    /// The limit that was put on its output.
    pub(super) output_limit: Option<u64>,
    /// Whether the usage was asked for on the client's behalf.
    pub(super) hides_usage: bool,
}

/// Serves one request.
pub(crate) async fn serve<C: Counters + 'static>(
    account: &mut Account<C>,
    exchange: &mut Exchange,
    request: Request<'_>,
    service: Rc<ProxyService>,
) -> Result<Answer, Denial> {
    let gateway = Rc::clone(account.gateway());
    let Some(llm) = service.llm.as_deref() else {
        return Err(Denial::new(Code::NoService, ""));
    };
    let entered = enter(&gateway, account, exchange, request, &service).await?;
    let api = api_of(llm.provider, request.path).filter(|_| exchange.head.method() == "POST");
    match api {
        None => unmetered::serve(&gateway, account, exchange, (request, service, entered)).await,
        Some(api) => {
            let body = read_body(&gateway, exchange, &service).await?;
            let bytes = body.bytes.clone();
            let call = Call::read(api, &bytes).map_err(|error| body_refused(&error))?;
            let (asked, terms) =
                ask(&gateway, account, exchange, (request, service, entered), (&call, body)).await?;
            let first = prepare_first(&gateway, account, &asked, (&call, terms)).await?;
            let (head, peer) = (exchange.head.clone(), exchange.peer);
            course::launch(account, Course { gateway, head, peer, asked }, first).await
        }
    }
}

/// Finds the caller, and refuses who is refused whatever the body says.
pub(crate) async fn enter<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    exchange: &Exchange,
    request: Request<'_>,
    service: &ProxyService,
) -> Result<Entered, Denial> {
    let presented = extract(&exchange.head, &service.places).map_err(flaw_denial)?;
    let known = gateway.recognise(&presented, Some(request.sender.address), request.now).await?;
    let entered = Entered { known, tables: gateway.tables(), place: presented.place };
    account.note_key(&entered.known.record, tenant_of(&entered.tables, &entered.known.record));
    let policy = entered.policy();
    let judged = Judged { known: &entered.known, policy, service: Some(service), model: None, tokens: None };
    let decision = gateway.screen(&exchange.head, request, judged);
    if !decision.is_allowed() {
        account.note_decision(&decision, policy);
        return Err(Denial::of_decision(&decision, policy, service.service.spec.headers));
    }
    Ok(entered)
}

async fn read_body<C: Counters + 'static>(
    gateway: &Gateway<C>,
    exchange: &mut Exchange,
    service: &ProxyService,
) -> Result<Whole<C>, Denial> {
    let bytes_max = service.body_bytes_max(&gateway.shared.options);
    check_declared_length(exchange, bytes_max)?;
    read_whole(gateway, &exchange.head, &mut exchange.body, bytes_max).await
}

/// Asks `core`. What limits took is noted in the account.
async fn ask<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    exchange: &Exchange,
    (request, service, entered): (Request<'_>, Rc<ProxyService>, Entered),
    (call, body): (&Call<'_>, Whole<C>),
) -> Result<(Asked<C>, Terms), Denial> {
    let api = call.api();
    let target = gemini_target(request.path).filter(|_| api == Api::GeminiGenerate);
    let model = target.map(|target| target.model).or(call.model());
    let model = named(model)?;
    let is_stream = target.map_or(call.stream(), |target| target.stream);
    let now = gateway.now();
    let request = Request { now, ..request };
    let waited_ns = now.mono_ns.saturating_sub(entered.known.now.mono_ns);
    let entered = if waited_ns < BELIEVED_NS {
        entered
    } else {
        // The body took its time: who calls, and what they may, is looked at again (I3).
        gateway.check_fresh(now)?;
        enter(gateway, account, exchange, request, &service).await?
    };
    let policy = entered.policy();
    if call.names_other_models() && policy.is_some_and(|policy| policy.models.is_some()) {
        let detail =
            "the call names models beside the one that it asks for, and the key may use certain models only";
        return Err(Denial::new(Code::ModelNotAllowed, detail));
    }
    let terms = terms_of(&entered, (&service, 0, &model), call, request.now);
    let tokens = policy.and_then(|policy| token_ask(policy, call, &terms));
    let judged =
        Judged { known: &entered.known, policy, service: Some(&service), model: Some(&model), tokens };
    let mut decision = gateway.judge(&exchange.head, request, judged, 1);
    if decision.is_open() {
        decision = gateway.judge_beyond(&exchange.head, request, judged, (1, decision)).await;
    }
    account.note_decision(&decision, policy);
    if !decision.is_allowed() {
        return Err(Denial::of_decision(&decision, policy, service.service.spec.headers));
    }
    let tokens_limit = policy.zip(tokens).and_then(|(policy, tokens)| {
        let granted = decision.tokens_granted(policy).filter(|granted| *granted < tokens.most)?;
        let output = u64::from(granted).saturating_sub(terms.input_bound);
        Some(output / u64::from(call.choices().max(1)))
    });
    account.call = Some(CallAccount::open(&decision, entered.shared_policy(), request.now));
    let tenant = service.service.tenant;
    let budgets = Budgets::of(&entered.tables.tables, &entered.known.record, tenant, request.now.wall_us);
    let caller = entered.caller(&decision, &service);
    let passage = Passage { service, caller, path: request.path.into(), sender: request.sender };
    Ok((Asked { api, body, model, is_stream, budgets, entered, tokens_limit, passage }, terms))
}

/// Prepares the first attempt and takes its funds. A call that cannot be paid for has cost nothing: what
/// limits took for it is given back.
async fn prepare_first<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    asked: &Asked<C>,
    first: (&Call<'_>, Terms),
) -> Result<Prepared, Denial> {
    let prepared = prepare(gateway, account, asked, first).await;
    if !asked.budgets.is_empty() {
        account.note_payment(prepared.is_ok());
    }
    prepared.map_err(|refusal| Denial::new(refusal.code, String::from(refusal.detail)))
}

/// Makes a call ready for one of its fallbacks; `None` when it cannot be paid for.
pub(super) async fn prepare_fallback<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    asked: &Asked<C>,
    place: usize,
) -> Option<Prepared> {
    let (service, now) = (&asked.passage.service, asked.entered.known.now);
    let call = Call::read(asked.api, &asked.body.bytes).ok()?;
    let terms = terms_of(&asked.entered, (service, place, &asked.model), &call, now);
    prepare(gateway, account, asked, (&call, terms)).await.ok()
}

/// Makes a call ready to be sent on these terms, and takes what it may cost. The hold is in the account.
async fn prepare<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    asked: &Asked<C>,
    (call, mut terms): (&Call<'_>, Terms),
) -> Result<Prepared, Refusal> {
    let said = terms.ask.map(|ask| ask.output_tokens).or(call.output_limit());
    let by_tokens = asked.tokens_limit.filter(|limit| said.is_none_or(|said| *limit < said));
    if let (Some(ask), Some(limit)) = (&mut terms.ask, by_tokens) {
        ask.output_tokens = limit;
    }
    let is_limitable = asked.api != Api::OpenAiEmbeddings;
    let grant = asked.budgets.pay(gateway, wish_of(&terms, call, is_limitable)).await?;
    if let (Some(ask), Some(limit)) = (&mut terms.ask, grant.output_limit) {
        ask.output_tokens = limit;
    }
    terms.reserved = (!grant.hold.is_empty()).then_some(grant.hold.amount);
    let output_limit = grant.output_limit.or(by_tokens);
    let includes_usage = asked.api == Api::OpenAiChat && asked.is_stream;
    let model = (*terms.model != *asked.model).then_some(&*terms.model);
    let edited = call.edited(Wishes { output_limit, include_usage: includes_usage, model });
    let body = edited.map_or_else(|| asked.body.bytes.clone(), Bytes::from);
    let hides_usage = includes_usage && !call.includes_usage();
    let terms = Rc::new(terms);
    if let Some(own) = &mut account.call {
        own.hold(grant.hold, Rc::clone(&terms));
    }
    Ok(Prepared { body, terms, output_limit, hides_usage })
}

/// What is agreed for a call to one route, before it is known what it may use.
fn terms_of(
    entered: &Entered,
    (service, place, asked): (&ProxyService, usize, &str),
    call: &Call<'_>,
    now: Now,
) -> Terms {
    let llm: Option<&LlmService> = service.llm.as_deref();
    let route: Option<&Route> = llm.and_then(|llm| llm.routes.get(place));
    let model = route.and_then(|route| route.model.as_deref()).unwrap_or(asked);
    let provider = route.map_or(call.api().provider(), |route| route.provider);
    let prices = Arc::clone(&entered.tables.tables.prices);
    let tenant = service.service.tenant;
    let wanted = Wanted { provider, model, service_tier: call.service_tier() };
    let price = prices.price(tenant, wanted, now.wall_us);
    let ask: Option<Ask> = price.as_ref().and_then(|price| call.ask(price));
    Terms {
        api: call.api(),
        provider,
        model: model.into(),
        service_tier: call.service_tier().map(Box::from),
        tenant,
        wall_us: now.wall_us,
        prices,
        input_bound: ask.map_or_else(|| call.input_bound(), |ask| ask.input_tokens),
        price,
        ask,
        reserved: None,
    }
}

/// What is asked of the budgets.
pub(super) fn wish_of<'t>(terms: &'t Terms, call: &Call<'_>, is_limitable: bool) -> Wish<'t> {
    match (&terms.price, terms.ask) {
        (Some(price), Some(ask)) => Wish::Priced { price, ask, is_limitable },
        (None, _) => Wish::Unpriced("the model has no price; an administrator can set one"),
        (Some(_), None) if call.is_unbounded() => {
            Wish::Unpriced("tools of the provider or predicted output take part, whose use nobody can bound")
        }
        (Some(_), None) => Wish::Unpriced(
            "neither the call nor the price says how many tokens there may be at most; set an output limit",
        ),
    }
}

/// What token limits and quotas are asked for; `None` where the policy has none.
fn token_ask(policy: &Policy, call: &Call<'_>, terms: &Terms) -> Option<TokenAsk> {
    if !policy.rules.iter().any(|rule| rule.unit == Unit::Tokens) {
        return None;
    }
    let choices = u64::from(call.choices().max(1));
    let is_embedding = terms.api == Api::OpenAiEmbeddings;
    let output = terms.ask.map(|ask| ask.output_tokens).or(call.output_limit());
    let output = if is_embedding { Some(0) } else { output };
    let with = |output: u64| {
        let tokens = terms.input_bound.saturating_add(output.saturating_mul(choices));
        u32::try_from(tokens).unwrap_or(u32::MAX)
    };
    let least = with(output.unwrap_or(OUTPUT_TOKENS_LEAST).min(OUTPUT_TOKENS_LEAST));
    Some(TokenAsk { least, most: output.map_or(u32::MAX, with) })
}

/// The model that is asked for, in the body or in the path.
fn named(model: Option<&str>) -> Result<Box<str>, Denial> {
    let refused = |detail| Denial::new(Code::MalformedRequest, detail);
    match model {
        None | Some("") => Err(refused("the body names no model; set `model`")),
        Some(model) if is_name(model) => Ok(model.into()),
        Some(_) => Err(refused("the model's name is over 256 bytes or has control characters")),
    }
}

fn body_refused(error: &BodyError) -> Denial {
    let code = match error {
        BodyError::TooLarge => Code::BodyTooLarge,
        BodyError::NotJson | BodyError::Ambiguous(_) | BodyError::Value { .. } => Code::MalformedRequest,
    };
    Denial::new(code, error.to_string())
}
