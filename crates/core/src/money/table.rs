//! Prices by provider, model and time.
//!
//! Own prices come before those that Tollgate ships with, whatever their pattern: who writes a price
//! for `gpt-*` means all of them. Then an exact name wins, then the longest pattern, then the latest
//! that has begun. What no row takes has no price (I11: under a hard budget it is denied).

use std::{collections::HashMap, sync::Arc};

use crate::{
    money::price::{Price, PriceSpec, Provider},
    pattern::TextPattern,
    policy::FieldError,
};

/// Prices a table may hold of each origin.
pub const PRICES_MAX: usize = 10_000;
/// The longest name of a model that is looked up, in bytes.
pub const MODEL_LEN_MAX: usize = 256;

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
            let row = Row { origin, literal, price: Arc::new(price) };
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
    pub fn lookup(&self, provider: Provider, model: &str, wall_us: i64) -> Option<Arc<Price>> {
        if model.len() > MODEL_LEN_MAX {
            return None;
        }
        let exact = self.exact.get(&(provider, Box::from(model)));
        let exact = exact.into_iter().flatten().map(|row| (true, row));
        let patterns = self
            .patterns
            .iter()
            .filter(|(of, pattern, _)| *of == provider && pattern.matches(model))
            .map(|(_, _, row)| (false, row));
        exact
            .chain(patterns)
            .filter(|(_, row)| row.price.effective_from_us <= wall_us)
            .max_by_key(|(is_exact, row)| (row.origin, *is_exact, row.literal, row.price.effective_from_us))
            .map(|(_, row)| Arc::clone(&row.price))
    }
}
