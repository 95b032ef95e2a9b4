//! Budgets: as people write them ([`spec`]), compiled, and the arithmetic around them: which period a
//! call belongs to, which thresholds a payment crosses, what a refill adds, how much a node may lease;
//! and the port to what this process may spend ([`funds`]).
//!
//! The balances themselves live in the ledger of the store; here is only what is decided of them.
//! [`held`] finds the budgets of a call by who holds them.

pub mod funds;
pub mod held;
pub mod spec;

use sha2::{Digest as _, Sha256};

use crate::{
    budget::spec::{BudgetMode, BudgetPeriod, BudgetSpec},
    field_error::FieldError,
    id::AccountId,
    money::amount::{Amount, Currency},
    period::{Period, Window},
};

/// Thresholds that one budget may have.
pub const THRESHOLDS_MAX: usize = 8;
/// Thresholds of a budget that names none, in percent.
pub const THRESHOLDS: [u8; 3] = [50, 80, 100];

/// A budget ready to be asked.
#[derive(Clone, Debug)]
pub struct Budget {
    /// What it is of.
    pub currency: Currency,
    /// How much, for ever or in each period.
    pub amount: Amount,
    /// The period; `None` for ever.
    pub period: Option<Period>,
    /// What is added again and again.
    pub refill: Option<Refill>,
    /// Percent at which an event tells so, rising.
    pub thresholds: Box<[u8]>,
    /// What happens at its end.
    pub mode: BudgetMode,
}

/// What is added again and again.
#[derive(Clone, Debug)]
pub struct Refill {
    /// How much each time.
    pub amount: Amount,
    /// At the beginning of which period.
    pub every: Period,
    /// What is left never grows over this.
    pub up_to: Amount,
}

impl Budget {
    /// Compiles what was written.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field and remedy.
    pub fn compile(spec: &BudgetSpec) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        errors.extend(spec.holder().err());
        let amount = amount("amount", &spec.amount, spec.currency, &mut errors);
        let zone = spec.time_zone.as_deref().unwrap_or("UTC");
        let mut period_of = |unit| {
            Period::new(unit, zone).map_err(|error| errors.push(FieldError::new("time_zone", error))).ok()
        };
        let period = spec.period.unit().and_then(&mut period_of);
        let every = spec.refill.as_ref().and_then(|refill| period_of(refill.every));
        let refill = spec.refill.as_ref().zip(every).and_then(|(refill, every)| {
            let up_to = refill.up_to.as_ref().unwrap_or(&spec.amount);
            Some(Refill {
                amount: self::amount("refill.amount", &refill.amount, spec.currency, &mut errors)?,
                up_to: self::amount("refill.up_to", up_to, spec.currency, &mut errors)?,
                every,
            })
        });
        if spec.refill.is_some() && spec.period != BudgetPeriod::Once {
            errors.push(FieldError::new(
                "refill",
                "a budget with a period begins anew by itself; use `period = \"once\"` to refill it",
            ));
        }
        let thresholds = spec.thresholds.as_deref().unwrap_or(&THRESHOLDS);
        check_thresholds(thresholds, &mut errors);
        match amount {
            Some(amount) if errors.is_empty() => Ok(Self {
                currency: spec.currency,
                amount,
                period,
                refill,
                thresholds: thresholds.into(),
                mode: spec.mode,
            }),
            _ => Err(errors),
        }
    }

    /// The period that a call admitted at this moment is charged to. For ever is one period of all
    /// time.
    #[must_use]
    pub fn window(&self, wall_us: i64) -> Window {
        const ALWAYS: Window = Window { start_us: 0, end_us: i64::MAX };
        self.period.as_ref().map_or(ALWAYS, |period| period.window_at(wall_us))
    }

    /// The thresholds that are reached after a payment and were not before it, for the events that
    /// tell so. A budget of nothing has none.
    pub fn crossed(&self, spent_before: Amount, spent_after: Amount) -> impl Iterator<Item = u8> {
        let whole = i128::from(self.amount.atoms());
        let reached = move |spent: Amount, percent: u8| {
            whole > 0 && i128::from(spent.atoms()) * 100 >= whole * i128::from(percent)
        };
        let crossed =
            move |percent: &&u8| reached(spent_after, **percent) && !reached(spent_before, **percent);
        self.thresholds.iter().filter(crossed).copied()
    }
}

impl Refill {
    /// What one refill adds when so much is left.
    #[must_use]
    pub fn adds(&self, left: Amount) -> Amount {
        let room = self.up_to.checked_sub(left).unwrap_or(Amount::ZERO).max(Amount::ZERO);
        self.amount.min(room)
    }
}

/// The ledger's account of a budget in one period: every node opens the same one. `budget` is the id of
/// the budget's row.
#[must_use]
pub fn account_of(budget: u64, window: Window) -> AccountId {
    let hash = Sha256::new()
        .chain_update(b"account")
        .chain_update(budget.to_le_bytes())
        .chain_update(window.start_us.to_le_bytes())
        .finalize();
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash);
    AccountId::from_random([a, b, c, d, e, f, g, h])
}

/// How much of a budget a node takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This much, to be spent without asking again.
    Chunk(Amount),
    /// So little is left that each call asks the ledger, so that the last of it can be spent too.
    EachCall,
}

/// How much a node may lease when `left` is free and `nodes` are alive: a fourth of its share, between
/// `least` and `most`. Chunks shrink as the budget does, so that what a crash withholds shrinks too.
#[must_use]
pub fn lease(left: Amount, nodes: u32, least: Amount, most: Amount) -> Lease {
    let share = left.atoms() / 4 / i64::from(nodes.max(1));
    let chunk = Amount::from_atoms(share).unwrap_or(Amount::ZERO);
    if chunk < least || chunk <= Amount::ZERO { Lease::EachCall } else { Lease::Chunk(chunk.min(most)) }
}

/// An amount that is not below zero.
fn amount(field: &str, text: &str, currency: Currency, errors: &mut Vec<FieldError>) -> Option<Amount> {
    match Amount::parse(text, currency) {
        Ok(amount) if amount >= Amount::ZERO => return Some(amount),
        Ok(_) => errors.push(FieldError::new(field, format!("`{text}` is below zero; a budget is not"))),
        Err(error) => errors.push(FieldError::new(field, error)),
    }
    None
}

fn check_thresholds(thresholds: &[u8], errors: &mut Vec<FieldError>) {
    if thresholds.len() > THRESHOLDS_MAX {
        let count = thresholds.len();
        errors.push(FieldError::new(
            "thresholds",
            format!("{count} of them; at most {THRESHOLDS_MAX} are allowed"),
        ));
    }
    for (index, percent) in thresholds.iter().enumerate() {
        if !(1..=100).contains(percent) {
            errors.push(FieldError::new(
                format!("thresholds[{index}]"),
                format!("{percent} is outside 1 to 100 percent"),
            ));
        }
    }
    if !thresholds.is_sorted_by(|one, two| one < two) {
        errors.push(FieldError::new("thresholds", "write them in rising order, each once"));
    }
}
