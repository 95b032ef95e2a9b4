//! Reads an answer out of bytes alone, with the decoders that read it from a socket: the entrance for tests
//! and fuzzing.

use bytes::BytesMut;

use super::body::Decoder;
use super::head::{Asked, HeadReader};

use crate::http::bounds::PoolBounds;

/// What the engine makes of what an upstream sent before it closed its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dissected {
    /// The final status; `None` without a whole head that could be accepted.
    pub status: Option<u16>,
    /// The fields that a client would get, names in lower case.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// The trailers that a client would get.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How it ended.
    pub ending: Ending,
}

/// How the reading of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The head is refused.
    Refused,
    /// The connection ended in the head.
    HeadCut,
    /// The framing of the body is broken, or the connection ended in it.
    BodyBroken,
    /// The answer is whole.
    Whole {
        /// How many bytes it took.
        len: usize,
        /// Whether the connection could have been used again, had nothing followed.
        keeps: bool,
    },
}

/// Reads one answer, which comes in `pieces`, to a request whose method was `HEAD` or was not.
pub fn dissect<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, is_head: bool) -> Dissected {
    let mut pieces = pieces.into_iter();
    let mut there = Dissected {
        status: None,
        fields: Vec::new(),
        body: Vec::new(),
        trailers: Vec::new(),
        ending: Ending::HeadCut,
    };
    let asked = Asked { head_only: is_head, upgrade: false };
    let mut reader = HeadReader::new(asked, PoolBounds::default().head_bytes_max);
    let (mut buffer, mut received) = (BytesMut::new(), 0);
    let mut receive = |buffer: &mut BytesMut, received: &mut usize| {
        let piece = pieces.next()?;
        *received += piece.len();
        buffer.extend_from_slice(piece);
        Some(())
    };
    let head = loop {
        match reader.advance(&mut buffer) {
            Ok(Some(head)) => break head,
            Ok(None) if receive(&mut buffer, &mut received).is_some() => {}
            Ok(None) => return there,
            Err(_) => return Dissected { ending: Ending::Refused, ..there },
        }
    };
    there.status = Some(head.status);
    there.fields = head.fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
    there.ending = Ending::BodyBroken;
    let mut decoder = Decoder::new(head.framing);
    while !decoder.is_done() {
        match decoder.piece(&mut buffer) {
            Ok(Some(piece)) => there.body.extend_from_slice(&piece),
            Ok(None) if decoder.is_done() => {}
            Ok(None) if receive(&mut buffer, &mut received).is_some() => {}
            Ok(None) if decoder.closed().is_ok() => {}
            Ok(None) | Err(_) => return there,
        }
    }
    if let Some(trailers) = decoder.take_trailers() {
        let owned = |(name, value): (&str, &[u8])| (name.as_bytes().to_vec(), value.to_vec());
        there.trailers = trailers.iter().map(owned).collect();
    }
    there.ending = Ending::Whole { len: received - buffer.len(), keeps: head.keeps };
    there
}
