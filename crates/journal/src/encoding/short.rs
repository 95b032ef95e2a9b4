//! Version 4: what most records are, in two thirds of the room. Less of it is written, checked, flushed and
//! read again.
//!
//! Twelve little-endian words, then the charges, the bytes of the detail (two, if there is one), the texts.
//!
//! | word | holds, from the lowest bit on |
//! | --- | --- |
//! | 0 | version 8, [shape](Shape) 8, bytes of the path 10, bytes of the User-Agent 8, code 8, method 4, marks 8, units 10 |
//! | 1 | when |
//! | 2–7 | key, consumer, project, tenant, service, policy |
//! | 8 | latency 32, upstream 32 |
//! | 9 | bytes in 32, bytes out 32 |
//! | 10 | IPv4 address 32, decision minus position 32, signed |
//! | 11 | status 10, generation 6, checks passed 24, checks configured 24 |
//!
//! Charges that all take the units of the record of the same key, consumer or project in whole seconds are
//! 16 bytes each: the rule, start and end of the period in seconds. Others lie as in version 1.
//!
//! A record with a larger number, another address or a part of a model call is of another version.

use super::{Tail, are_texts};
use crate::{
    charge::{CHARGE_BYTES, Charge, SHORT_CHARGE_BYTES},
    money::Tokens,
    record::{
        CHARGES_MAX, DETAIL_BYTES_MAX, Entry, Flags, LentCharges, LentDraws, LentRecord, PATH_BYTES_MAX,
        Record, USER_AGENT_BYTES_MAX,
    },
};

/// First byte of the record.
pub(super) const VERSION: u8 = 4;

const WORDS: usize = 12;
const FIXED_BYTES: usize = WORDS * 8;
/// What an IPv4 address begins with when it is mapped into IPv6 (RFC 4291 §2.5.5.2).
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];

/// Whose quotas the charges are of, where they are written short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Not of one of these, or not in units and whole seconds: the charges are written long.
    Any = 0,
    Key = 1,
    Consumer = 2,
    Project = 3,
}

/// Byte 1: the number of charges (5 bits), whose they are (2 bits), whether there is a detail (1 bit).
#[derive(Clone, Copy)]
struct Shape {
    charges: usize,
    whose: Whose,
    has_detail: bool,
}

/// That a record is written like this, and how its charges are.
#[derive(Clone, Copy)]
pub(super) struct Short {
    whose: Whose,
    /// The decision minus the position.
    ahead: i32,
}

impl Short {
    /// `None` when the record has something that has no place here.
    #[inline]
    pub(super) fn of(position: u64, decision: u64, record: &Record<'_>) -> Option<Self> {
        let entry = &record.entry;
        let ahead = decision.wrapping_sub(position).cast_signed();
        let narrow = ahead as i32;
        let too_wide = (entry.bytes_in | entry.bytes_out) >> 32
            | u64::from((entry.checks_passed | entry.checks_configured) >> 24)
            | u64::from(entry.units >> 10)
            | u64::from(entry.status >> 10)
            | u64::from(entry.generation >> 6)
            | u64::from(entry.flags.0 >> 8)
            | u64::from(entry.method >> 4);
        let fits = too_wide == 0
            && i64::from(narrow) == ahead
            && entry.address.first_chunk() == Some(&MAPPED)
            && !record.has_call();
        fits.then(|| Self { whose: Whose::of(entry, record.charges.as_slice()), ahead: narrow })
    }

    /// How many bytes it takes, without padding.
    #[inline]
    pub(super) fn bytes(self, record: &Record<'_>, tail: &Tail<'_>) -> usize {
        let charges = record.charges.as_slice().len() * self.whose.charge_bytes();
        let detail = if tail.detail.is_empty() { 0 } else { 2 + tail.detail.len() };
        FIXED_BYTES + charges + detail + tail.path.len() + tail.user_agent.len()
    }

    /// Writes all but the texts, and returns what is behind.
    #[inline]
    pub(super) fn write<'t>(
        self,
        record: &Record<'_>,
        tail: &Tail<'_>,
        target: &'t mut [u8],
    ) -> Option<&'t mut [u8]> {
        let charges = record.charges.as_slice();
        let has_detail = !tail.detail.is_empty();
        let (fixed, mut rest) = target.split_first_chunk_mut::<FIXED_BYTES>()?;
        let shape = Shape { charges: charges.len(), whose: self.whose, has_detail };
        let words = self.words(record, tail, shape);
        for (place, word) in fixed.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        for charge in charges {
            if self.whose == Whose::Any {
                let (chunk, after) = rest.split_first_chunk_mut::<CHARGE_BYTES>()?;
                *chunk = charge.to_bytes();
                rest = after;
            } else {
                let (chunk, after) = rest.split_first_chunk_mut::<SHORT_CHARGE_BYTES>()?;
                *chunk = charge.to_short_bytes();
                rest = after;
            }
        }
        if has_detail {
            let (chunk, after) = rest.split_first_chunk_mut::<2>()?;
            *chunk = (tail.detail.len() as u16).to_le_bytes();
            rest = after;
        }
        Some(rest)
    }

    #[inline(always)]
    fn words(self, record: &Record<'_>, tail: &Tail<'_>, shape: Shape) -> [u64; WORDS] {
        let entry = &record.entry;
        let [.., a, b, c, d] = entry.address;
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [
            u64::from(VERSION)
                | u64::from(shape.to_byte()) << 8
                | (tail.path.len() as u64) << 16
                | (tail.user_agent.len() as u64) << 26
                | u64::from(entry.code) << 34
                | u64::from(entry.method) << 42
                | u64::from(entry.flags.0) << 46
                | u64::from(entry.units) << 54,
            entry.at_us.cast_unsigned(),
            entry.key,
            entry.consumer,
            entry.project,
            entry.tenant,
            entry.service,
            entry.policy,
            pair(entry.latency_us, entry.upstream_us),
            // Both are below 2^32.
            entry.bytes_in | entry.bytes_out << 32,
            pair(u32::from_le_bytes([a, b, c, d]), self.ahead.cast_unsigned()),
            u64::from(entry.status)
                | u64::from(entry.generation) << 10
                | u64::from(entry.checks_passed) << 16
                | u64::from(entry.checks_configured) << 40,
        ]
    }
}

impl Whose {
    #[inline]
    fn of(entry: &Entry, charges: &[Charge]) -> Self {
        let Some(first) = charges.first() else { return Self::Any };
        let whose = match first.subject {
            subject if subject == entry.key => Self::Key,
            subject if subject == entry.consumer => Self::Consumer,
            subject if subject == entry.project => Self::Project,
            _ => return Self::Any,
        };
        let is_short = |charge: &Charge| {
            charge.subject == first.subject
                && charge.amount == u64::from(entry.units)
                && charge.is_in_seconds()
        };
        if charges.iter().all(is_short) { whose } else { Self::Any }
    }

    #[inline]
    fn charge_bytes(self) -> usize {
        if self == Self::Any { CHARGE_BYTES } else { SHORT_CHARGE_BYTES }
    }
}

impl Shape {
    #[inline]
    fn to_byte(self) -> u8 {
        self.charges as u8 | (self.whose as u8) << 5 | u8::from(self.has_detail) << 7
    }

    #[inline]
    fn of_byte(byte: u8) -> Self {
        let whose = match byte >> 5 & 3 {
            0 => Whose::Any,
            1 => Whose::Key,
            2 => Whose::Consumer,
            _ => Whose::Project,
        };
        Self { charges: usize::from(byte & 31), whose, has_detail: byte >> 7 != 0 }
    }
}

/// Reads a record of this version.
#[inline]
pub(super) fn read(position: u64, bytes: &[u8]) -> Option<LentRecord<'_>> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
    let mut words = [0; WORDS];
    for (word, place) in words.iter_mut().zip(fixed.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*place);
    }
    let [head, ..] = words;
    let shape = Shape::of_byte((head >> 8) as u8);
    let (path, user_agent) = ((head >> 16 & 0x3FF) as usize, (head >> 26 & 0xFF) as usize);
    if shape.charges > CHARGES_MAX || path > PATH_BYTES_MAX || user_agent > USER_AGENT_BYTES_MAX {
        return None;
    }
    let (charges, rest) = rest.split_at_checked(shape.charges * shape.whose.charge_bytes())?;
    let (detail, rest) = if shape.has_detail {
        let (length, rest) = rest.split_first_chunk()?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        (0, rest)
    };
    if detail > DETAIL_BYTES_MAX {
        return None;
    }
    // Texts are mostly plain, and then so is what pads them.
    let is_plain = rest.is_ascii();
    let (path, rest) = rest.split_at_checked(path)?;
    let (detail, rest) = rest.split_at_checked(detail)?;
    let (user_agent, padding) = rest.split_at_checked(user_agent)?;
    if padding.len() >= 8 || !(is_plain || are_texts([path, detail, user_agent])) {
        return None;
    }
    let (entry, ahead) = entry(&words);
    let charges = match shape.whose {
        Whose::Any => LentCharges::Encoded(charges.as_chunks().0),
        Whose::Key => short_charges(charges, &entry, entry.key),
        Whose::Consumer => short_charges(charges, &entry, entry.consumer),
        Whose::Project => short_charges(charges, &entry, entry.project),
    };
    Some(LentRecord {
        position,
        decision: position.wrapping_add_signed(i64::from(ahead)),
        entry,
        charges,
        path,
        detail,
        user_agent,
        model: &[],
        tokens: Tokens::default(),
        cost: 0,
        currency: [0; 8],
        draws: LentDraws::Plain(&[]),
        held_for: None,
    })
}

fn short_charges<'a>(charges: &'a [u8], entry: &Entry, subject: u64) -> LentCharges<'a> {
    LentCharges::Short { charges: charges.as_chunks().0, subject, amount: u64::from(entry.units) }
}

/// The entry, and how far the decision is ahead of the position.
#[inline(always)]
fn entry(words: &[u64; WORDS]) -> (Entry, i32) {
    let [head, at_us, key, consumer, project, tenant, service, policy, times, sizes, place, checks] = *words;
    let [a, b, c, d] = (place as u32).to_le_bytes();
    let [.., e, f] = MAPPED;
    let entry = Entry {
        at_us: at_us.cast_signed(),
        key,
        consumer,
        project,
        tenant,
        service,
        policy,
        code: (head >> 34) as u8,
        method: (head >> 42 & 0xF) as u8,
        flags: Flags((head >> 46 & 0xFF) as u16),
        units: (head >> 54) as u32,
        latency_us: times as u32,
        upstream_us: (times >> 32) as u32,
        bytes_in: sizes & u64::from(u32::MAX),
        bytes_out: sizes >> 32,
        address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, e, f, a, b, c, d],
        status: (checks & 0x3FF) as u16,
        generation: (checks >> 10 & 0x3F) as u16,
        checks_passed: (checks >> 16 & 0xFF_FFFF) as u32,
        checks_configured: (checks >> 40) as u32,
    };
    (entry, (place >> 32) as i32)
}
