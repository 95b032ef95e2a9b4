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

    /// Appends the texts, each behind its length.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for number in 0..self.ends.len() {
            let text = of(&self.bytes, &self.ends, number as u16);
            bytes::put(out, text.len() as u64);
            out.extend_from_slice(text);
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

/// Appends a column of dictionary numbers: nothing when the dictionary has one value, a byte each up
/// to 256, two bytes each above.
pub(super) fn write_numbers(out: &mut Vec<u8>, numbers: &[u16], values: usize) {
    match values {
        0 | 1 => {}
        2..=256 => out.extend(numbers.iter().map(|number| *number as u8)),
        _ => out.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
    }
}

/// A column of dictionary numbers as it lies in a block.
#[derive(Clone, Copy)]
pub(super) enum Numbers<'a> {
    One,
    Bytes(&'a [u8]),
    Pairs(&'a [[u8; 2]]),
}

impl<'a> Numbers<'a> {
    /// The column of `records` rows; `None` when it has another length.
    pub(super) fn open(bytes: &'a [u8], values: usize, records: usize) -> Option<Self> {
        let (column, length) = match values {
            0 | 1 => (Self::One, 0),
            2..=256 => (Self::Bytes(bytes), records),
            _ => (Self::Pairs(bytes.as_chunks().0), records * 2),
        };
        (bytes.len() == length).then_some(column)
    }

    /// The number in a row.
    #[inline]
    pub(super) fn at(&self, row: usize) -> usize {
        match self {
            Self::One => 0,
            Self::Bytes(bytes) => bytes.get(row).map_or(0, |number| usize::from(*number)),
            Self::Pairs(pairs) => pairs.get(row).map_or(0, |number| usize::from(u16::from_le_bytes(*number))),
        }
    }
}
