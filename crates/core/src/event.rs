//! Batches of records on their way in: as the gateway takes them apart and the store keeps them.
//!
//! A record is a handful of places in one buffer, never a tree: the JSON of a record travels as it came.
//! What is neither here nor in the store is how a body is read (the gateway's) and how records are packed
//! (the store's).

use sha2::{Digest as _, Sha256};

use crate::{
    id::{BatchId, ConsumerId, KeyId, ProjectId, ServiceId, TenantId},
    key::Digest,
};

/// The longest id of a record, in bytes.
pub const ID_LEN_MAX: usize = 256;
/// The longest type of a record, in bytes.
pub const TYPE_LEN_MAX: usize = 256;
/// The longest source of a record, in bytes.
pub const SOURCE_LEN_MAX: usize = 512;
/// The longest version of a record, in bytes.
pub const VERSION_LEN_MAX: usize = 64;
/// Attributes of a CloudEvent beside those that every record has.
pub const ATTRIBUTES_MAX: usize = 32;
/// The longest value of such an attribute, in bytes.
pub const ATTRIBUTE_LEN_MAX: usize = 4096;

/// Who sent a batch, and through which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// The tenant of the key; also the key of the messages that records become.
    pub tenant: TenantId,
    /// Its project.
    pub project: ProjectId,
    /// The service that took the batch.
    pub service: ServiceId,
    /// Who holds the key.
    pub consumer: ConsumerId,
    /// The key.
    pub key: KeyId,
}

/// A place in the buffer of a batch: first byte and the one after the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Slice {
    /// How many bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// What the data of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// JSON as it came.
    Json,
    /// Bytes of this media type.
    Other(Slice),
}

/// One record. Every place is in the buffer of its batch and holds UTF-8, except perhaps `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it calls itself; told apart by it where it is there.
    pub id: Option<Slice>,
    /// Its type; the batch's [`Batch::default_type`] when not said.
    pub kind: Option<Slice>,
    /// Where it is from; the batch's [`Batch::source`] when not said.
    pub source: Option<Slice>,
    /// The version of its type.
    pub version: Option<Slice>,
    /// When it happened, wall microseconds; when it was received where it does not say.
    pub time_us: Option<i64>,
    /// The data.
    pub data: Slice,
    /// What the data is.
    pub content: Content,
    /// Where its attributes begin in [`Batch::attributes`], and how many they are.
    pub attributes: (u32, u16),
}

/// The name that a sender gave its request (`Idempotency-Key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchName {
    /// The digest of service, consumer and name.
    pub name: Digest,
    /// The digest of what the request asks for.
    pub request: Digest,
}

/// Records that stand or fall together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Who sent it.
    pub sender: Sender,
    /// Whose its records are where they are of others: from which record on, rising, and whose from there on. What
    /// stands before the first is the batch's own sender's. All are of the tenant of [`Batch::sender`]. What a key
    /// sends has none; it is for what is told of many keys at once (predictions, reports of usage).
    pub senders: Vec<(u32, Sender)>,
    /// When it was received, wall microseconds.
    pub received_us: i64,
    /// What its sender calls the request.
    pub name: Option<BatchName>,
    /// Where records are from that do not say it.
    pub source: Box<str>,
    /// The type of records that say none.
    pub default_type: Box<str>,
    /// What places are of.
    pub buffer: Vec<u8>,
    /// The records, in the order of the request.
    pub records: Vec<Record>,
    /// Names and values of attributes of all records.
    pub attributes: Vec<(Slice, Slice)>,
}

impl Batch {
    /// The bytes at a place; none outside the buffer.
    #[must_use]
    pub fn bytes(&self, place: Slice) -> &[u8] {
        self.buffer.get(place.start as usize..place.end as usize).unwrap_or_default()
    }

    /// The text at a place; empty when it is none.
    #[must_use]
    pub fn text(&self, place: Slice) -> &str {
        std::str::from_utf8(self.bytes(place)).unwrap_or_default()
    }

    /// The type of one of its records.
    #[must_use]
    pub fn kind(&self, record: &Record) -> &str {
        record.kind.map_or(&*self.default_type, |kind| self.text(kind))
    }

    /// Where one of its records is from.
    #[must_use]
    pub fn source_of(&self, record: &Record) -> &str {
        record.source.map_or(&*self.source, |source| self.text(source))
    }

    /// The attributes of one of its records.
    pub fn attributes_of(&self, record: &Record) -> impl Iterator<Item = (&str, &str)> {
        let (start, count) = (record.attributes.0 as usize, usize::from(record.attributes.1));
        let all = self.attributes.get(start..start + count).unwrap_or_default();
        all.iter().map(|(name, value)| (self.text(*name), self.text(*value)))
    }

    /// Its records with whose they are, in their order.
    pub fn records_of(&self) -> impl Iterator<Item = (Sender, &Record)> {
        let (mut own, mut runs) = (self.sender, self.senders.iter().peekable());
        self.records.iter().enumerate().map(move |(index, record)| {
            while let Some((_, sender)) = runs.next_if(|(from, _)| *from as usize <= index) {
                own = *sender;
            }
            (own, record)
        })
    }

    /// What one of its records is told apart by; `None` when it has no id and is always new.
    #[must_use]
    pub fn identity(&self, record: &Record) -> Option<u128> {
        record.id.map(|id| identity(self.sender.tenant, self.source_of(record), self.bytes(id)))
    }
}

/// The identity of a record: the first 16 bytes of a SHA-256 over tenant, source and id, so that two are
/// taken for one with a chance of 2⁻¹²⁸ and nobody can make it happen.
#[must_use]
pub fn identity(tenant: TenantId, source: &str, id: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    hash.update(tenant.0.to_le_bytes());
    hash.update((source.len() as u64).to_le_bytes());
    hash.update(source.as_bytes());
    hash.update(id);
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |first| u128::from_be_bytes(*first))
}

/// Whether a text can be the type of a record.
#[must_use]
pub fn is_type(kind: &str) -> bool {
    (1..=TYPE_LEN_MAX).contains(&kind.len())
        && !kind.chars().any(|sign| sign.is_control() || sign.is_whitespace())
}

/// A time of RFC 3339 in wall microseconds; `None` for anything else.
#[must_use]
pub fn moment_us(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// What became of a batch that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub batch: BatchId,
    /// Records that were new.
    pub accepted: u64,
    /// Records that were there already.
    pub duplicates: u64,
    /// Whether it was taken before, under the same name.
    pub replayed: bool,
}

/// Why a batch was not taken. Nothing of it was kept, but in the last case that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Too much waits already, or the disk is low; worth trying again after so many seconds.
    Overloaded {
        /// What there is too much or too little of, in words for the sender.
        why: &'static str,
        /// After how many seconds.
        retry_after_s: u64,
    },
    /// Another request came under the same name before.
    NameConflict,
    /// The same request is being taken just now.
    UnderWay,
    /// The database does not answer, or failed in the middle: whether the batch was kept is not known.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart_by_tenant_source_and_id_and_by_nothing_that_runs_them_together() {
        let (one, other) = (TenantId(1), TenantId(2));
        assert_eq!(identity(one, "a", b"1"), identity(one, "a", b"1"));
        let different = [
            identity(one, "a", b"1"),
            identity(other, "a", b"1"),
            identity(one, "b", b"1"),
            identity(one, "a", b"2"),
            identity(one, "", b"a1"),
            identity(one, "a1", b""),
        ];
        for (index, first) in different.iter().enumerate() {
            assert!(different.iter().skip(index + 1).all(|second| first != second));
        }
    }

    #[test]
    fn a_record_is_of_the_last_sender_that_stands_before_it() {
        let sender = |key| Sender {
            tenant: TenantId(1),
            project: ProjectId(2),
            service: ServiceId(3),
            consumer: ConsumerId(4),
            key: KeyId(key),
        };
        let record = Record {
            id: None,
            kind: None,
            source: None,
            version: None,
            time_us: None,
            data: Slice::default(),
            content: Content::Json,
            attributes: (0, 0),
        };
        let batch = |senders: &[(u32, u64)]| Batch {
            sender: sender(0),
            senders: senders.iter().map(|(from, key)| (*from, sender(*key))).collect(),
            received_us: 0,
            name: None,
            source: "".into(),
            default_type: "t".into(),
            buffer: Vec::new(),
            records: vec![record; 5],
            attributes: Vec::new(),
        };
        for (senders, keys) in [
            (&[][..], [0, 0, 0, 0, 0]),
            (&[(0, 7)], [7, 7, 7, 7, 7]),
            (&[(2, 7), (3, 8)], [0, 0, 7, 8, 8]),
            (&[(1, 7), (1, 8), (4, 9), (9, 1)], [0, 8, 8, 8, 9]),
        ] {
            let of: Vec<u64> = batch(senders).records_of().map(|(sender, _)| sender.key.0).collect();
            assert_eq!(of, keys, "{senders:?}");
        }
    }
}
