//! Prices by provider, model and time.
//!
//! Own prices come before those that Tollgate ships with, whatever their pattern: who writes a price
//! for `gpt-*` means all of them. Then an exact name wins, then the longest pattern, then the latest
//! that has begun. What no row takes has no price (I11: under a hard budget it is denied).
//!
//! A provider's tier of service has rows of its own. One that is cheaper by its nature costs the
//! ordinary price where it has none; any other has no price then.

use std::{collections::HashMap, sync::Arc};

use crate::{
    field_error::FieldError,
    money::price::{Price, PriceSpec, Provider, is_ordinary},
    pattern::TextPattern,
};

/// Prices a table may hold of each origin.
pub const PRICES_MAX: usize = 10_000;
/// The longest name of a model that is looked up, in bytes.
pub const MODEL_LEN_MAX: usize = 256;

/// Tiers of service that never cost more than the ordinary one.
const CHEAPER_TIERS: [&str; 2] = ["flex", "batch"];

/// What is asked for a price.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Whose model it is.
    pub provider: Provider,
    /// Its name.
    pub model: &'a str,
    /// The tier of service, as requests and answers name it.
    pub service_tier: Option<&'a str>,
}

/// Whose a price is. Later ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Shipped with Tollgate.
    Starting,
    /// Written by the operator.
    Own,
}

/// All prices.
#[derive(Debug, Default)]
pub struct PriceTable {
    /// Rows with an exact name.
    exact: HashMap<(Provider, Box<str>), Vec<Row>>,
    /// Rows with a pattern.
    patterns: Vec<(Provider, TextPattern, Row)>,
}

#[derive(Debug)]
struct Row {
    origin: Origin,
    /// `None` for the ordinary one.
    service_tier: Option<Box<str>>,
    /// Characters of the pattern that are not `*`.
    literal: usize,
    price: Arc<Price>,
}

impl PriceTable {
    /// Adds prices.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field; nothing was added then.
    pub fn add(&mut self, origin: Origin, specs: &[PriceSpec]) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        if specs.len() > PRICES_MAX {
            errors.push(FieldError::new(
                "price",
                format!("{} of them; at most {PRICES_MAX} are allowed", specs.len()),
            ));
            return Err(errors);
        }
        let mut rows = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            match (Price::compile(spec), TextPattern::parse(&spec.model)) {
                (Ok(price), Ok(pattern)) => rows.push((spec, price, pattern)),
                (Err(wrong), _) => {
                    errors.extend(wrong.into_iter().map(|error| {
                        FieldError::new(format!("price[{index}].{}", error.field), error.problem)
                    }))
                }
                (Ok(_), Err(error)) => errors.push(FieldError::new(format!("price[{index}].model"), error)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for (spec, price, pattern) in rows {
            let literal = spec.model.bytes().filter(|byte| *byte != b'*').count();
            let service_tier = spec.service_tier.as_deref().map(Box::from);
            let row = Row { origin, service_tier, literal, price: Arc::new(price) };
            if spec.model.contains('*') {
                self.patterns.push((spec.provider, pattern, row));
            } else {
                self.exact.entry((spec.provider, spec.model.as_str().into())).or_default().push(row);
            }
        }
        Ok(())
    }

    /// The price of a model at a moment; `None` when it has none.
    #[must_use]
    pub fn lookup(&self, wanted: Wanted<'_>, wall_us: i64) -> Option<Arc<Price>> {
        if wanted.model.len() > MODEL_LEN_MAX {
            return None;
        }
        let tier = wanted.service_tier.filter(|tier| !is_ordinary(tier));
        let of_tier = tier.and_then(|tier| self.best(wanted, Some(tier), wall_us));
        match tier {
            Some(tier) if !CHEAPER_TIERS.contains(&tier) => of_tier,
            _ => of_tier.or_else(|| self.best(wanted, None, wall_us)),
        }
    }

    /// The best row of exactly this tier.
    fn best(&self, wanted: Wanted<'_>, tier: Option<&str>, wall_us: i64) -> Option<Arc<Price>> {
        let exact = self.exact.get(&(wanted.provider, Box::from(wanted.model)));
        let exact = exact.into_iter().flatten().map(|row| (true, row));
        let patterns = self
            .patterns
            .iter()
            .filter(|(of, pattern, _)| *of == wanted.provider && pattern.matches(wanted.model))
            .map(|(_, _, row)| (false, row));
        exact
            .chain(patterns)
            .filter(|(_, row)| row.service_tier.as_deref() == tier)
            .filter(|(_, row)| row.price.effective_from_us <= wall_us)
            .max_by_key(|(is_exact, row)| (row.origin, *is_exact, row.literal, row.price.effective_from_us))
            .map(|(_, row)| Arc::clone(&row.price))
    }
}
