//! Reading a body: streamed, decompressed as it comes, within the bound of its service (before and after
//! decompression) and the memory of the process.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use tollgate_core::code::Code;

use crate::{
    denial::Denial,
    http::{
        body::{BodyError, Frame},
        exchange::Exchange,
        head::RequestHead,
    },
    intake::{Room, Share},
    proxy::body_denial,
};

/// The largest window that a zstd frame may ask for, as a power of two: 8 MiB, what RFC 8878 §3.1.1.1.2
/// tells decoders to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Reads the whole body; what it takes of the process's memory is given back with the share.
pub(crate) async fn read(
    exchange: &mut Exchange,
    bytes_max: u64,
    room: &std::sync::Arc<Room>,
) -> Result<(Vec<u8>, Share), Denial> {
    let coding = Coding::of(&exchange.head)?;
    let share = room.share();
    let declared = exchange.body.declared_len().unwrap_or(0).min(bytes_max);
    let whole = usize::try_from(declared).unwrap_or(usize::MAX).min(FIRST_BYTES_MAX);
    let sink = Sink { bytes: Vec::with_capacity(whole), bytes_max, share, fault: None };
    exchange.body.hold();
    let mut reader = Reader::new(coding, sink).map_err(|_| broken(coding))?;
    while let Some(frame) = exchange.body.frame().await {
        let Frame::Data(data) = frame.map_err(body_denial)? else { continue };
        if let Err(_error) = reader.write(&data) {
            return Err(reader.sink().refusal().unwrap_or_else(|| broken(coding)));
        }
    }
    let ended = reader.end();
    if let Some(refusal) = reader.sink().refusal() {
        return Err(refusal);
    }
    let sink = ended.and_then(|()| reader.into_sink()).map_err(|_| broken(coding))?;
    Ok((sink.bytes, sink.share))
}

/// Room that is made at once for a body that says how long it is. What it says is nothing it has sent yet: more, and
/// the share of the process's memory, comes as it comes.
const FIRST_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    fn of(head: &RequestHead) -> Result<Self, Denial> {
        let mut values = head.values("content-encoding");
        let (value, more) = (values.next(), values.next());
        let coding = match value.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"" | b"identity") => Some(Self::Identity),
            Some(b"gzip" | b"x-gzip") => Some(Self::Gzip),
            Some(b"zstd") => Some(Self::Zstd),
            Some(_) => None,
        };
        coding.filter(|_| more.is_none()).ok_or_else(|| {
            Denial::new(
                Code::UnsupportedContent,
                "send the body as it is, or with Content-Encoding gzip or zstd",
            )
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

fn broken(coding: Coding) -> Denial {
    Denial::new(Code::MalformedRequest, format!("the body is not whole {}; compress it anew", coding.name()))
}

fn no_room() -> Denial {
    Denial::new(Code::Overloaded, "too many batches are on their way; send this one again")
}

/// Where what is read goes. Refuses what is too much before it is kept.
struct Sink {
    bytes: Vec<u8>,
    bytes_max: u64,
    share: Share,
    fault: Option<Fault>,
}

#[derive(Clone, Copy)]
enum Fault {
    TooLarge,
    NoRoom,
}

impl Sink {
    fn refusal(&self) -> Option<Denial> {
        self.fault.map(|fault| match fault {
            Fault::TooLarge => body_denial(BodyError::TooLarge { limit_bytes: self.bytes_max }),
            Fault::NoRoom => no_room(),
        })
    }
}

impl Write for Sink {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let after = self.bytes.len() as u64 + part.len() as u64;
        if after > self.bytes_max {
            self.fault = Some(Fault::TooLarge);
        } else if !self.share.grow_to(after) {
            self.fault = Some(Fault::NoRoom);
        }
        if self.fault.is_some() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Reader {
    Plain(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>, bool),
}

impl Reader {
    fn new(coding: Coding, sink: Sink) -> io::Result<Self> {
        Ok(match coding {
            Coding::Identity => Self::Plain(sink),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Coding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(sink)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Self::Zstd(Box::new(decoder), false)
            }
        })
    }

    fn write(&mut self, part: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(part),
            Self::Gzip(decoder) => decoder.write_all(part),
            Self::Zstd(decoder, begun) => {
                *begun |= !part.is_empty();
                decoder.write_all(part)
            }
        }
    }

    fn sink(&self) -> &Sink {
        match self {
            Self::Plain(sink) => sink,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder, _) => decoder.get_ref(),
        }
    }

    /// The end: what is missing of a compressed body is an error.
    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) | Self::Zstd(_, false) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zstd(decoder, true) => decoder.do_finish(),
        }
    }

    fn into_sink(self) -> io::Result<Sink> {
        match self {
            Self::Plain(sink) => Ok(sink),
            Self::Gzip(decoder) => decoder.finish(),
            Self::Zstd(decoder, _) => Ok(decoder.into_inner()),
        }
    }
}
