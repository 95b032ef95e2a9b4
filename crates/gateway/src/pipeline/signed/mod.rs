//! Requests whose senders sign them (webhooks that come in): the body is read whole, held against the service's
//! secrets, and only then decided about and forwarded.
//!
//! What was found out is a fact among others that `admit` judges. Where a signature stands instead of a key, the
//! request counts as one with the key that the service names, so that everything that holds for that key holds for it:
//! its policy, limits, expiry, blocks, and who it is in every record.

use std::{borrow::Cow, rc::Rc};

use tollgate_core::{
    code::Code,
    counters::Counters,
    signature::{
        Proof, SignatureFact, Signed,
        spec::{SignatureMode, SignatureSpec},
    },
    time::Now,
};

use crate::{
    caller::{Caller, Identity},
    denial::{Denial, RateFields},
    http::{answer::Answer, body::RequestBody, exchange::Exchange, head::RequestHead},
    lane::{Gateway, account::Account},
    pipeline::{
        admission::{Judged, Request, check_declared_length, flaw_denial, policy_of, tenant_of},
        models::{body::read_held, call::BELIEVED_NS},
        recognition::Recognition,
    },
    proxy::{self, Passage},
    request::{
        credential::{Place, Presented, extract},
        only,
    },
    service::{ProxyService, signing::Signing},
};

/// Answers a request of a service that asks for signatures.
pub(super) async fn serve<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    exchange: &mut Exchange,
    request: Request<'_>,
    service: Rc<ProxyService>,
) -> Result<Answer, Denial> {
    let (Some(signing), Some(spec)) = (&service.signing, &service.service.spec.signature) else {
        return Err(Denial::new(Code::SignatureMissing, ""));
    };
    let known = recognise(gateway, exchange, request, &service).await?;
    account.note_key(&known.record, tenant_of(&gateway.tables(), &known.record));
    let bytes_max = service.body_bytes_max(&gateway.shared.options);
    check_declared_length(exchange, bytes_max)?;
    // Whoever is refused in any case makes nobody read.
    let signature = spec.screen(&signed(&exchange.head, spec), known.now.wall_us);
    screen(gateway, account, &exchange.head, (Request { signature, ..request }, &known, &service))?;
    let whole = read_held(gateway, &mut exchange.body, bytes_max).await?;
    let now = gateway.now();
    let request = Request { now, ..request };
    let known = if now.mono_ns.saturating_sub(known.now.mono_ns) < BELIEVED_NS {
        known
    } else {
        // The body took its time: who calls, and what they may, is looked at again (I3).
        gateway.check_fresh(now)?;
        let known = recognise(gateway, exchange, request, &service).await?;
        account.note_key(&known.record, tenant_of(&gateway.tables(), &known.record));
        known
    };
    let (signature, proof) = verify(gateway, (signing, spec, &service), &exchange.head, &whole.bytes)?;
    let request = Request { signature, ..request };
    let caller = decide(gateway, account, &exchange.head, (request, known, &service, proof)).await?;
    exchange.body = RequestBody::from_bytes(whole.bytes.clone());
    let path: Rc<str> = request.path.into();
    let passage = Passage { service: Rc::clone(&service), caller, path, sender: request.sender };
    // The room is given back when the upstream has answered.
    proxy::forward(gateway, account, exchange, passage).await
}

/// The key that the request brings, or counts as.
async fn recognise<C: Counters + 'static>(
    gateway: &Gateway<C>,
    exchange: &Exchange,
    request: Request<'_>,
    service: &ProxyService,
) -> Result<Recognition, Denial> {
    if mode(service) == SignatureMode::Beside {
        let presented = extract(&exchange.head, &service.places).map_err(flaw_denial)?;
        return gateway.recognise(&presented, Some(request.sender.address), request.now).await;
    }
    let key =
        service.signing.as_ref().and_then(|signing| signing.key(&gateway.tables().tables, &service.service));
    let Some(key) = key else {
        let detail = "the key that signed requests count as is not at hand on this node; an administrator has to set it";
        return Err(Denial::new(Code::KeyUnknown, detail));
    };
    let presented = Presented { secret: Cow::Borrowed(key.expose().as_bytes()), place: Place::Authorization };
    // No address: a wrong key is nobody's guess here.
    gateway.recognise(&presented, None, request.now).await
}

fn mode(service: &ProxyService) -> SignatureMode {
    service.service.spec.signature.as_ref().map_or(SignatureMode::Beside, |spec| spec.mode)
}

fn signed<'h>(head: &'h RequestHead, spec: &SignatureSpec) -> Signed<'h> {
    let fields = spec.fields();
    Signed {
        signature: only(head, fields.signature),
        timestamp: fields.timestamp.and_then(|name| only(head, name)),
        id: fields.id.and_then(|name| only(head, name)),
    }
}

fn verify<C: Counters + 'static>(
    gateway: &Gateway<C>,
    (signing, spec, service): (&Signing, &SignatureSpec, &ProxyService),
    head: &RequestHead,
    body: &[u8],
) -> Result<(SignatureFact, Option<Proof>), Denial> {
    let secrets = signing.secrets(&gateway.tables().tables, &service.service);
    if secrets.is_empty() {
        let detail = "no secret of the signature is at hand on this node; an administrator has to set it";
        return Err(Denial::new(Code::SignatureInvalid, detail));
    }
    let Now { wall_us, .. } = gateway.now();
    let proof = match spec.verify(&secrets, &signed(head, spec), body, wall_us) {
        Ok(proof) => proof,
        Err(fact) => return Ok((fact, None)),
    };
    let is_known = |nonce| gateway.shared.replays.knows(&(service.service.id, nonce), wall_us);
    let is_repeated = proof.nonce.is_some_and(is_known);
    Ok((if is_repeated { SignatureFact::Repeated } else { SignatureFact::Valid }, Some(proof)))
}

/// Remembers the signature of a request that is let through, and whether no other one had it. One that is refused
/// leaves no trace, so that it may come again.
fn is_first<C: Counters + 'static>(
    gateway: &Gateway<C>,
    service: &ProxyService,
    proof: Option<&Proof>,
) -> Result<bool, Denial> {
    let Some((nonce, until_us)) = proof.and_then(|proof| Some((proof.nonce?, proof.until_us))) else {
        return Ok(true);
    };
    let place = (service.service.tenant, (service.service.id, nonce));
    gateway.shared.replays.first(place, until_us, gateway.now().wall_us).map_err(|_full| {
        let detail = "more signed requests came than can be remembered; try again in a minute";
        Denial::new(Code::Overloaded, detail)
    })
}

/// What is decided about.
type About<'a> = (Request<'a>, &'a Recognition, &'a ProxyService);

/// Refuses what no body could mend.
fn screen<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    head: &RequestHead,
    (request, known, service): About<'_>,
) -> Result<(), Denial> {
    let tables = gateway.tables();
    let policy = policy_of(&tables, &known.record);
    let judged = Judged { known, policy, service: Some(service), model: None, tokens: None };
    let decision = gateway.screen(head, request, judged);
    if decision.is_allowed() {
        return Ok(());
    }
    account.note_decision(&decision, policy);
    Err(Denial::of_decision(&decision, policy, service.service.spec.headers))
}

async fn decide<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    head: &RequestHead,
    (request, known, service, proof): (Request<'_>, Recognition, &ProxyService, Option<Proof>),
) -> Result<Caller, Denial> {
    let tables = gateway.tables();
    let policy = policy_of(&tables, &known.record);
    let judged = Judged { known: &known, policy, service: Some(service), model: None, tokens: None };
    let mut decision = gateway.judge(head, request, judged, 1);
    if decision.is_open() {
        decision = gateway.judge_beyond(head, request, judged, (1, decision)).await;
    }
    account.note_decision(&decision, policy);
    let choice = service.service.spec.headers;
    if !decision.is_allowed() {
        return Err(Denial::of_decision(&decision, policy, choice));
    }
    if !is_first(gateway, service, proof.as_ref())? {
        // The same one came by another lane meanwhile.
        let request = Request { signature: SignatureFact::Repeated, ..request };
        let decision = gateway.judge(head, request, judged, 1);
        account.note_decision(&decision, policy);
        return Err(Denial::of_decision(&decision, policy, choice));
    }
    let at_ns = known.now.mono_ns;
    let strip = match mode(service) {
        SignatureMode::Beside => extract(head, &service.places)
            .map(|presented| smallvec::smallvec![presented.place])
            .unwrap_or_default(),
        // Whatever of ours came along is not for the upstream.
        SignatureMode::Instead => Caller::public(head, &service.places, at_ns).strip,
    };
    let identity = Identity { granted: tables.granted(policy), record: known.record };
    Ok(Caller { at_ns, strip, identity: Some(identity), rate: RateFields::of(&decision, policy, choice) })
}
