//! What an upstream answered, on its way to becoming an answer to the client.
//!
//! A whole answer is read to its end first, within [`WHOLE_BYTES_MAX`], so that its cost stands in its head;
//! a streamed one passes as it comes, and tells its cost in its trailers. Either is settled before its last
//! byte leaves.

use std::collections::VecDeque;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tollgate_core::{code::Code, counters::Counters};
use tollgate_wire::headers;

use super::{
    call::{Asked, Prepared},
    course::Ahead,
};
use crate::{
    denial::Denial,
    http::{
        answer::{Answer, AnswerBody, AnswerHead},
        body::Frame,
        upstream::{UpstreamAnswer, UpstreamBody},
    },
    lane::{
        account::Account,
        bill::{Charged, is_free},
        flow::{Flow, Metered, REST_BYTES_MAX},
    },
    llm::{
        api::{Api, Framing},
        usage::UsageReader,
        usage_chunk::UsageChunkFilter,
    },
    names,
};

/// The largest whole answer that is read before it is given on. A larger one (a page of embeddings) passes
/// as it comes.
const WHOLE_BYTES_MAX: u64 = 1024 * 1024;

/// What only this gateway says of a call. An upstream that says it too may be another gateway, with other
/// budgets.
const OURS: [&str; 4] = [headers::COST, headers::CURRENCY, headers::BUDGET_REMAINING, headers::OUTPUT_LIMIT];

/// An answer for the client.
pub(super) enum Given<C: Counters + 'static> {
    /// All of it is here, and settled.
    Whole(AnswerHead, Bytes),
    /// It is on its way, and settled at its end.
    Flowing(AnswerHead, Metered<C>),
    /// None: the gateway's own words.
    Refused(Denial),
}

impl<C: Counters + 'static> Given<C> {
    /// Whether it was settled, so that another attempt can take its place.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(..))
    }

    /// The answer, unless it is a refusal.
    pub(super) fn into_answer(self) -> Result<Answer, Denial> {
        let (head, body) = match self {
            Self::Whole(head, body) => (head, AnswerBody::Bytes(body)),
            Self::Flowing(head, body) => (head, AnswerBody::Source(Box::new(body))),
            Self::Refused(denial) => return Err(denial),
        };
        Ok(Answer { head, body, finish: None })
    }
}

/// Takes an upstream's answer.
pub(super) async fn take<C: Counters + 'static>(
    account: &mut Account<C>,
    asked: &Asked<C>,
    prepared: &Prepared,
    upstream: UpstreamAnswer,
    client_left: bool,
) -> Result<Given<C>, Denial> {
    let UpstreamAnswer { mut head, mut body, .. } = upstream;
    OURS.iter().for_each(|name| head.strip(name));
    let (is_error, is_free) = (head.status() >= 400, is_free(head.status()));
    let framing = framing_of(&head);
    let mut reader = UsageReader::new(prepared.terms.api, framing);
    // Without a client nothing is gained by passing it on as it comes.
    let reads_all = client_left || is_error || (!asked.is_stream && framing == Framing::Json);
    let mut ahead = Ahead::new();
    if reads_all {
        match read(&mut body, &mut reader, &mut ahead, client_left).await {
            Read::All => {
                let reading = reader.finish();
                let terms = &prepared.terms;
                account.charge(if is_free { terms.charge_error(&reading) } else { terms.charge(&reading) });
                write_limit(&mut head, prepared);
                write_money(&mut head, account, asked);
                return Ok(Given::Whole(head, joined(ahead)));
            }
            Read::Broken => {
                let charged =
                    if is_free { Charged::default() } else { prepared.terms.charge(&reader.finish()) };
                account.charge(charged);
                let detail = "the service behind the gateway broke off in the middle of its answer";
                return Err(Denial::new(Code::UpstreamUnreachable, detail));
            }
            Read::TooMuch => {}
        }
    }
    write_limit(&mut head, prepared);
    write_left(&mut head, account, asked, prepared);
    let flow = Flow::new(reader, std::rc::Rc::clone(&prepared.terms), is_free);
    if let Some(call) = &mut account.call {
        call.flow = Some(std::rc::Rc::clone(&flow));
    }
    let hides = prepared.hides_usage && framing == Framing::EventStream;
    Ok(Given::Flowing(head, Metered::new(flow, ahead, body, hides.then(UsageChunkFilter::default))))
}

/// How far an answer was read.
enum Read {
    All,
    Broken,
    /// It is larger than what is kept.
    TooMuch,
}

/// Reads an answer; keeps it, unless nobody is left to get it.
async fn read(
    body: &mut UpstreamBody,
    reader: &mut UsageReader,
    ahead: &mut Ahead,
    client_left: bool,
) -> Read {
    let mut kept = 0;
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(Frame::Data(data)) => data,
            Ok(Frame::Trailers(_)) => break,
            Err(_) => return Read::Broken,
        };
        reader.feed(&data);
        kept += data.len() as u64;
        if client_left {
            if kept > REST_BYTES_MAX {
                return Read::Broken;
            }
            continue;
        }
        ahead.push_back(data);
        if kept > WHOLE_BYTES_MAX {
            return Read::TooMuch;
        }
    }
    Read::All
}

fn joined(mut pieces: VecDeque<Bytes>) -> Bytes {
    match (pieces.pop_front(), pieces.is_empty()) {
        (None, _) => Bytes::new(),
        (Some(only), true) => only,
        (Some(first), false) => {
            let length = first.len() + pieces.iter().map(Bytes::len).sum::<usize>();
            let mut whole = Vec::with_capacity(length);
            whole.extend_from_slice(&first);
            pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
            whole.into()
        }
    }
}

fn framing_of(head: &AnswerHead) -> Framing {
    let kind = head.header("content-type").unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if kind.eq_ignore_ascii_case(b"text/event-stream") { Framing::EventStream } else { Framing::Json }
}

fn write_limit(head: &mut AnswerHead, prepared: &Prepared) {
    if let Some(limit) = prepared.output_limit {
        head.set_text(&names::X_TOLLGATE_OUTPUT_LIMIT, |out| {
            out.extend_from_slice(limit.to_string().as_bytes())
        });
    }
}

/// What a settled call has cost, and what is left after it.
fn write_money<C: Counters + 'static>(head: &mut AnswerHead, account: &Account<C>, asked: &Asked<C>) {
    let Some((cost, currency)) = account.call.as_ref().and_then(|call| call.cost()) else { return };
    head.set_text(&names::X_TOLLGATE_COST, |out| out.extend_from_slice(cost.to_text(currency).as_bytes()));
    head.set_text(&names::X_TOLLGATE_CURRENCY, |out| out.extend_from_slice(currency.to_string().as_bytes()));
    if let Some(left) = asked.budgets.left(account.gateway(), currency) {
        let text = left.to_text(currency);
        head.set_text(&names::X_TOLLGATE_BUDGET_REMAINING, |out| out.extend_from_slice(text.as_bytes()));
    }
}

/// What is left beside what a call holds that has only begun to answer.
fn write_left<C: Counters + 'static>(
    head: &mut AnswerHead,
    account: &Account<C>,
    asked: &Asked<C>,
    prepared: &Prepared,
) {
    let Some(price) = &prepared.terms.price else { return };
    if let Some(left) = asked.budgets.left(account.gateway(), price.currency) {
        let (text, currency) = (left.to_text(price.currency), price.currency.to_string());
        head.set_text(&names::X_TOLLGATE_BUDGET_REMAINING, |out| out.extend_from_slice(text.as_bytes()));
        head.set_text(&names::X_TOLLGATE_CURRENCY, |out| out.extend_from_slice(currency.as_bytes()));
    }
}

/// A path of Gemini's API with another model in it; `None` when the path names none, or this one.
pub(super) fn with_model(path: &str, api: Api, model: &str) -> Option<String> {
    if api != Api::GeminiGenerate {
        return None;
    }
    let (before, call) = path.rsplit_once('/')?;
    let (named, method) = call.rsplit_once(':')?;
    let model =
        utf8_percent_encode(model, NON_ALPHANUMERIC).to_string().replace("%2D", "-").replace("%2E", ".");
    (named != model).then(|| format!("{before}/{model}:{method}"))
}
