//! The body of a call, read whole: it has to be known before anything is sent. Bounded one by one and all
//! together.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use tollgate_core::{code::Code, counters::Counters};

use crate::{
    denial::Denial,
    http::{
        body::{Frame, RequestBody},
        head::RequestHead,
    },
    lane::{Gateway, Shared},
    llm::request::BODY_BYTES_MAX,
    proxy::body_denial,
};

/// Bytes that the bodies of all calls may have together, on all lanes; more get `overloaded`.
const BODIES_BYTES_MAX: u64 = 1 << 30;

/// Room for the bytes of one body; given back when dropped.
pub(crate) struct Room<C> {
    shared: Arc<Shared<C>>,
    bytes: u64,
}

impl<C> Room<C> {
    fn grow(&mut self, bytes: u64) -> Result<(), Denial> {
        let held = &self.shared.bodies_held;
        if held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > BODIES_BYTES_MAX {
            held.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Denial::new(Code::Overloaded, ""));
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl<C> Drop for Room<C> {
    fn drop(&mut self) {
        self.shared.bodies_held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A whole body, with the room that it takes.
pub(crate) struct Whole<C> {
    pub(crate) bytes: Bytes,
    _room: Room<C>,
}

/// Reads a body whole, at most `bytes_max` bytes.
pub(crate) async fn read_whole<C: Counters + 'static>(
    gateway: &Gateway<C>,
    head: &RequestHead,
    body: &mut RequestBody,
    bytes_max: u64,
) -> Result<Whole<C>, Denial> {
    check_coding(head)?;
    read_held(gateway, body, bytes_max.min(BODY_BYTES_MAX as u64)).await
}

/// As [`read_whole`], whatever the body is.
pub(crate) async fn read_held<C: Counters + 'static>(
    gateway: &Gateway<C>,
    body: &mut RequestBody,
    bytes_max: u64,
) -> Result<Whole<C>, Denial> {
    body.limit(bytes_max).map_err(body_denial)?;
    body.hold();
    let mut room = Room { shared: Arc::clone(&gateway.shared), bytes: 0 };
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Frame::Data(data) = frame.map_err(body_denial)? else { continue };
        room.grow(data.len() as u64)?;
        if whole.is_empty() {
            // Usually it comes in one piece.
            if body.is_end() {
                return Ok(Whole { bytes: data, _room: room });
            }
            let declared = body.declared_len().and_then(|left| usize::try_from(left).ok());
            whole.reserve(data.len() + declared.unwrap_or_default().min(BODY_BYTES_MAX));
        }
        whole.extend_from_slice(&data);
    }
    Ok(Whole { bytes: whole.into(), _room: room })
}

/// What is compressed cannot be read here.
fn check_coding(head: &RequestHead) -> Result<(), Denial> {
    match head.header("content-encoding") {
        Some(coding) if !coding.eq_ignore_ascii_case(b"identity") => Err(Denial::new(
            Code::UnsupportedContent,
            "the body of a call to a model must be sent as it is, without `Content-Encoding`",
        )),
        _ => Ok(()),
    }
}
