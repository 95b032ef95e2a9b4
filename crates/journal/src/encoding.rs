//! How a record lies in a frame: little-endian fields in a fixed order, then the texts.
//!
//! Explicit, not a cast of memory: the layout is the same on every machine and compiler, and old
//! segments stay readable. What a frame is and how it is checked is the business of `frame`.
//!
//! | version | what it is |
//! | --- | --- |
//! | 1 | fixed part, charges, path, detail, user agent |
//! | 2 | the same with draws, usage (tokens, cost, currency) behind the charges, and the model last |
//! | 3 | the same with the number of the call that the charges are held for, behind the usage |
//! | 4 | what most records are, in two thirds of the room (`short`) |
//!
//! A record that fits version 4 is written as it. Of the others one without any part of a model call is
//! written as version 1, so that it pays nothing for them; version 3 is only for records that hold quotas.
//! A change of the layout takes a new version.

mod short;

use crate::{
    charge::CHARGE_BYTES,
    money::{DRAW_BYTES, DRAWS_MAX, USED_BYTES, Used},
    record::{
        CHARGES_MAX, DETAIL_BYTES_MAX, Entry, Flags, LentCharges, LentDraws, LentRecord, MODEL_BYTES_MAX,
        PATH_BYTES_MAX, Record, USER_AGENT_BYTES_MAX,
    },
};
use short::Short;

/// The version, first byte of every record, of one without a model call.
const PLAIN: u8 = 1;
/// The version of one with the parts of a model call.
const CALL: u8 = 2;
/// The version of one that holds quotas for a call.
const HOLD: u8 = 3;
/// Bytes of the number of the call that quotas are held for.
const HELD_FOR_BYTES: usize = 8;
/// Version, counts of the tail, decision, entry and two more counts, rounded up to 8.
const FIXED_BYTES: usize = 136;
/// Where the counts of draws and of the model's bytes lie in the fixed part; zeros in version 1.
const CALL_COUNTS_AT: usize = FIXED_BYTES - 4;
/// The largest record.
pub(crate) const RECORD_BYTES_MAX: usize = FIXED_BYTES
    + CHARGES_MAX * CHARGE_BYTES
    + DRAWS_MAX * DRAW_BYTES
    + USED_BYTES
    + HELD_FOR_BYTES
    + PATH_BYTES_MAX
    + DETAIL_BYTES_MAX
    + USER_AGENT_BYTES_MAX
    + MODEL_BYTES_MAX;

/// The texts of a record, cut to their bounds.
struct Tail<'a> {
    path: &'a str,
    detail: &'a str,
    user_agent: &'a str,
    model: &'a str,
}

impl<'a> Tail<'a> {
    #[inline]
    fn of(record: &Record<'a>) -> Self {
        Self {
            path: cut(record.path, PATH_BYTES_MAX),
            detail: cut(record.detail, DETAIL_BYTES_MAX),
            user_agent: cut(record.user_agent, USER_AGENT_BYTES_MAX),
            model: cut(record.model, MODEL_BYTES_MAX),
        }
    }
}

/// A record as it will be written, of which the version is chosen.
pub(crate) struct Planned<'a> {
    decision: u64,
    record: &'a Record<'a>,
    tail: Tail<'a>,
    short: Option<Short>,
    bytes: usize,
}

/// Chooses how a record is written. `position` is the one that it will be read back with.
#[inline]
pub(crate) fn plan<'a>(position: u64, decision: u64, record: &'a Record<'a>) -> Planned<'a> {
    let tail = Tail::of(record);
    let short = Short::of(position, decision, record);
    let bytes = match short {
        Some(short) => short.bytes(record, &tail),
        None => long_bytes(record, &tail),
    };
    Planned { decision, record, tail, short, bytes: bytes.next_multiple_of(8) }
}

impl Planned<'_> {
    /// How many bytes [`Self::write`] will write: a multiple of 8, at most [`RECORD_BYTES_MAX`].
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes the record into `target`, which has [`Self::bytes`] bytes that may hold anything.
    /// `None`, and nothing of use in `target`, when it has not.
    #[inline]
    pub(crate) fn write(&self, target: &mut [u8]) -> Option<()> {
        if target.len() != self.bytes {
            return None;
        }
        // The padding; texts follow and cover the rest of it.
        *target.last_chunk_mut()? = [0; 8];
        let Self { decision, record, tail, .. } = self;
        let texts = match &self.short {
            Some(short) => short.write(record, tail, target)?,
            None => write_long(*decision, record, tail, target)?,
        };
        let mut rest = texts;
        for text in [tail.path, tail.detail, tail.user_agent, tail.model] {
            let (part, after) = rest.split_at_mut_checked(text.len())?;
            part.copy_from_slice(text.as_bytes());
            rest = after;
        }
        (rest.len() < 8).then_some(())
    }
}

fn long_bytes(record: &Record<'_>, tail: &Tail<'_>) -> usize {
    let texts = tail.path.len() + tail.detail.len() + tail.user_agent.len();
    let plain = FIXED_BYTES + record.charges.as_slice().len() * CHARGE_BYTES + texts;
    let call = if record.has_call() {
        let held_for = record.held_for.map_or(0, |_| HELD_FOR_BYTES);
        record.draws.as_slice().len() * DRAW_BYTES + USED_BYTES + held_for + tail.model.len()
    } else {
        0
    };
    plain + call
}

/// Writes version 1, 2 or 3 up to the texts, and returns what is behind.
fn write_long<'t>(
    decision: u64,
    record: &Record<'_>,
    tail: &Tail<'_>,
    target: &'t mut [u8],
) -> Option<&'t mut [u8]> {
    let charges = record.charges.as_slice();
    let has_call = record.has_call();
    let (fixed, mut rest) = target.split_first_chunk_mut::<FIXED_BYTES>()?;
    let mut put = Put { bytes: fixed, at: 0 };
    put.bytes::<1>([match (record.held_for, has_call) {
        (Some(_), _) => HOLD,
        (None, true) => CALL,
        (None, false) => PLAIN,
    }]);
    put.bytes::<1>([charges.len() as u8]);
    put.bytes((tail.path.len() as u16).to_le_bytes());
    put.bytes((tail.detail.len() as u16).to_le_bytes());
    put.bytes((tail.user_agent.len() as u16).to_le_bytes());
    put.bytes(decision.to_le_bytes());
    put.entry(&record.entry);
    // Both bounds are below 256, and both counts are 0 without a call.
    put.bytes([record.draws.as_slice().len() as u8, tail.model.len() as u8, 0, 0]);
    for charge in charges {
        let (chunk, after) = rest.split_first_chunk_mut::<CHARGE_BYTES>()?;
        *chunk = charge.to_bytes();
        rest = after;
    }
    if has_call { encode_call(record, rest) } else { Some(rest) }
}

/// Writes draws, usage and what the charges are held for, and returns what is behind them.
fn encode_call<'t>(record: &Record<'_>, target: &'t mut [u8]) -> Option<&'t mut [u8]> {
    let mut rest = target;
    for draw in record.draws.as_slice() {
        let (chunk, after) = rest.split_first_chunk_mut::<DRAW_BYTES>()?;
        *chunk = draw.to_bytes();
        rest = after;
    }
    let (chunk, after) = rest.split_first_chunk_mut::<USED_BYTES>()?;
    *chunk = record.used().to_bytes();
    let Some(held_for) = record.held_for else { return Some(after) };
    let (chunk, after) = after.split_first_chunk_mut::<HELD_FOR_BYTES>()?;
    *chunk = held_for.to_le_bytes();
    Some(after)
}

/// Reads a record where it lies; `None` when these bytes are not one that [`Planned::write`] writes.
#[inline]
pub(crate) fn read(position: u64, bytes: &[u8]) -> Option<LentRecord<'_>> {
    if bytes.first() == Some(&short::VERSION) {
        short::read(position, bytes)
    } else {
        read_long(position, bytes)
    }
}

/// Versions 1 to 3.
fn read_long(position: u64, bytes: &[u8]) -> Option<LentRecord<'_>> {
    let parts = Parts::of(bytes)?;
    if !are_texts([parts.path, parts.detail, parts.user_agent, parts.model]) {
        return None;
    }
    let mut take = Take { bytes: parts.fixed, at: 8 };
    let used = parts.used();
    Some(LentRecord {
        position,
        decision: u64::from_le_bytes(take.bytes()),
        entry: take.entry(),
        charges: LentCharges::Encoded(parts.charges),
        path: parts.path,
        detail: parts.detail,
        user_agent: parts.user_agent,
        model: parts.model,
        tokens: used.tokens,
        cost: used.cost,
        currency: used.currency,
        draws: LentDraws::Encoded(parts.draws),
        held_for: parts.held_for,
    })
}

fn are_texts<const N: usize>(texts: [&[u8]; N]) -> bool {
    texts.iter().all(|text| str::from_utf8(text).is_ok())
}

/// Where the parts of an encoded record lie, its texts not looked at yet.
struct Parts<'a> {
    fixed: &'a [u8; FIXED_BYTES],
    charges: &'a [[u8; CHARGE_BYTES]],
    draws: &'a [[u8; DRAW_BYTES]],
    used: Option<&'a [u8; USED_BYTES]>,
    held_for: Option<u64>,
    path: &'a [u8],
    detail: &'a [u8],
    user_agent: &'a [u8],
    model: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
        let mut take = Take { bytes: fixed, at: 0 };
        let [version] = take.bytes();
        let [charges] = take.bytes();
        let lengths: [usize; 3] = std::array::from_fn(|_| usize::from(u16::from_le_bytes(take.bytes())));
        let [path, detail, user_agent] = lengths;
        let bounded = usize::from(charges) <= CHARGES_MAX
            && path <= PATH_BYTES_MAX
            && detail <= DETAIL_BYTES_MAX
            && user_agent <= USER_AGENT_BYTES_MAX;
        if !bounded {
            return None;
        }
        let (charges, rest) = rest.split_at_checked(usize::from(charges) * CHARGE_BYTES)?;
        let (draws, used, model, rest) = match version {
            PLAIN => (&[][..], None, 0, rest),
            CALL | HOLD => Self::call(fixed, rest)?,
            _ => return None,
        };
        let (held_for, rest) = if version == HOLD {
            let (number, rest) = rest.split_first_chunk::<HELD_FOR_BYTES>()?;
            (Some(u64::from_le_bytes(*number)), rest)
        } else {
            (None, rest)
        };
        let (path, rest) = rest.split_at_checked(path)?;
        let (detail, rest) = rest.split_at_checked(detail)?;
        let (user_agent, rest) = rest.split_at_checked(user_agent)?;
        let (model, padding) = rest.split_at_checked(model)?;
        if padding.len() >= 8 {
            return None;
        }
        let charges = charges.as_chunks().0;
        Some(Self { fixed, charges, draws, used, held_for, path, detail, user_agent, model })
    }

    /// Draws, usage, the length of the model's name, and what is behind the usage.
    fn call(fixed: &[u8; FIXED_BYTES], rest: &'a [u8]) -> Option<Call<'a>> {
        let mut take = Take { bytes: fixed, at: CALL_COUNTS_AT };
        let [draws, model] = take.bytes().map(usize::from);
        if draws > DRAWS_MAX || model > MODEL_BYTES_MAX {
            return None;
        }
        let (draws, rest) = rest.split_at_checked(draws * DRAW_BYTES)?;
        let (used, rest) = rest.split_first_chunk()?;
        Some((draws.as_chunks().0, Some(used), model, rest))
    }

    #[inline]
    fn used(&self) -> Used {
        self.used.map(Used::of_bytes).unwrap_or_default()
    }
}

/// Draws, usage, the length of the model's name, and what is behind the usage.
type Call<'a> = (&'a [[u8; DRAW_BYTES]], Option<&'a [u8; USED_BYTES]>, usize, &'a [u8]);

/// Writes fields one behind the other; all offsets are known when this is compiled.
struct Put<'a, const SIZE: usize> {
    bytes: &'a mut [u8; SIZE],
    at: usize,
}

impl<const SIZE: usize> Put<'_, SIZE> {
    #[inline(always)]
    fn bytes<const N: usize>(&mut self, value: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&value);
        self.at += N;
    }

    #[inline(always)]
    fn entry(&mut self, entry: &Entry) {
        self.bytes(entry.at_us.to_le_bytes());
        self.bytes(entry.key.to_le_bytes());
        self.bytes(entry.consumer.to_le_bytes());
        self.bytes(entry.project.to_le_bytes());
        self.bytes(entry.tenant.to_le_bytes());
        self.bytes(entry.service.to_le_bytes());
        self.bytes(entry.policy.to_le_bytes());
        self.bytes(entry.bytes_in.to_le_bytes());
        self.bytes(entry.bytes_out.to_le_bytes());
        self.bytes(entry.address);
        self.bytes(entry.latency_us.to_le_bytes());
        self.bytes(entry.upstream_us.to_le_bytes());
        self.bytes(entry.units.to_le_bytes());
        self.bytes(entry.checks_passed.to_le_bytes());
        self.bytes(entry.checks_configured.to_le_bytes());
        self.bytes(entry.status.to_le_bytes());
        self.bytes(entry.generation.to_le_bytes());
        self.bytes(entry.flags.0.to_le_bytes());
        self.bytes([entry.code]);
        self.bytes([entry.method]);
    }
}

/// Reads fields one behind the other, in the order of [`Put`].
struct Take<'a, const SIZE: usize> {
    bytes: &'a [u8; SIZE],
    at: usize,
}

impl<const SIZE: usize> Take<'_, SIZE> {
    #[inline(always)]
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        value
    }

    #[inline(always)]
    fn entry(&mut self) -> Entry {
        Entry {
            at_us: i64::from_le_bytes(self.bytes()),
            key: u64::from_le_bytes(self.bytes()),
            consumer: u64::from_le_bytes(self.bytes()),
            project: u64::from_le_bytes(self.bytes()),
            tenant: u64::from_le_bytes(self.bytes()),
            service: u64::from_le_bytes(self.bytes()),
            policy: u64::from_le_bytes(self.bytes()),
            bytes_in: u64::from_le_bytes(self.bytes()),
            bytes_out: u64::from_le_bytes(self.bytes()),
            address: self.bytes(),
            latency_us: u32::from_le_bytes(self.bytes()),
            upstream_us: u32::from_le_bytes(self.bytes()),
            units: u32::from_le_bytes(self.bytes()),
            checks_passed: u32::from_le_bytes(self.bytes()),
            checks_configured: u32::from_le_bytes(self.bytes()),
            status: u16::from_le_bytes(self.bytes()),
            generation: u16::from_le_bytes(self.bytes()),
            flags: Flags(u16::from_le_bytes(self.bytes())),
            code: u8::from_le_bytes(self.bytes()),
            method: u8::from_le_bytes(self.bytes()),
        }
    }
}

/// The longest prefix of whole characters within `bytes_max`.
#[inline]
fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    text.split_at_checked(text.floor_char_boundary(bytes_max)).map_or("", |(kept, _)| kept)
}

#[cfg(test)]
mod tests;
