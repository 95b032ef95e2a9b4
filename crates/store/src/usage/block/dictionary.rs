//! Values that come again are written once and called by their number: dictionaries of a block.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use super::bytes;

/// Slots at first; doubled when half of them are taken.
const SLOTS_MIN: usize = 64;

/// Finds the number of a value by its hash. Holds numbers only; the values are the caller's. The
/// hash has a random seed: paths and User-Agents come from outside.
#[derive(Default)]
struct Slots {
    /// Number + 1, or 0.
    slots: Vec<u16>,
    taken: usize,
}

impl Slots {
    /// The number of the value, `next` when it is new.
    #[inline]
    fn find_or_take(&mut self, hash: u64, next: u16, is_it: impl Fn(u16) -> bool) -> u16 {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            match slot.checked_sub(1) {
                Some(number) if is_it(number) => return number,
                Some(_) => at = (at + 1) & mask,
                None => {
                    *slot = next + 1;
                    self.taken += 1;
                    return next;
                }
            }
        }
        next
    }

    /// Makes room for one more; `hash_of` gives the hash of a number's value.
    #[inline]
    fn make_room(&mut self, hash_of: impl Fn(u16) -> u64) {
        if self.taken * 2 < self.slots.len() {
            return;
        }
        let slots = (self.slots.len() * 2).max(SLOTS_MIN);
        let taken = std::mem::replace(&mut self.taken, 0) as u16;
        self.slots.clear();
        self.slots.resize(slots, 0);
        for number in 0..taken {
            self.find_or_take(hash_of(number), number, |_| false);
        }
    }

    fn clear(&mut self) {
        self.slots.fill(0);
        self.taken = 0;
    }
}

/// A dictionary of plain values, at most 65,535.
pub(super) struct Values<T> {
    values: Vec<T>,
    slots: Slots,
    state: RandomState,
    last: u16,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new(), slots: Slots::default(), state: RandomState::default(), last: 0 }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Values<T> {
    /// The number of a value.
    #[inline]
    pub(super) fn number(&mut self, value: T) -> u16 {
        if self.values.get(usize::from(self.last)) == Some(&value) {
            return self.last;
        }
        let Self { values, slots, state, .. } = self;
        let of = |number: u16| values.get(usize::from(number));
        slots.make_room(|number| of(number).map_or(0, |value| state.hash_one(value)));
        let next = values.len() as u16;
        let number = slots.find_or_take(state.hash_one(value), next, |number| of(number) == Some(&value));
        if number == next {
            values.push(value);
        }
        self.last = number;
        number
    }

    /// The values in the order of their numbers.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.slots.clear();
        self.last = 0;
    }
}

/// A dictionary of texts, at most 65,535.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
    slots: Slots,
    state: RandomState,
    last: u16,
}

impl Texts {
    /// The number of a text.
    #[inline]
    pub(super) fn number(&mut self, text: &[u8]) -> u16 {
        if !self.ends.is_empty() && of(&self.bytes, &self.ends, self.last) == text {
            return self.last;
        }
        let Self { bytes, ends, slots, state, .. } = self;
        slots.make_room(|number| state.hash_one(of(bytes, ends, number)));
        let next = ends.len() as u16;
        let number = slots.find_or_take(state.hash_one(text), next, |number| of(bytes, ends, number) == text);
        if number == next {
            bytes.extend_from_slice(text);
            ends.push(bytes.len() as u32);
        }
        self.last = number;
        number
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all texts.
    pub(super) fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the texts, each as what it shares with the one before it and what follows that: paths
    /// often begin alike.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut before: &[u8] = &[];
        for number in 0..self.ends.len() {
            let text = of(&self.bytes, &self.ends, number as u16);
            let shared = before.iter().zip(text).take_while(|(one, other)| one == other).count();
            let rest = text.get(shared..).unwrap_or_default();
            bytes::put(out, shared as u64);
            bytes::put(out, rest.len() as u64);
            out.extend_from_slice(rest);
            before = text;
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.slots.clear();
        self.last = 0;
    }
}

#[inline]
fn of<'a>(bytes: &'a [u8], ends: &[u32], number: u16) -> &'a [u8] {
    let number = usize::from(number);
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
    let end = ends.get(number).map_or(start, |end| *end as usize);
    bytes.get(start..end).unwrap_or_default()
}

/// The most bytes of a text that is read back; the journal keeps none so long.
const TEXT_BYTES_MAX: usize = 1024;

/// Texts as they were read back from a block.
pub(super) struct ReadTexts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl ReadTexts {
    /// Reads what [`Texts::write`] wrote; `None` when it is something else.
    pub(super) fn open(mut rest: &[u8]) -> Option<Self> {
        let mut texts = Self { bytes: Vec::with_capacity(rest.len() * 2), ends: Vec::new() };
        let mut before = 0..0;
        while !rest.is_empty() {
            let shared = usize::try_from(bytes::take(&mut rest)?).ok()?;
            let length = usize::try_from(bytes::take(&mut rest)?).ok()?;
            let added = bytes::take_bytes(&mut rest, length)?;
            if shared > before.len() || shared.saturating_add(length) > TEXT_BYTES_MAX {
                return None;
            }
            let start = texts.bytes.len();
            texts.bytes.extend_from_within(before.start..before.start + shared);
            texts.bytes.extend_from_slice(added);
            texts.ends.push(u32::try_from(texts.bytes.len()).ok()?);
            before = start..texts.bytes.len();
        }
        Some(texts)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text with this number.
    pub(super) fn at(&self, number: usize) -> Option<&[u8]> {
        (number < self.ends.len()).then(|| of(&self.bytes, &self.ends, number as u16))
    }
}

/// Values up to which a number takes one byte.
const BYTE_VALUES_MAX: usize = 256;

/// Appends a column of dictionary numbers. Nothing when the dictionary has one value; a byte each up
/// to 256. Above, values are mostly new, and new ones are numbered in their order: a bit for each row
/// says whether it is the next new value, and only the others are written, in two bytes.
pub(super) fn write_numbers(out: &mut Vec<u8>, numbers: &[u16], values: usize) {
    match values {
        0 | 1 => {}
        2..=BYTE_VALUES_MAX => out.extend(numbers.iter().map(|number| *number as u8)),
        _ => {
            let bits = out.len();
            out.resize(bits + numbers.len().div_ceil(8), 0);
            let mut next = 0;
            for (row, number) in numbers.iter().enumerate() {
                if *number == next {
                    next += 1;
                    if let Some(byte) = out.get_mut(bits + row / 8) {
                        *byte |= 1 << (row % 8);
                    }
                } else {
                    out.extend(number.to_le_bytes());
                }
            }
        }
    }
}

/// A column of dictionary numbers.
pub(super) enum Numbers<'a> {
    One,
    Bytes(&'a [u8]),
    List(Vec<u16>),
}

impl<'a> Numbers<'a> {
    /// The column of `records` rows; `None` when it has another length.
    pub(super) fn open(mut bytes: &'a [u8], values: usize, records: usize) -> Option<Self> {
        match values {
            0 | 1 => bytes.is_empty().then_some(Self::One),
            2..=BYTE_VALUES_MAX => (bytes.len() == records).then_some(Self::Bytes(bytes)),
            _ => {
                let bits = bytes::take_bytes(&mut bytes, records.div_ceil(8))?;
                let (mut next, mut list) = (0u16, Vec::with_capacity(records));
                for row in 0..records {
                    let is_new = bits.get(row / 8)? & (1 << (row % 8)) != 0;
                    list.push(if is_new { next } else { u16::from_le_bytes(bytes::take_array(&mut bytes)?) });
                    next += u16::from(is_new);
                }
                bytes.is_empty().then_some(Self::List(list))
            }
        }
    }

    /// The number in a row.
    #[inline]
    pub(super) fn at(&self, row: usize) -> usize {
        match self {
            Self::One => 0,
            Self::Bytes(bytes) => bytes.get(row).map_or(0, |number| usize::from(*number)),
            Self::List(list) => list.get(row).map_or(0, |number| usize::from(*number)),
        }
    }
}
