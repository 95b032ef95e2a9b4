//! The money side of a call's account: what it holds, what its attempts were charged, what its record says.
//!
//! Keeps I8: what an attempt holds is settled exactly once, by its answer, or by being dropped: then a
//! reservation that may have gone upstream is charged, and one that has not is given back.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use smallvec::SmallVec;
use tollgate_core::{
    admit::{self, Decision},
    budget::funds::{Hold, LEGS_USUAL},
    counters::{Counters, Refund, Rule},
    money::amount::{Amount, Currency},
    policy::Policy,
    resource::Unit,
    time::Now,
};
use tollgate_journal::{Charge, Charges, DRAWS_MAX, Draw, Draws, Entry, Flags, Record, Tokens};

use super::{
    Gateway,
    bill::{Charged, Terms},
    flow::Flow,
};

/// The money side of one call.
pub(crate) struct CallAccount<C: Counters + 'static> {
    /// The model that was asked last.
    model: Box<str>,
    tokens: Tokens,
    /// Of all attempts.
    total_tokens: u64,
    cost: Amount,
    currency: Option<Currency>,
    is_estimated: bool,
    draws: SmallVec<[Draw; LEGS_USUAL]>,
    open: Option<Attempt>,
    counted: Option<Counted>,
    /// Whether a record says what of quotas this call holds.
    is_held: bool,
    /// The answer that is on its way to the client.
    pub(crate) flow: Option<Rc<RefCell<Flow<C>>>>,
}

/// One attempt that is under way.
struct Attempt {
    hold: Hold,
    /// The number of the record that opened it; `None` while there is none, and where nothing is held of
    /// budgets or quotas.
    reservation: Option<u64>,
    terms: Rc<Terms>,
    /// Whether any of it may have reached the upstream.
    is_sent: bool,
}

/// What limits and quotas took for a call, before it was known what it uses.
struct Counted {
    policy: Arc<Policy>,
    charged: SmallVec<[admit::Charged; 4]>,
    at: Now,
}

/// The reservation cannot be written down, and so the attempt must not be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrecorded;

impl<C: Counters + 'static> CallAccount<C> {
    /// The account of a call that was let through.
    pub(crate) fn open(decision: &Decision, policy: Option<&Arc<Policy>>, at: Now) -> Box<Self> {
        let counted = policy.filter(|_| !decision.charged.is_empty());
        let counted = counted.map(|policy| Counted {
            policy: Arc::clone(policy),
            charged: decision.charged.clone(),
            at,
        });
        Box::new(Self {
            model: Box::default(),
            tokens: Tokens::default(),
            total_tokens: 0,
            cost: Amount::ZERO,
            currency: None,
            is_estimated: false,
            draws: SmallVec::new(),
            open: None,
            counted,
            is_held: false,
            flow: None,
        })
    }

    /// Takes what an attempt holds. Nothing must be held already.
    pub(crate) fn hold(&mut self, hold: Hold, terms: Rc<Terms>) {
        self.model = terms.model.clone();
        self.open = Some(Attempt { hold, reservation: None, terms, is_sent: false });
    }

    /// Writes the reservation into the journal, before the first byte goes upstream; from now on it may
    /// have been spent. `charges` are those of the call: the first attempt writes down what they hold of
    /// quotas in tokens, for all attempts.
    ///
    /// # Errors
    /// [`Unrecorded`]; it is given back then.
    pub(crate) fn send(
        &mut self,
        gateway: &Gateway<C>,
        (entry, number): (Entry, u64),
        charges: &[Charge],
    ) -> Result<(), Unrecorded> {
        let Some(attempt) = &self.open else { return Ok(()) };
        let held: SmallVec<[Charge; 2]> = match &self.counted {
            Some(counted) if !self.is_held => {
                charges.iter().filter(|charge| counted.is_of_tokens(charge)).copied().collect()
            }
            _ => SmallVec::new(),
        };
        if !attempt.hold.is_empty() || !held.is_empty() {
            let has_room = self.draws.len() + attempt.hold.legs.len() <= DRAWS_MAX;
            let quotas = (!held.is_empty()).then_some((number, &*held));
            let recorded = if has_room { reserve(gateway, entry, attempt, quotas) } else { None };
            let Some(reservation) = recorded else {
                self.settle(gateway, Charged::default());
                return Err(Unrecorded);
            };
            self.is_held |= !held.is_empty();
            if let Some(attempt) = &mut self.open {
                attempt.reservation = Some(reservation);
            }
        }
        if let Some(attempt) = &mut self.open {
            attempt.is_sent = true;
        }
        Ok(())
    }

    /// Ends the attempt that is under way.
    pub(crate) fn settle(&mut self, gateway: &Gateway<C>, charged: Charged) {
        let Some(attempt) = self.open.take() else { return };
        if let Some((cost, currency)) = charged.cost {
            self.cost = self.cost.checked_add(cost).unwrap_or(Amount::MAX);
            self.currency = Some(currency);
        }
        if charged.is_estimated {
            gateway.meters.estimated.increment(1);
        }
        self.is_estimated |= charged.is_estimated;
        self.total_tokens = self.total_tokens.saturating_add(charged.total_tokens());
        add(&mut self.tokens, &charged.tokens);
        if attempt.hold.is_empty() {
            return;
        }
        for drawn in gateway.shared.treasury.settle(&attempt.hold, charged.amount()) {
            if charged.amount() > attempt.hold.amount {
                gateway.meters.exceeded.increment(1);
            }
            let Some(reservation) = attempt.reservation else { continue };
            self.draws.push(Draw {
                reservation,
                account: drawn.leg.account.0,
                lease: drawn.leg.lease,
                reserved: drawn.reserved.atoms(),
                used: drawn.used.atoms(),
            });
        }
    }

    /// Ends it all: what is open still, and what limits took too much or too little of.
    pub(crate) fn close(&mut self, gateway: &Gateway<C>, charges: &mut [Charge]) {
        if let Some(attempt) = &self.open {
            let charged = if attempt.is_sent { attempt.terms.unknown() } else { Charged::default() };
            self.settle(gateway, charged);
        }
        let Some(counted) = self.counted.take() else { return };
        let used = self.total_tokens;
        counted.correct(gateway, |rule| (rule.unit == Unit::Tokens).then_some(used));
        charges
            .iter_mut()
            .filter(|charge| counted.is_of_tokens(charge))
            .for_each(|charge| charge.amount = used);
    }

    /// The call is not made: gives back all that limits and quotas took for it.
    pub(crate) fn undo(&mut self, gateway: &Gateway<C>) {
        if let Some(counted) = self.counted.take() {
            counted.correct(gateway, |_| Some(0));
        }
    }

    /// Marks for the call's record.
    pub(crate) fn flags(&self) -> Flags {
        let estimated = if self.is_estimated { Flags::ESTIMATED } else { Flags::default() };
        estimated.with(if self.is_held { Flags::HELD } else { Flags::default() })
    }

    /// The call's part of its record.
    pub(crate) fn record(&self) -> Record<'_> {
        Record {
            model: &self.model,
            tokens: self.tokens,
            cost: self.cost.atoms(),
            currency: self.currency.map(currency_bytes).unwrap_or_default(),
            // Nothing is sent that there is no room for.
            draws: Draws::new(&self.draws).unwrap_or_default(),
            ..Record::default()
        }
    }

    /// The cost so far, where there is a price.
    pub(crate) fn cost(&self) -> Option<(Amount, Currency)> {
        self.currency.map(|currency| (self.cost, currency))
    }
}

impl Counted {
    /// Whether a charge is of a quota in tokens.
    fn is_of_tokens(&self, charge: &Charge) -> bool {
        self.policy.rules.iter().any(|rule| rule.id.0 == charge.rule && rule.unit == Unit::Tokens)
    }

    /// Makes limits and quotas count what `used` says instead of what they took; where it says nothing,
    /// what they took stays.
    fn correct<C: Counters + 'static>(&self, gateway: &Gateway<C>, used: impl Fn(&Rule) -> Option<u64>) {
        let now = gateway.now();
        for charged in &self.charged {
            let rule = self.policy.rules.get(usize::from(charged.rule));
            let Some((rule, used)) = rule.and_then(|rule| Some((rule, used(rule)?))) else { continue };
            let (subject, taken) = (charged.subject, charged.amount);
            gateway.shared.counters.refund(&Refund { rule, subject, taken, used, at: self.at }, now);
        }
    }
}

/// Writes the record that opens a reservation, with the number of the call and what it holds of quotas; gives
/// the record's own number.
fn reserve<C: Counters + 'static>(
    gateway: &Gateway<C>,
    entry: Entry,
    attempt: &Attempt,
    quotas: Option<(u64, &[Charge])>,
) -> Option<u64> {
    let ticket = gateway.ticket().ok()?;
    let reservation = ticket.decision().number;
    let draw = |leg: &tollgate_core::budget::funds::Leg| Draw {
        reservation,
        account: leg.account.0,
        lease: leg.lease,
        reserved: attempt.hold.amount.atoms(),
        used: 0,
    };
    let draws: SmallVec<[Draw; LEGS_USUAL]> = attempt.hold.legs.iter().map(draw).collect();
    let currency = attempt.terms.price.as_ref().map(|price| currency_bytes(price.currency));
    let record = Record {
        entry: Entry { flags: Flags::RESERVATION, ..entry },
        model: &attempt.terms.model,
        currency: currency.unwrap_or_default(),
        draws: Draws::new(&draws).ok()?,
        charges: Charges::new(quotas.map_or(&[][..], |(_, charges)| charges)).ok()?,
        held_for: quotas.map(|(number, _)| number),
        ..Record::default()
    };
    gateway.append(ticket, &record).ok()?;
    Some(reservation)
}

/// A currency as the journal keeps it: its text, zeros behind it.
fn currency_bytes(currency: Currency) -> [u8; 8] {
    let mut bytes = [0; 8];
    match currency {
        Currency::Money([a, b, c]) => [bytes[0], bytes[1], bytes[2]] = [a, b, c],
        Currency::Credits => bytes.copy_from_slice(b"credits\0"),
    }
    bytes
}

fn add(sum: &mut Tokens, more: &Tokens) {
    sum.input = sum.input.saturating_add(more.input);
    sum.cached_input = sum.cached_input.saturating_add(more.cached_input);
    sum.cache_write = sum.cache_write.saturating_add(more.cache_write);
    sum.output = sum.output.saturating_add(more.output);
    sum.reasoning = sum.reasoning.saturating_add(more.reasoning);
}
