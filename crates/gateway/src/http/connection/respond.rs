//! Turns an [`Answer`] into what either protocol writes: what goes out, how long it is, what then becomes
//! of the connection.

use std::rc::Rc;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Response, StatusCode};

use crate::http::answer::{Answer, AnswerBody, AnswerHead};
use crate::http::body::BodyFacts;

use super::out_body::{Cut, OutBody, Progress};
use super::state::InFlight;
use super::tunnel::TunnelJob;

const SWITCHING_PROTOCOLS: u16 = 101;

/// What the request says about how it may be answered.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pub(super) is_head: bool,
    /// The protocol the client asks to change to, while that is possible.
    pub(super) upgrade: Option<String>,
    /// Facts about the request's body; `None` when it had none.
    pub(super) request_body: Option<Rc<BodyFacts>>,
    /// Close the connection after this answer.
    pub(super) close: bool,
    /// Counts the stream as busy (HTTP/2).
    pub(super) flight: Option<InFlight>,
    /// Tells how the stream moves (HTTP/2).
    pub(super) progress: Option<Rc<Progress>>,
}

/// An answer that is ready to be written.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Status and fields; without framing.
    pub(super) head: AnswerHead,
    pub(super) body: OutBody,
    /// No body goes out, whatever the length says (RFC 9110 §6.4.1).
    pub(super) is_bodyless: bool,
    /// To `HEAD`, the length that the body would have had.
    pub(super) length_told: Option<u64>,
    /// HTTP/1 only: the connection ends with this answer.
    pub(super) close: bool,
    /// The connection changes to this protocol once the head is out.
    pub(super) switch: Option<(String, TunnelJob)>,
}

/// Prepares an answer. Runs the finish hook at once when no body goes out or all of it is here.
pub(super) fn prepare(answer: Answer, terms: Terms) -> Result<Prepared, Cut> {
    let Answer { mut head, body, finish } = answer;
    if let AnswerBody::Tunnel(tunnel) = body {
        return match terms.upgrade.clone() {
            Some(protocol) if head.status() == SWITCHING_PROTOCOLS => {
                let switch = Some((protocol, TunnelJob::new(tunnel, finish)));
                Ok(Prepared { switch, ..Prepared::bodyless(head, OutBody::done(terms)) })
            }
            _ => prepare(Answer { head: AnswerHead::new(500), body: AnswerBody::Empty, finish }, terms),
        };
    }
    let status = StatusCode::from_u16(head.status()).unwrap_or_default();
    if status.is_informational() {
        // An interim status cannot end an exchange.
        head.set_status(500);
    }
    let has_no_content = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    // The connection is closed rather than drained (HTTP/1).
    let is_unread = terms.request_body.as_ref().is_some_and(|facts| !facts.ended.get());
    let close = terms.close || is_unread;
    let is_bodyless = has_no_content || terms.is_head;
    let length_told = if terms.is_head && !has_no_content { length_told(&head, &body) } else { None };
    let body = if is_bodyless { AnswerBody::Empty } else { body };
    let body = OutBody::new(body, finish, terms)?;
    Ok(Prepared { head, body, is_bodyless, length_told, close, switch: None })
}

impl Prepared {
    fn bodyless(head: AnswerHead, body: OutBody) -> Self {
        Self { head, body, is_bodyless: true, length_told: None, close: false, switch: None }
    }

    /// As the HTTP/2 codec takes it.
    pub(super) fn into_response(self) -> Response<OutBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() = StatusCode::from_u16(self.head.status()).unwrap_or_default();
        *response.headers_mut() = self.head.into_map();
        if let Some(length) = self.length_told {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

/// To `HEAD`, the length that the body would have had (RFC 9110 §9.3.2).
fn length_told(head: &AnswerHead, body: &AnswerBody) -> Option<u64> {
    match body {
        AnswerBody::Bytes(bytes) => Some(bytes.len() as u64),
        AnswerBody::Source(made) => made.declared_len(),
        AnswerBody::Upstream(_) => head.length_of_head,
        AnswerBody::Empty | AnswerBody::Tunnel(_) => None,
    }
}
