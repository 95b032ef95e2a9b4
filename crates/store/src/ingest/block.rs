//! Blocks of records: how they are packed, and reading them again.
//!
//! A block is one byte that says how it is packed, then zstd of its segments one after another. A segment is
//! what one batch gave: a header (who, when, which batch), then its records. Numbers are LEB128, texts and data
//! their length and their bytes. Nothing of a record is rewritten: its data is byte for byte what came.

use tollgate_core::{
    event::{Batch, Content, Record, Sender},
    id::{BatchId, ConsumerId, KeyId, ProjectId, ServiceId, TenantId},
};

/// Records of one block at most.
pub(super) const RECORDS_MAX: u32 = 4096;
/// Bytes of a block, before it is packed, from which on it is finished.
pub(super) const RAW_BYTES_FULL: usize = 512 << 10;
/// Bytes that a block may unpack to: one that is almost full, and the largest record behind.
const RAW_BYTES_MAX: usize = 272 << 20;
/// How the segments are packed: zstd.
const PACKED_ZSTD: u8 = 1;
/// zstd's quickest: a gigabyte a second, and still a third of what JSON takes.
const LEVEL: i32 = -1;

/// What stands before each record of a segment, and at the segment's end.
const RECORD: u8 = 1;
const END: u8 = 0;

const HAS_ID: u8 = 1;
const HAS_KIND: u8 = 2;
const HAS_SOURCE: u8 = 4;
const HAS_VERSION: u8 = 8;
const HAS_TIME: u8 = 16;
const HAS_MEDIA_TYPE: u8 = 32;
const HAS_ATTRIBUTES: u8 = 64;

/// A record as it lies in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'b> {
    /// Its place in the order of commits.
    pub position: u64,
    /// The batch that it came in.
    pub batch: BatchId,
    /// Its index there.
    pub index: u64,
    /// Who sent it.
    pub sender: Sender,
    /// When it was received, wall microseconds.
    pub received_us: i64,
    /// What it calls itself.
    pub id: Option<&'b str>,
    /// Its type.
    pub kind: &'b str,
    /// Where it is from.
    pub source: &'b str,
    /// The version of its type.
    pub version: Option<&'b str>,
    /// When it happened, as it says, wall microseconds.
    pub time_us: Option<i64>,
    /// The media type of its data; JSON when `None`.
    pub media_type: Option<&'b str>,
    /// Its data.
    pub data: &'b [u8],
    /// Attributes that came with it.
    pub attributes: Vec<(&'b str, &'b str)>,
}

impl Event<'_> {
    /// What it is called where it goes: its batch and its index there. The same however often it is sent.
    #[must_use]
    pub fn event_id(&self) -> String {
        format!("{}-{}", self.batch, self.index)
    }

    /// When it happened, or was received where it does not say.
    #[must_use]
    pub fn at_us(&self) -> i64 {
        self.time_us.unwrap_or(self.received_us)
    }
}

/// A block that is finished.
pub(super) struct Packed {
    pub(super) starts: u64,
    pub(super) records: u32,
    pub(super) from_us: i64,
    pub(super) to_us: i64,
    pub(super) received_us: i64,
    pub(super) holds: i64,
    pub(super) packed: Vec<u8>,
}

/// Packs records into blocks.
pub(super) struct Builder {
    compressor: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    next: u64,
    starts: u64,
    records: u32,
    times: (i64, i64),
    received_us: i64,
    holds: u64,
    /// Whose marks were set last in `holds`.
    marked: Option<Sender>,
    /// Whether a segment is begun and not ended.
    is_open: bool,
    /// Whose it is.
    sender: Option<Sender>,
}

impl Builder {
    /// Begins at a position.
    pub(super) fn new(next: u64) -> std::io::Result<Self> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
            raw: Vec::new(),
            next,
            starts: next,
            records: 0,
            times: (i64::MAX, i64::MIN),
            received_us: 0,
            holds: 0,
            marked: None,
            is_open: false,
            sender: None,
        })
    }

    /// The position of the next record.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Adds those records of a batch whose index `takes` allows; gives blocks that are full on the way.
    pub(super) fn add(
        &mut self,
        (batch, id): (&Batch, BatchId),
        takes: impl Fn(usize) -> bool,
        full: &mut Vec<Packed>,
    ) -> std::io::Result<()> {
        let default_type = mark(b't', batch.default_type.as_bytes());
        for (index, (own, record)) in batch.records_of().enumerate().filter(|(index, _)| takes(*index)) {
            if self.records >= RECORDS_MAX || self.raw.len() >= RAW_BYTES_FULL {
                full.extend(self.finish()?);
            }
            if self.is_open && self.sender != Some(own) {
                self.close();
            }
            if !self.is_open {
                self.open(batch, id, own);
            }
            self.record(batch, index, record);
            self.holds |= record.kind.map_or(default_type, |kind| mark(b't', batch.bytes(kind)));
        }
        self.close();
        Ok(())
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.raw.push(END);
        }
    }

    fn open(&mut self, batch: &Batch, id: BatchId, sender: Sender) {
        let Sender { tenant, project, service, consumer, key } = sender;
        for number in [tenant.0, project.0, service.0, consumer.0, key.0, id.0] {
            self.raw.extend_from_slice(&number.to_le_bytes());
        }
        self.raw.extend_from_slice(&batch.received_us.to_le_bytes());
        push_bytes(&mut self.raw, batch.source.as_bytes());
        push_bytes(&mut self.raw, batch.default_type.as_bytes());
        self.received_us = self.received_us.max(batch.received_us);
        self.hold(sender);
        (self.is_open, self.sender) = (true, Some(sender));
    }

    /// Sets what a sender sets in `holds`. Many senders in a row have all but their key in common.
    fn hold(&mut self, sender: Sender) {
        let Sender { tenant, project, service, consumer, key } = sender;
        let of = |marked: Sender| (marked.tenant, marked.project, marked.service);
        let before = self.marked.replace(sender);
        if before.map(of) != Some(of(sender)) {
            self.holds |= mark(b'T', &tenant.0.to_le_bytes());
            self.holds |= mark(b'P', &project.0.to_le_bytes());
            self.holds |= mark(b'S', &service.0.to_le_bytes());
        }
        if before.map(|marked| marked.consumer) != Some(consumer) {
            self.holds |= mark(b'C', &consumer.0.to_le_bytes());
        }
        self.holds |= mark(b'K', &key.0.to_le_bytes());
    }

    fn record(&mut self, batch: &Batch, index: usize, record: &Record) {
        let media_type = match record.content {
            Content::Json => None,
            Content::Other(place) => Some(place),
        };
        let texts = [
            (HAS_ID, record.id),
            (HAS_KIND, record.kind),
            (HAS_SOURCE, record.source),
            (HAS_VERSION, record.version),
            (HAS_MEDIA_TYPE, media_type),
        ];
        let mut flags =
            texts.iter().filter(|(_, text)| text.is_some()).fold(0, |flags, (flag, _)| flags | flag);
        flags |= if record.time_us.is_some() { HAS_TIME } else { 0 };
        flags |= if record.attributes.1 > 0 { HAS_ATTRIBUTES } else { 0 };
        self.raw.push(RECORD);
        self.raw.push(flags);
        push_number(&mut self.raw, index as u64);
        for text in texts.iter().filter_map(|(_, text)| *text) {
            push_bytes(&mut self.raw, batch.bytes(text));
        }
        if let Some(time_us) = record.time_us {
            self.raw.extend_from_slice(&time_us.to_le_bytes());
        }
        if record.attributes.1 > 0 {
            push_number(&mut self.raw, u64::from(record.attributes.1));
            for (name, value) in batch.attributes_of(record) {
                push_bytes(&mut self.raw, name.as_bytes());
                push_bytes(&mut self.raw, value.as_bytes());
            }
        }
        push_bytes(&mut self.raw, batch.bytes(record.data));
        let at_us = record.time_us.unwrap_or(batch.received_us);
        self.times = (self.times.0.min(at_us), self.times.1.max(at_us));
        self.records += 1;
        self.next += 1;
    }

    /// The block that is begun, if anything is in it.
    pub(super) fn finish(&mut self) -> std::io::Result<Option<Packed>> {
        if self.records == 0 {
            return Ok(None);
        }
        // A batch that goes on in the next block gets a segment there too.
        self.close();
        let mut packed = vec![PACKED_ZSTD];
        packed.extend_from_slice(&self.compressor.compress(&self.raw)?);
        let block = Packed {
            starts: self.starts,
            records: self.records,
            from_us: self.times.0,
            to_us: self.times.1,
            received_us: self.received_us,
            holds: self.holds as i64,
            packed,
        };
        self.raw.clear();
        (self.starts, self.records, self.holds, self.marked) = (self.next, 0, 0, None);
        (self.times, self.received_us) = ((i64::MAX, i64::MIN), 0);
        Ok(Some(block))
    }
}

/// The bit of a value in `holds` (FNV-1a, so that it is the same in every version).
pub(super) fn mark(what: u8, value: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = value.iter().fold(step(0xcbf2_9ce4_8422_2325, &what), step);
    1 << ((hash ^ (hash >> 32)) % 63)
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7F) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Unpacks a block; `None` when it is damaged or a later version packed it.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (how, rest) = packed.split_first()?;
    if *how != PACKED_ZSTD {
        return None;
    }
    let bytes = zstd::zstd_safe::get_frame_content_size(rest).ok().flatten()?;
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= RAW_BYTES_MAX)?;
    zstd::bulk::decompress(rest, bytes).ok()
}

/// Goes through the records of an unpacked block, the first of which is at `starts`; `None` when it is
/// damaged.
pub(crate) fn each<'b>(raw: &'b [u8], starts: u64, mut with: impl FnMut(Event<'b>)) -> Option<()> {
    let mut rest = Rest(raw);
    let mut position = starts;
    while !rest.0.is_empty() {
        let header = Header::read(&mut rest)?;
        loop {
            match rest.byte()? {
                END => break,
                RECORD => with(header.record(&mut rest, position)?),
                _ => return None,
            }
            position += 1;
        }
    }
    Some(())
}

struct Header<'b> {
    sender: Sender,
    batch: BatchId,
    received_us: i64,
    source: &'b str,
    default_type: &'b str,
}

impl<'b> Header<'b> {
    fn read(rest: &mut Rest<'b>) -> Option<Self> {
        let sender = Sender {
            tenant: TenantId(rest.fixed()?),
            project: ProjectId(rest.fixed()?),
            service: ServiceId(rest.fixed()?),
            consumer: ConsumerId(rest.fixed()?),
            key: KeyId(rest.fixed()?),
        };
        let batch = BatchId(rest.fixed()?);
        let received_us = rest.fixed()? as i64;
        Some(Self { sender, batch, received_us, source: rest.text()?, default_type: rest.text()? })
    }

    fn record(&self, rest: &mut Rest<'b>, position: u64) -> Option<Event<'b>> {
        let flags = rest.byte()?;
        let index = rest.number()?;
        let mut text = |flag: u8| if flags & flag == 0 { Some(None) } else { rest.text().map(Some) };
        let (id, kind, source) = (text(HAS_ID)?, text(HAS_KIND)?, text(HAS_SOURCE)?);
        let (version, media_type) = (text(HAS_VERSION)?, text(HAS_MEDIA_TYPE)?);
        let time_us = if flags & HAS_TIME == 0 { None } else { Some(rest.fixed()? as i64) };
        let count = if flags & HAS_ATTRIBUTES == 0 { 0 } else { rest.number()? };
        let attributes =
            (0..count).map(|_| Some((rest.text()?, rest.text()?))).collect::<Option<Vec<_>>>()?;
        Some(Event {
            position,
            batch: self.batch,
            index,
            sender: self.sender,
            received_us: self.received_us,
            id,
            kind: kind.unwrap_or(self.default_type),
            source: source.unwrap_or(self.source),
            version,
            time_us,
            media_type,
            data: rest.bytes()?,
            attributes,
        })
    }
}

struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn fixed(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
