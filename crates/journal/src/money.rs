//! What a model call used and what it cost, and how both lie in a record.
//!
//! Here are only numbers: what a token costs, what an account is and when a reservation ends is the
//! business of others.

use thiserror::Error;

/// Bytes of one draw in a record.
pub(crate) const DRAW_BYTES: usize = 40;
/// Bytes of tokens, cost and currency in a record.
pub(crate) const USED_BYTES: usize = 56;
/// The most draws of one record: four attempts, each of four accounts.
pub const DRAWS_MAX: usize = 16;

/// What a model call used, in tokens. `input` and `output` are totals, the others are parts of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tokens {
    /// All that was read.
    pub input: u64,
    /// Of the input: read from a cache.
    pub cached_input: u64,
    /// Of the input: written to a cache.
    pub cache_write: u64,
    /// All that was produced.
    pub output: u64,
    /// Of the output: thoughts.
    pub reasoning: u64,
}

/// A part of a lease that a call held, and how much of it the call used.
///
/// In a record that opens a reservation (`Flags::RESERVATION`) `used` is 0; the record of the call
/// itself has the draws of all its attempts and settles them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Draw {
    /// The decision number of the record that opened it, on the same boot and lane.
    pub reservation: u64,
    /// The account that pays.
    pub account: u64,
    /// The number of the lease on that account, as the process counts them.
    pub lease: u64,
    /// How much of it was held for the call, in the smallest parts of the account's currency; at least
    /// 0. In the record of the call itself: how much of the lease covers it.
    pub reserved: i64,
    /// How much the call cost, in the same; at least 0. What is more than `reserved` is an overrun.
    pub used: i64,
}

/// More draws than a record can hold.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a record holds at most {DRAWS_MAX} draws, these are {0}")]
pub struct TooManyDraws(pub usize);

/// At most [`DRAWS_MAX`] draws: none is ever cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draws<'a>(&'a [Draw]);

impl<'a> Draws<'a> {
    /// No draws.
    pub const NONE: Self = Self(&[]);

    /// Takes the draws of one call.
    ///
    /// # Errors
    /// [`TooManyDraws`] above [`DRAWS_MAX`].
    pub const fn new(draws: &'a [Draw]) -> Result<Self, TooManyDraws> {
        if draws.len() > DRAWS_MAX { Err(TooManyDraws(draws.len())) } else { Ok(Self(draws)) }
    }

    /// The draws.
    #[must_use]
    pub const fn as_slice(self) -> &'a [Draw] {
        self.0
    }
}

/// Tokens, cost and currency as they lie together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) tokens: Tokens,
    pub(crate) cost: i64,
    pub(crate) currency: [u8; 8],
}

impl Used {
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; USED_BYTES] {
        let Tokens { input, cached_input, cache_write, output, reasoning } = self.tokens;
        let cost = self.cost.cast_unsigned();
        let mut bytes = [0; USED_BYTES];
        let (places, _) = bytes.as_chunks_mut::<8>();
        for (place, number) in
            places.iter_mut().zip([input, cached_input, cache_write, output, reasoning, cost])
        {
            *place = number.to_le_bytes();
        }
        if let Some(place) = places.last_mut() {
            *place = self.currency;
        }
        bytes
    }

    #[inline]
    pub(crate) fn of_bytes(bytes: &[u8; USED_BYTES]) -> Self {
        let mut numbers = [0; USED_BYTES / 8];
        for (number, place) in numbers.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *number = u64::from_le_bytes(*place);
        }
        let [input, cached_input, cache_write, output, reasoning, cost, currency] = numbers;
        Self {
            tokens: Tokens { input, cached_input, cache_write, output, reasoning },
            cost: cost.cast_signed(),
            currency: currency.to_le_bytes(),
        }
    }
}

impl Draw {
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; DRAW_BYTES] {
        let Self { reservation, account, lease, reserved, used } = self;
        let numbers = [reservation, account, lease, reserved.cast_unsigned(), used.cast_unsigned()];
        let mut bytes = [0; DRAW_BYTES];
        for (place, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        bytes
    }

    #[inline]
    pub(crate) fn of_bytes(bytes: &[u8; DRAW_BYTES]) -> Self {
        let mut numbers = [0; DRAW_BYTES / 8];
        for (number, place) in numbers.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *number = u64::from_le_bytes(*place);
        }
        let [reservation, account, lease, reserved, used] = numbers;
        Self { reservation, account, lease, reserved: reserved.cast_signed(), used: used.cast_signed() }
    }
}
