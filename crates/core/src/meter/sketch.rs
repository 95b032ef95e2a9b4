//! How many different values there were: exactly up to a bound, about beyond it.
//!
//! Up to 512 values are kept as 64 bits of their SHA-256 each, so that the number is exact but for a chance
//! of 10⁻¹⁴. Beyond that it is a HyperLogLog of 4,096 registers with the estimator of O. Ertl (“New
//! cardinality estimation algorithms for HyperLogLog sketches”, 2017, algorithm 6): a standard error of
//! 1.6 %. Two sketches merge into that of all their values, in any order and however often.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

/// Values that are counted exactly.
pub const EXACT_MAX: usize = 512;
/// Bits of a hash that choose a register.
const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;
/// The largest rank of a register is one more.
const RANKS: usize = 64 - BITS as usize;

const PACKED_EXACT: u8 = 1;
const PACKED_REGISTERS: u8 = 2;

/// The different values of some records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sketch {
    /// The hashes of all of them.
    Exact(BTreeSet<u64>),
    /// Registers of a HyperLogLog.
    Registers(Box<[u8]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self::Exact(BTreeSet::new())
    }
}

impl Sketch {
    /// Adds a value.
    pub fn add(&mut self, value: &str) {
        let digest: [u8; 32] = Sha256::digest(value.as_bytes()).into();
        self.add_hash(digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)));
    }

    fn add_hash(&mut self, hash: u64) {
        match self {
            Self::Exact(hashes) => {
                hashes.insert(hash);
                if hashes.len() > EXACT_MAX {
                    let mut registers = vec![0; REGISTERS].into_boxed_slice();
                    hashes.iter().for_each(|hash| note(&mut registers, *hash));
                    *self = Self::Registers(registers);
                }
            }
            Self::Registers(registers) => note(registers, hash),
        }
    }

    /// Adds all values of another.
    pub fn merge(&mut self, more: &Self) {
        match more {
            Self::Exact(hashes) => hashes.iter().for_each(|hash| self.add_hash(*hash)),
            Self::Registers(more) => {
                if let Self::Exact(hashes) = self {
                    let hashes = std::mem::take(hashes);
                    let mut registers = more.clone();
                    hashes.into_iter().for_each(|hash| note(&mut registers, hash));
                    *self = Self::Registers(registers);
                } else if let Self::Registers(registers) = self {
                    registers.iter_mut().zip(more.iter()).for_each(|(own, more)| *own = (*own).max(*more));
                }
            }
        }
    }

    /// How many different values.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Exact(hashes) => hashes.len() as u64,
            Self::Registers(registers) => estimate(registers),
        }
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            // A tree has some room between its values.
            Self::Exact(hashes) => hashes.len() * 16,
            Self::Registers(registers) => registers.len(),
        }
    }

    /// Whether the number is exact.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }

    /// As a row has it.
    #[must_use]
    pub fn packed(&self) -> Vec<u8> {
        match self {
            Self::Exact(hashes) => std::iter::once(PACKED_EXACT)
                .chain(hashes.iter().flat_map(|hash| hash.to_be_bytes()))
                .collect(),
            Self::Registers(registers) => {
                std::iter::once(PACKED_REGISTERS).chain(registers.iter().copied()).collect()
            }
        }
    }

    /// Of what a row has; `None` when it is damaged.
    #[must_use]
    pub fn unpacked(packed: &[u8]) -> Option<Self> {
        match packed.split_first()? {
            (&PACKED_EXACT, hashes) => {
                let (hashes, []) = hashes.as_chunks::<8>() else { return None };
                Some(Self::Exact(hashes.iter().map(|hash| u64::from_be_bytes(*hash)).collect()))
            }
            (&PACKED_REGISTERS, registers) if registers.len() == REGISTERS => {
                Some(Self::Registers(registers.into()))
            }
            _ => None,
        }
    }
}

fn note(registers: &mut [u8], hash: u64) {
    let index = (hash >> (64 - BITS)) as usize;
    let rank = ((hash << BITS).leading_zeros() as usize).min(RANKS) as u8 + 1;
    if let Some(register) = registers.get_mut(index) {
        *register = (*register).max(rank);
    }
}

fn estimate(registers: &[u8]) -> u64 {
    let mut ranks = [0.0_f64; RANKS + 2];
    for register in registers {
        if let Some(count) = ranks.get_mut(usize::from(*register)) {
            *count += 1.0;
        }
    }
    let all = REGISTERS as f64;
    let (first, rest) = ranks.split_first().map_or((0.0, &ranks[..]), |(first, rest)| (*first, rest));
    let (last, middle) = rest.split_last().map_or((0.0, rest), |(last, middle)| (*last, middle));
    let mut sum = all * tau(1.0 - last / all);
    for count in middle.iter().rev() {
        sum = 0.5 * (sum + count);
    }
    sum += all * sigma(first / all);
    (all * all / (2.0 * std::f64::consts::LN_2 * sum)).round() as u64
}

/// What registers that nothing came to say (Ertl, algorithm 6).
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// What registers that are full say (Ertl, algorithm 6).
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: std::ops::Range<u64>) -> Sketch {
        let mut sketch = Sketch::default();
        values.for_each(|value| sketch.add(&value.to_string()));
        sketch
    }

    #[test]
    fn few_values_are_counted_exactly_and_many_about() {
        assert_eq!(of(0..0).count(), 0);
        assert_eq!((of(0..512).count(), of(0..512).is_exact()), (512, true));
        for most in [513, 2_000, 10_000, 20_000, 100_000] {
            let sketch = of(0..most);
            let error = (sketch.count() as f64 - most as f64).abs() / most as f64;
            assert!(!sketch.is_exact() && error < 0.06, "{most}: {error}");
        }
    }

    #[test]
    fn merging_in_any_order_and_twice_is_the_sketch_of_all_values() {
        for (one, other) in [(0..300, 200..400), (0..5_000, 4_000..4_100), (0..3_000, 2_000..9_000)] {
            let all = of(one.start..other.end.max(one.end));
            let (one, other) = (of(one), of(other));
            let mut there = one.clone();
            there.merge(&other);
            there.merge(&one);
            let mut back = other;
            back.merge(&one);
            assert_eq!(there, back);
            assert_eq!(there, all);
        }
    }

    #[test]
    fn rows_give_back_what_they_were_made_of() {
        for sketch in [of(0..0), of(0..10), of(0..1_000)] {
            assert_eq!(Sketch::unpacked(&sketch.packed()), Some(sketch));
        }
        for damaged in [&[][..], &[3, 1], &[1, 2], &[2, 0, 0]] {
            assert_eq!(Sketch::unpacked(damaged), None);
        }
    }
}
