//! Writes the request for the HTTP/2 library: the client's fields without framing and connection fields, the
//! edits of the pipeline, and a body that is framed anew.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, TE};
use http::uri::{PathAndQuery, Scheme as UriScheme};
use http::{HeaderMap, Method, Request, Uri};
use hyper::body::{Frame as HyperFrame, SizeHint};

use crate::http::body::{BodyError, Frame, RequestBody};
use crate::http::head::RequestHead;

use crate::http::upstream::{Origin, Scheme, UpstreamRequest};

/// Builds the request, with `body` as its body.
pub(super) fn build(
    origin: &Origin,
    request: &UpstreamRequest<'_>,
    body: OutgoingBody,
) -> Request<OutgoingBody> {
    let head = request.head;
    let mut built = Request::new(body);
    *built.method_mut() = Method::from_bytes(head.method().as_bytes()).unwrap_or_default();
    *built.headers_mut() = fields(head);
    *built.version_mut() = http::Version::HTTP_2;
    *built.uri_mut() = absolute(origin, head, target(head));
    built
}

/// HTTP/2 has scheme and authority as pseudo fields, taken from an absolute URI.
fn absolute(origin: &Origin, head: &RequestHead, target: PathAndQuery) -> Uri {
    let wished = head.authority.as_ref().and_then(|value| value.as_bytes().try_into().ok());
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if origin.0.scheme == Scheme::Https { UriScheme::HTTPS } else { UriScheme::HTTP });
    parts.authority = Some(wished.unwrap_or_else(|| origin.0.authority.clone()));
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_default()
}

fn target(head: &RequestHead) -> PathAndQuery {
    let written = match head.forwarded_target() {
        (path, Some(query)) => format!("{path}?{query}"),
        (path, None) => path.to_owned(),
    };
    PathAndQuery::from_maybe_shared(Bytes::from(written)).unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

/// What the pipeline adds to a usual request.
const OWN_FIELDS_USUAL: usize = 12;

fn fields(head: &RequestHead) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(head.fields.len() + OWN_FIELDS_USUAL);
    head.for_each_forwarded(|name, value| {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            out.append(name, value);
        }
    });
    if accepts_trailers(head) {
        // gRPC servers ask for it (RFC 9110 §10.1.4).
        out.insert(TE, HeaderValue::from_static("trailers"));
    }
    out
}

fn accepts_trailers(head: &RequestHead) -> bool {
    head.fields.all("te").any(|te| te.eq_ignore_ascii_case(b"trailers"))
}

/// A request body on its way, and what is known about it from outside.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: RefCell<RequestBody>,
    ended: Cell<bool>,
    fault: Cell<Option<BodyError>>,
    /// Waiting for the client's next bytes.
    starved: Cell<bool>,
    /// Times the upstream's connection asked for more.
    asked: Cell<u64>,
}

impl Outgoing {
    fn new(body: RequestBody) -> Rc<Self> {
        Rc::new(Self {
            body: RefCell::new(body),
            ended: Cell::new(false),
            fault: Cell::new(None),
            starved: Cell::new(false),
            asked: Cell::new(0),
        })
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.get() || self.body.borrow().is_end()
    }

    pub(super) fn fault(&self) -> Option<BodyError> {
        self.fault.get()
    }

    /// How far it is: changes while the body moves, `None` while it waits for the client.
    pub(super) fn pace(&self) -> Option<u64> {
        (!self.starved.get()).then(|| self.asked.get())
    }

    /// Gives the body back, if nothing was read from it.
    pub(super) fn reclaim(&self) -> Option<RequestBody> {
        let mut body = self.body.borrow_mut();
        body.is_untouched().then(|| std::mem::replace(&mut *body, RequestBody::used_up()))
    }
}

/// What the codec reads a request body from.
#[derive(Debug)]
pub(in crate::http::upstream) struct OutgoingBody(Option<Rc<Outgoing>>);

impl OutgoingBody {
    /// Takes the body out of `request`, or copies it where that needs no reading. The second value is
    /// `None` when there is no body.
    pub(super) fn take(request: &mut UpstreamRequest<'_>) -> (Self, Option<Rc<Outgoing>>) {
        if request.body.is_end() {
            return (Self(None), None);
        }
        let body = match request.body.replica() {
            Some(copy) => copy,
            None => std::mem::replace(&mut request.body, RequestBody::used_up()),
        };
        let outgoing = Outgoing::new(body);
        (Self(Some(Rc::clone(&outgoing))), Some(outgoing))
    }
}

impl hyper::body::Body for OutgoingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HyperFrame<Bytes>, BodyError>>> {
        let Some(outgoing) = &self.0 else { return Poll::Ready(None) };
        outgoing.asked.set(outgoing.asked.get() + 1);
        let polled = outgoing.body.borrow_mut().poll_frame(cx);
        outgoing.starved.set(polled.is_pending());
        Poll::Ready(match ready!(polled) {
            Some(Ok(Frame::Data(data))) => {
                outgoing.ended.set(outgoing.body.borrow().is_end());
                Some(Ok(HyperFrame::data(data)))
            }
            Some(Ok(Frame::Trailers(trailers))) => {
                outgoing.ended.set(true);
                Some(Ok(HyperFrame::trailers(trailers.0)))
            }
            Some(Err(error)) => {
                outgoing.fault.set(Some(error));
                Some(Err(error))
            }
            None => {
                outgoing.ended.set(true);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|outgoing| outgoing.is_ended())
    }

    fn size_hint(&self) -> SizeHint {
        let len = match &self.0 {
            None => Some(0),
            Some(outgoing) => outgoing.body.borrow().declared_len(),
        };
        len.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
