//! Whether a call can be paid for: the check after all others, asked of calls that have a price.
//!
//! A call reserves the most that it can cost from every budget of its key, consumer, project and
//! tenant, all or none, before it is sent. Where money is left for less than that, its output is limited
//! to what is affordable rather than refused. What has no price is refused where a budget is hard (I11).
//!
//! Pure but for `funds`, which are moved only when everything fits. Whether the ledger has more is not
//! known here: [`Afforded::Short`] says what to ask it for, and then this is asked again.

use smallvec::SmallVec;

use super::{Check, Decision};
use crate::{
    budget::{
        account_of,
        funds::{Available, Funds, Hold, LEGS_USUAL},
        held::HeldBudget,
        spec::BudgetMode,
    },
    code::Code,
    id::AccountId,
    money::{
        amount::{Amount, Currency},
        cost::Ask,
        price::Price,
    },
    period::Window,
    time::rfc3339,
};

/// How often the ledger is asked for one call before the call has to do with what there is. More than
/// once, for others may take what it gave.
pub const ROUNDS_MAX: u8 = 4;
/// Budgets that can be charged for one call: a record of the journal has room for so many.
pub const PAYERS_MAX: usize = 16;
/// The least output that a call is limited to; with less money it is refused. OpenAI's responses accept
/// no smaller limit.
pub const OUTPUT_TOKENS_LEAST: u64 = 16;
/// How often it is tried to take what is free, while other calls take and give.
const ATTEMPTS_MAX: usize = 8;

/// One budget of a call.
#[derive(Clone, Copy, Debug)]
pub struct Purse<'a> {
    /// The account of the present period.
    pub account: AccountId,
    /// The budget, with who holds it.
    pub held: &'a HeldBudget,
    /// The present period.
    pub window: Window,
}

impl<'a> Purse<'a> {
    /// The purse of a budget at a moment.
    #[must_use]
    pub fn at(held: &'a HeldBudget, wall_us: i64) -> Self {
        let window = held.budget.window(wall_us);
        Self { account: account_of(held.id.0, window), held, window }
    }

    fn is_hard(&self) -> bool {
        self.held.budget.mode == BudgetMode::Hard
    }
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub enum Wish<'a> {
    /// So much at most, at this price.
    Priced {
        /// The price.
        price: &'a Price,
        /// The most that the call may use.
        ask: Ask,
        /// Whether its output can be limited.
        is_limitable: bool,
    },
    /// Nobody knows what it costs; why, in words.
    Unpriced(&'a str),
    /// Nothing yet: whether there is anything left at all.
    Nothing,
}

/// How the ledger was asked for this call so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// So many times, and it answered.
    Times(u8),
    /// It gives no answer.
    InVain,
}

/// What is decided.
#[derive(Clone, Copy, Debug)]
pub struct Afford<'a> {
    /// The budgets of the call, each account once.
    pub purses: &'a [Purse<'a>],
    /// What it asks for.
    pub wish: Wish<'a>,
    /// How the ledger was asked so far.
    pub asked: Asked,
}

/// What an account lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Which of [`Afford::purses`].
    pub purse: usize,
    /// What this call needs beyond what is here: the ledger should give this much if it has it.
    pub at_least: Amount,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Afforded {
    /// The call may go.
    Granted(Grant),
    /// Ask the ledger for this, then decide again. Nothing was taken.
    Short(SmallVec<[Lack; LEGS_USUAL]>),
    /// The call may not go; nothing was taken.
    Refused(Refusal),
}

/// A call that may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// What was taken for it. Empty without budgets, and where it costs nothing.
    pub hold: Hold,
    /// The most tokens that each of its answers may have, when that is less than it asks for.
    pub output_limit: Option<u64>,
    /// Which of [`Afford::purses`] are not charged: of another currency than the price, or without
    /// answer from the ledger. They observe only.
    pub left_out: SmallVec<[usize; LEGS_USUAL]>,
}

/// A call that may not go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// [`Code::BudgetExhausted`], [`Code::Unpriceable`], or [`Code::Overloaded`] when the ledger gives no
    /// answer.
    pub code: Code,
    /// Which of [`Afford::purses`] refuses.
    pub purse: usize,
    /// In words, for the client.
    pub detail: Box<str>,
}

/// Decides. Takes from `funds` what it grants.
pub fn afford(case: Afford<'_>, funds: &dyn Funds) -> Afforded {
    match case.wish {
        _ if case.purses.is_empty() => Afforded::Granted(Grant::default()),
        Wish::Unpriced(why) => unpriced(case.purses, why),
        Wish::Nothing => glance(case, funds),
        Wish::Priced { price, ask, is_limitable } => {
            if let Some(refusal) = other_currency(case.purses, price.currency) {
                return Afforded::Refused(refusal);
            }
            match price.upper_bound(ask) {
                Ok(bound) if bound == Amount::ZERO => Afforded::Granted(Grant::default()),
                Ok(bound) => Priced::new(case, price, ask).decide(bound, is_limitable, funds),
                Err(error) => unpriced(case.purses, &error.to_string()),
            }
        }
    }
}

impl Decision {
    /// Takes over what was decided of the budgets: what a refused call is told, and that a check was
    /// asked at all. Nothing for a call without budgets, and while the ledger is to be asked.
    pub fn note_afforded(&mut self, purses: &[Purse<'_>], afforded: &Afforded) {
        if purses.is_empty() {
            return;
        }
        match afforded {
            Afforded::Short(_) => {}
            Afforded::Granted(_) => {
                self.configured.insert(Check::Budget);
                self.passed.insert(Check::Budget);
            }
            Afforded::Refused(refusal) => {
                self.configured.insert(Check::Budget);
                self.refuse(Check::Budget, refusal.code, refusal.detail.clone().into());
                self.retry_after_ns = None;
            }
        }
    }
}

/// What was granted, in words, for a trace; empty without budgets.
#[must_use]
pub fn granted_words(case: Afford<'_>, grant: &Grant) -> String {
    let of = |purse: &Purse<'_>| {
        format!("{}: {} reserved", purse.held, grant.hold.amount.to_text(purse.held.budget.currency))
    };
    let held = |(index, purse): (usize, _)| (!grant.left_out.contains(&index)).then_some(purse);
    let mut parts: Vec<String> = case.purses.iter().enumerate().filter_map(held).map(of).collect();
    if let Some(limit) = grant.output_limit {
        parts.push(format!("output limited to {limit} tokens, which is what is affordable"));
    }
    parts.join("; ")
}

/// A call without a price: only who merely observes lets it pass.
fn unpriced(purses: &[Purse<'_>], why: &str) -> Afforded {
    let hard = purses.iter().enumerate().find(|(_, purse)| purse.is_hard());
    match hard {
        None => Afforded::Granted(Grant { left_out: (0..purses.len()).collect(), ..Grant::default() }),
        Some((index, purse)) => Afforded::Refused(Refusal {
            code: Code::Unpriceable,
            purse: index,
            detail: format!("{} is hard, and nobody can say what this call may cost: {why}", purse.held)
                .into(),
        }),
    }
}

fn other_currency(purses: &[Purse<'_>], currency: Currency) -> Option<Refusal> {
    let is_other =
        |(_, purse): &(usize, &Purse<'_>)| purse.is_hard() && purse.held.budget.currency != currency;
    purses.iter().enumerate().find(is_other).map(|(index, purse)| Refusal {
        code: Code::Unpriceable,
        purse: index,
        detail: format!("the model is priced in {currency}, and {} cannot pay that", purse.held).into(),
    })
}

/// Whether every hard budget has anything left; takes nothing.
fn glance(case: Afford<'_>, funds: &dyn Funds) -> Afforded {
    let mut lacks = SmallVec::new();
    for (index, purse) in case.purses.iter().enumerate().filter(|(_, purse)| purse.is_hard()) {
        let found = funds.available(purse.account);
        match (found.left(), case.asked) {
            (Some(left), _) if left > Amount::ZERO => {}
            (_, Asked::Times(0)) => lacks.push(Lack { purse: index, at_least: Amount::ZERO }),
            (None, _) => return Afforded::Refused(silent(index, purse)),
            (Some(_), _) => return Afforded::Refused(exhausted(index, purse, found, None)),
        }
    }
    if lacks.is_empty() { Afforded::Granted(Grant::default()) } else { Afforded::Short(lacks) }
}

/// A call with a price and budgets in its currency.
struct Priced<'a> {
    case: Afford<'a>,
    price: &'a Price,
    ask: Ask,
    /// Budgets that are charged, by the order of their accounts, with their places.
    payers: SmallVec<[(usize, &'a Purse<'a>); LEGS_USUAL]>,
    left_out: SmallVec<[usize; LEGS_USUAL]>,
}

impl<'a> Priced<'a> {
    fn new(case: Afford<'a>, price: &'a Price, ask: Ask) -> Self {
        let mut payers = SmallVec::new();
        let mut left_out = SmallVec::new();
        for (index, purse) in case.purses.iter().enumerate() {
            if purse.held.budget.currency == price.currency {
                payers.push((index, purse));
            } else {
                left_out.push(index);
            }
        }
        payers.sort_unstable_by_key(|(_, purse): &(usize, &Purse<'_>)| purse.account);
        payers.dedup_by_key(|(_, purse): &mut (usize, &Purse<'_>)| purse.account);
        Self { case, price, ask, payers, left_out }
    }

    fn decide(mut self, bound: Amount, is_limitable: bool, funds: &dyn Funds) -> Afforded {
        if self.payers.len() > PAYERS_MAX {
            let detail = format!("more than {PAYERS_MAX} budgets would have to be charged for one call");
            return Afforded::Refused(Refusal { code: Code::Unpriceable, purse: 0, detail: detail.into() });
        }
        for _ in 0..ATTEMPTS_MAX {
            if self.payers.is_empty() {
                return Afforded::Granted(self.granted(Hold::default(), None));
            }
            if let Ok(hold) = funds.reserve(&self.accounts(), bound) {
                return Afforded::Granted(self.granted(hold, None));
            }
            let found = self.found(funds);
            let lacks = self.to_be_asked(&found, bound);
            if !lacks.is_empty() {
                return Afforded::Short(lacks);
            }
            // The ledger has no more, or does not say: do with what is here.
            self.leave_out_observers(&found, bound);
            let found = self.found(funds);
            let Some((poorest, money)) = self.poorest(&found) else { continue };
            if money >= bound {
                continue;
            }
            let (ask, amount) = match self.affordable(money, is_limitable) {
                Some(affordable) => affordable,
                None => return Afforded::Refused(self.refused(poorest, &found, bound)),
            };
            if let Ok(hold) = funds.reserve(&self.accounts(), amount) {
                return Afforded::Granted(self.granted(hold, Some(ask.output_tokens)));
            }
        }
        // Others take faster than this call can look: they get on, and it may try again.
        let (purse, detail) = (0, "many calls take from the same budget at once; try again".into());
        Afforded::Refused(Refusal { code: Code::Overloaded, purse, detail })
    }

    fn accounts(&self) -> SmallVec<[AccountId; LEGS_USUAL]> {
        self.payers.iter().map(|(_, purse)| purse.account).collect()
    }

    fn found(&self, funds: &dyn Funds) -> SmallVec<[Available; LEGS_USUAL]> {
        self.payers.iter().map(|(_, purse)| funds.available(purse.account)).collect()
    }

    /// What the ledger is to be asked for; nothing when asking again would not help.
    fn to_be_asked(&self, found: &[Available], bound: Amount) -> SmallVec<[Lack; LEGS_USUAL]> {
        let Asked::Times(times) = self.case.asked else { return SmallVec::new() };
        if times >= ROUNDS_MAX {
            return SmallVec::new();
        }
        let lack = |((index, _), found): (&(usize, &Purse<'_>), &Available)| {
            let at_least = bound.checked_sub(found.free).filter(|lack| *lack > Amount::ZERO);
            let has_none = times > 0 && found.rest.is_some_and(|rest| rest <= Amount::ZERO);
            let may_help = !found.is_overrun || times == 0;
            match at_least {
                None if found.is_overrun && times == 0 => {
                    Some(Lack { purse: *index, at_least: Amount::ZERO })
                }
                Some(at_least) if !has_none && may_help => Some(Lack { purse: *index, at_least }),
                _ => None,
            }
        };
        self.payers.iter().zip(found).filter_map(lack).collect()
    }

    /// Who only observes denies nothing: an account of theirs that the ledger gives nothing for is not
    /// charged by this call.
    fn leave_out_observers(&mut self, found: &[Available], bound: Amount) {
        let mut found = found.iter();
        let left_out = &mut self.left_out;
        self.payers.retain(|(index, purse)| {
            let has_enough = found.next().is_some_and(|found| !found.is_overrun && found.free >= bound);
            let stays = purse.is_hard() || has_enough;
            if !stays {
                left_out.push(*index);
            }
            stays
        });
    }

    /// The payer with the least, and how much that is.
    fn poorest(&self, found: &[Available]) -> Option<(usize, Amount)> {
        let spendable = |found: &Available| if found.is_overrun { Amount::ZERO } else { found.free };
        found.iter().map(spendable).enumerate().min_by_key(|(_, free)| *free)
    }

    /// The largest call within `money`, and what it may cost.
    fn affordable(&self, money: Amount, is_limitable: bool) -> Option<(Ask, Amount)> {
        if !is_limitable {
            return None;
        }
        let output =
            self.price.affordable_output(self.ask, money).ok().flatten()?.min(self.ask.output_tokens);
        if output < OUTPUT_TOKENS_LEAST.min(self.ask.output_tokens) {
            return None;
        }
        let ask = Ask { output_tokens: output, ..self.ask };
        let amount = self.price.upper_bound(ask).ok()?;
        (amount <= money).then_some((ask, amount))
    }

    fn granted(self, hold: Hold, output_limit: Option<u64>) -> Grant {
        Grant { hold, output_limit, left_out: self.left_out }
    }

    fn refused(&self, place: usize, found: &[Available], bound: Amount) -> Refusal {
        let Some(((index, purse), found)) = self.payers.get(place).zip(found.get(place)) else {
            let detail = "a budget gave no clear answer; try again later".into();
            return Refusal { code: Code::Overloaded, purse: 0, detail };
        };
        match (self.case.asked, found.is_overrun) {
            (Asked::InVain, false) => silent(*index, purse),
            _ => {
                let least = OUTPUT_TOKENS_LEAST.min(self.ask.output_tokens);
                let smallest = self.price.upper_bound(Ask { output_tokens: least, ..self.ask });
                exhausted(*index, purse, *found, Some(smallest.unwrap_or(bound).min(bound)))
            }
        }
    }
}

/// A budget that has too little, `needed` being the least that the call could do with.
fn exhausted(index: usize, purse: &Purse<'_>, found: Available, needed: Option<Amount>) -> Refusal {
    let currency = purse.held.budget.currency;
    let free = if found.is_overrun { Amount::ZERO } else { found.free.max(Amount::ZERO) };
    let mut detail = format!("{} has {} left", purse.held, free.to_text(currency));
    if let Some(needed) = needed {
        detail.push_str(&format!(", and this call may cost at least {}", needed.to_text(currency)));
    }
    if found.is_overrun {
        detail.push_str("; more was used of it than was set aside");
    }
    if purse.window.end_us < i64::MAX {
        detail.push_str(&format!("; it begins anew at {}", rfc3339(purse.window.end_us)));
    }
    Refusal { code: Code::BudgetExhausted, purse: index, detail: detail.into() }
}

/// The ledger gives no answer, and what is not known is not spent.
fn silent(index: usize, purse: &Purse<'_>) -> Refusal {
    let detail = format!("the ledger of {} gives no answer now; try again later", purse.held);
    Refusal { code: Code::Overloaded, purse: index, detail: detail.into() }
}
