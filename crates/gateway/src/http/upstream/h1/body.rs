//! The body of an answer as bytes: cuts pieces out of what was received, and never past the body's end.
//!
//! Invariant: pieces, end and failure are the same however the bytes are cut into reads.

use bytes::{Bytes, BytesMut};

use crate::http::body::SourceFailed;
use crate::http::field::Fields;

use super::chunks::Chunks;
use super::framing::Framing;

/// The decoder of one body.
#[derive(Debug)]
pub(super) struct Decoder {
    rest: Rest,
    trailers: Option<Fields>,
}

#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(Chunks),
    UntilClose,
    Done,
    Broken,
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        let rest = match framing {
            Framing::None | Framing::Length(0) => Rest::Done,
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked(Chunks::new()),
            Framing::UntilClose => Rest::UntilClose,
        };
        Self { rest, trailers: None }
    }

    /// The next piece, never empty, out of `buffer`. `None`: the body is done, or more bytes are needed.
    ///
    /// # Errors
    /// [`SourceFailed::Broken`] where the framing is broken; all that came before was given.
    pub(super) fn piece(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, SourceFailed> {
        let piece = match &mut self.rest {
            Rest::Length(left) => {
                let piece = take(buffer, *left);
                *left -= piece.len() as u64;
                if *left == 0 {
                    self.rest = Rest::Done;
                }
                piece
            }
            Rest::Chunked(chunks) => {
                if chunks.skip_framing(buffer).is_err() {
                    self.rest = Rest::Broken;
                    return Err(SourceFailed::Broken);
                }
                let piece = take(buffer, chunks.data_left());
                chunks.data_taken(piece.len() as u64);
                // Whoever gets the last piece is to know that it is the last.
                self.look_ahead(buffer);
                if piece.is_empty() && matches!(self.rest, Rest::Broken) {
                    return Err(SourceFailed::Broken);
                }
                piece
            }
            Rest::UntilClose => buffer.split().freeze(),
            Rest::Done => return Ok(None),
            Rest::Broken => return Err(SourceFailed::Broken),
        };
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    fn look_ahead(&mut self, buffer: &mut BytesMut) {
        let Rest::Chunked(chunks) = &mut self.rest else { return };
        let skipped = chunks.skip_framing(buffer);
        if skipped.is_ok() && !chunks.is_done() {
            return;
        }
        self.rest = match skipped.and_then(|()| chunks.trailers()) {
            Ok(trailers) => {
                self.trailers = trailers;
                Rest::Done
            }
            Err(_) => Rest::Broken,
        };
    }

    /// All of the body was given; trailers may be left.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.rest, Rest::Done)
    }

    /// The trailers of a body that is done, once.
    pub(super) fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }

    pub(super) fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// The exact number of bytes to come, when known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.rest {
            Rest::Length(left) => Some(*left),
            Rest::Done => Some(0),
            Rest::Chunked(_) | Rest::UntilClose | Rest::Broken => None,
        }
    }

    /// The upstream closed its side.
    ///
    /// # Errors
    /// [`SourceFailed::Broken`] unless that is how this body ends.
    pub(super) fn closed(&mut self) -> Result<(), SourceFailed> {
        match self.rest {
            Rest::UntilClose | Rest::Done => {
                self.rest = Rest::Done;
                Ok(())
            }
            Rest::Length(_) | Rest::Chunked(_) | Rest::Broken => {
                self.rest = Rest::Broken;
                Err(SourceFailed::Broken)
            }
        }
    }
}

fn take(buffer: &mut BytesMut, most: u64) -> Bytes {
    let len = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    match len {
        0 => Bytes::new(),
        // A buffer without room for more is given away: splitting it would count who shares it.
        _ if len == buffer.capacity() => std::mem::take(buffer).freeze(),
        _ => buffer.split_to(len).freeze(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked(text: &str) -> Result<(String, usize, usize), SourceFailed> {
        let mut buffer = BytesMut::from(text.replace('$', "\r\n").as_bytes());
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut body = String::new();
        while let Some(piece) = decoder.piece(&mut buffer)? {
            body.push_str(std::str::from_utf8(&piece).unwrap());
        }
        assert!(decoder.is_done(), "{text}");
        Ok((body, decoder.take_trailers().map_or(0, |fields| fields.len()), buffer.len()))
    }

    #[test]
    fn chunks_are_joined_and_what_follows_stays() {
        let table = [
            ("0$$", "", 0, 0),
            ("3$abc$0$$", "abc", 0, 0),
            ("3$abc$02$de$0$$next", "abcde", 0, 4),
            ("A;name=\"v;w\"$0123456789$0;last$$", "0123456789", 0, 0),
            ("3 $abc$0\t$$", "abc", 0, 0),
            ("1$a$0$X-Sum: 1$x-more: 2$$", "a", 2, 0),
            ("1$a$0$Set-Cookie: a=b$Content-Length: 9$X: 1$$", "a", 1, 0),
        ];
        for (text, body, trailers, left) in table {
            assert_eq!(chunked(text), Ok((body.to_owned(), trailers, left)), "{text}");
        }
    }

    #[test]
    fn broken_chunks_are_noticed() {
        for text in [
            "$abc$0$$",
            "x$abc$0$$",
            " 3$abc$0$$",
            "0x3$abc$0$$",
            "-3$abc$0$$",
            "3\nabc$0$$",
            "3;a\nb$abc$0$$",
            "2$abc$0$$",
            "3$abc\n0$$",
            "1000000000000000$a",
            "1$a$0$bad trailer$$",
            "1$a$0$X : 1$$",
            "1$a$0$X: 1\n$$",
            "1$a$0$ folded$$",
        ] {
            assert_eq!(chunked(text), Err(SourceFailed::Broken), "{text}");
        }
        let long = |len: usize| format!("1;{}$a$0$X: {}$$", "e".repeat(len), "t".repeat(len));
        assert!(chunked(&long(10_000)).is_ok());
        assert_eq!(chunked(&long(20_000)), Err(SourceFailed::Broken));
    }

    #[test]
    fn the_last_piece_is_known_to_be_the_last() {
        let mut buffer = BytesMut::from("3\r\nabc\r\n0\r\n\r\n");
        let mut decoder = Decoder::new(Framing::Chunked);
        assert_eq!(decoder.piece(&mut buffer), Ok(Some(Bytes::from("abc"))));
        assert!(decoder.is_done());
        let mut buffer = BytesMut::from("abcde");
        let mut decoder = Decoder::new(Framing::Length(3));
        assert_eq!(decoder.piece(&mut buffer), Ok(Some(Bytes::from("abc"))));
        assert!(decoder.is_done() && buffer == "de");
    }

    #[test]
    fn only_a_body_without_a_length_ends_with_the_connection() {
        assert!(Decoder::new(Framing::UntilClose).closed().is_ok());
        assert!(Decoder::new(Framing::None).closed().is_ok());
        assert!(Decoder::new(Framing::Length(1)).closed().is_err());
        assert!(Decoder::new(Framing::Chunked).closed().is_err());
    }
}
