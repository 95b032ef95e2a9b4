//! What a call cost, what it can cost at most, and how much output is affordable.
//!
//! All three are summed up in 10^-15 units (nano-units per million tokens, times tokens), which is
//! exact, and rounded up once to what the currency keeps. The bound is never below the cost of
//! anything that stays within it; `affordable_output` is the bound's exact inverse.

use thiserror::Error;

use crate::money::{
    amount::{AMOUNT_MAX, Amount, Rate},
    price::{Price, Rates},
    usage::{TOKENS_MAX, Usage},
};

/// Nano-units per request in 10^-15 units.
const FEMTOS_PER_NANO: u128 = 1_000_000;

/// Why something has no price. The caller must deny, or charge what it reserved: nothing is free (I11).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unpriced {
    /// The provider's own tools searched, and nobody said what a search costs.
    #[error("the price says nothing of searches; set `per_search`")]
    Searches,
    /// More than an amount can be.
    #[error("it costs more than an amount can be")]
    TooMuch,
}

/// What a call may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Tokens that it may read.
    pub input_tokens: u64,
    /// Tokens that each of its answers may have.
    pub output_tokens: u64,
    /// How many answers it asks for, at least 1.
    pub choices: u32,
    /// Searches that the provider's own tools may make.
    pub searches: u32,
}

impl Price {
    /// What `usage` costs: exact, rounded up once. The whole call is priced by the tier that its whole
    /// input is in.
    ///
    /// # Errors
    /// When it has no price ([`Unpriced`]).
    pub fn cost(&self, usage: &Usage) -> Result<Amount, Unpriced> {
        let rates = self.rates(usage.input);
        let parts = [
            (usage.plain_input(), rates.input),
            (usage.cached_input, rates.cached_input),
            (usage.cached_audio, rates.cached_audio),
            (usage.cache_write, rates.cache_write),
            (usage.cache_write_1h, rates.cache_write_1h),
            (usage.input_audio, rates.input_audio),
            (usage.input_image, rates.input_image),
            (usage.plain_output(), rates.output),
            (usage.reasoning, rates.reasoning),
            (usage.output_audio, rates.output_audio),
            (usage.output_image, rates.output_image),
        ];
        let fees = self.fees(usage.searches)?;
        let femtos = parts
            .iter()
            .try_fold(fees, |sum, (tokens, rate)| sum.checked_add(femtos(*tokens, *rate)?))
            .ok_or(Unpriced::TooMuch)?;
        self.round_up(femtos)
    }

    /// The most that a call within `ask` can cost, at the dearest rate of every tier that it can reach.
    ///
    /// # Errors
    /// When it has no price ([`Unpriced`]).
    pub fn upper_bound(&self, ask: Ask) -> Result<Amount, Unpriced> {
        let (fixed, per_token) = self.bound_parts(ask)?;
        let output = u128::from(ask.output_tokens).checked_mul(per_token).ok_or(Unpriced::TooMuch)?;
        self.round_up(fixed.checked_add(output).ok_or(Unpriced::TooMuch)?)
    }

    /// How many tokens each answer may have so that [`Self::upper_bound`] stays within `money`, at most
    /// [`TOKENS_MAX`]; `None` when not even an empty answer is affordable. `ask.output_tokens` is not
    /// looked at.
    ///
    /// # Errors
    /// When it has no price ([`Unpriced`]).
    pub fn affordable_output(&self, ask: Ask, money: Amount) -> Result<Option<u64>, Unpriced> {
        let (fixed, per_token) = self.bound_parts(ask)?;
        let Ok(atoms) = u128::try_from(money.atoms()) else { return Ok(None) };
        // A sum rounds up to at most `atoms` exactly when it is at most `atoms` before it is rounded.
        let Some(left) = (atoms * self.currency.femtos_per_atom()).checked_sub(fixed) else {
            return Ok(None);
        };
        let tokens = left.checked_div(per_token).unwrap_or(u128::from(TOKENS_MAX));
        Ok(Some(u64::try_from(tokens).unwrap_or(TOKENS_MAX).min(TOKENS_MAX)))
    }

    /// The rates of a call with so much input.
    #[must_use]
    pub fn rates(&self, input_tokens: u64) -> &Rates {
        let reached = self.tiers.iter().rev().find(|(above, _)| input_tokens > *above);
        reached.map_or(&self.base, |(_, rates)| rates)
    }

    /// What is to be paid before the first token of output, and what each token of output costs over
    /// all answers; both at most.
    fn bound_parts(&self, ask: Ask) -> Result<(u128, u128), Unpriced> {
        let reachable = self.tiers.iter().filter(|(above, _)| ask.input_tokens > *above);
        let reachable = reachable.map(|(_, rates)| rates);
        let (input, output) = reachable
            .fold((self.base.input_max(), self.base.output_max()), |(input, output), rates| {
                (input.max(rates.input_max()), output.max(rates.output_max()))
            });
        let fixed = femtos(ask.input_tokens, input)
            .and_then(|sum| sum.checked_add(self.fees(u64::from(ask.searches)).ok()?))
            .ok_or(if ask.searches > 0 && self.per_search.is_none() {
                Unpriced::Searches
            } else {
                Unpriced::TooMuch
            })?;
        Ok((fixed, u128::from(output.nanos()) * u128::from(ask.choices.max(1))))
    }

    /// The fees of a call that are not for tokens.
    fn fees(&self, searches: u64) -> Result<u128, Unpriced> {
        let per_search = match (searches, self.per_search) {
            (0, _) => 0,
            (_, Some(rate)) => u128::from(rate.nanos()),
            (_, None) => return Err(Unpriced::Searches),
        };
        per_search
            .checked_mul(u128::from(searches))
            .and_then(|sum| sum.checked_add(u128::from(self.per_request.nanos())))
            .and_then(|sum| sum.checked_mul(FEMTOS_PER_NANO))
            .ok_or(Unpriced::TooMuch)
    }

    fn round_up(&self, femtos: u128) -> Result<Amount, Unpriced> {
        i64::try_from(femtos.div_ceil(self.currency.femtos_per_atom()))
            .ok()
            .filter(|atoms| *atoms <= AMOUNT_MAX)
            .and_then(Amount::from_atoms)
            .ok_or(Unpriced::TooMuch)
    }
}

fn femtos(tokens: u64, rate: Rate) -> Option<u128> {
    u128::from(tokens).checked_mul(u128::from(rate.nanos()))
}
