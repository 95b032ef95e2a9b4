//! The counters of one node: deciding a request's charges together.
//!
//! Invariant: between asking the first cell and writing the last one, all of them are held, always
//! in the order of their addresses. So no interleaving lets more pass than a limit, none waits in
//! a circle, and what is refused was never written (I22).

use std::sync::MutexGuard;

use papaya::Guard;
use smallvec::SmallVec;
use tollgate_core::{
    counters::{Charge, Counters, Lack, Measure, Refund, Refusal, Rule, RuleId, Standing, Standings},
    period::Window,
    time::Now,
};

use crate::{
    calendar,
    cells::{CELLS_MAX_DEFAULT, Cell, Cells, Full, Key},
    lease::{Part, Quotas},
    refused::Refused,
    state::State,
};

/// How many charges are handled without allocating; a policy rarely has more rules.
const USUAL: usize = 4;

/// The present window of each charge.
type Windows = SmallVec<[Window; USUAL]>;

/// Limits, quotas and concurrency of one node, in memory.
pub struct LocalCounters {
    cells: Cells,
    quotas: Quotas,
}

impl Default for LocalCounters {
    fn default() -> Self {
        Self::new(CELLS_MAX_DEFAULT)
    }
}

impl LocalCounters {
    /// Counters with at most `cells_max` cells; about 100 bytes each.
    #[must_use]
    pub fn new(cells_max: usize) -> Self {
        Self { cells: Cells::new(cells_max), quotas: Quotas::Counted }
    }

    /// The same, with quotas kept in this way.
    #[must_use]
    pub fn with_quotas(self, quotas: Quotas) -> Self {
        Self { quotas, ..self }
    }

    /// How quotas are kept.
    #[must_use]
    pub const fn quotas(&self) -> Quotas {
        self.quotas
    }

    /// Adds what was leased of a quota in a period. `false` when it is of no use here, because the period is
    /// over or there is no room for another subject: then it must go back.
    pub fn grant(&self, rule: RuleId, subject: u64, window: Window, part: &Part) -> bool {
        let pin = self.cells.pin();
        let key = key_of(rule, subject);
        loop {
            let fresh = || State::Leased { window, lease: crate::lease::Lease::default() };
            let Ok(cell) = self.cells.find_or_make(key, fresh, &pin) else { return false };
            let mut state = cell.hold();
            if *state != State::Gone {
                let granted = state.grant(window, part);
                *state = granted.unwrap_or(*state);
                return granted.is_some();
            }
            drop(state);
            self.cells.drop_gone(key, &pin);
        }
    }

    /// Takes out what is free of what was leased of a quota in a period, so that it can go back.
    pub fn take_back(&self, rule: RuleId, subject: u64, window: Window) -> u64 {
        let pin = self.cells.pin();
        self.cells.find(key_of(rule, subject), &pin).map_or(0, |cell| cell.hold().take_back(window))
    }

    /// What is free of what was leased of a quota in a period.
    #[must_use]
    pub fn free(&self, rule: RuleId, subject: u64, window: Window) -> u64 {
        let pin = self.cells.pin();
        self.cells.find(key_of(rule, subject), &pin).map_or(0, |cell| cell.hold().free(window))
    }

    /// How many cells there are.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells.count()
    }

    /// Puts back what a subject has used of a quota in a period, as the database knows it. Never
    /// lowers a count: what was counted here and is not yet in the database stays. An older period
    /// than the one that is counted is ignored.
    ///
    /// # Errors
    /// [`Refusal::Full`] when there is no room for another subject; its requests are refused then.
    pub fn seed(&self, rule: RuleId, subject: u64, window: Window, used: u64) -> Result<(), Refusal> {
        if self.quotas == Quotas::Leased {
            // What others use this process cannot use: it was not set aside for it.
            return Ok(());
        }
        let pin = self.cells.pin();
        let key = Key { rule: rule.0, subject };
        loop {
            let fresh = || State::Quota { window, used, seeded: used };
            let cell = self.cells.find_or_make(key, fresh, &pin).map_err(|Full| Refusal::Full)?;
            let mut state = cell.hold();
            if *state != State::Gone {
                *state = state.seed(window, used);
                return Ok(());
            }
            drop(state);
            self.cells.drop_gone(key, &pin);
        }
    }

    /// Drops every cell that is as good as new: rates that are full again, periods that are over,
    /// nothing in flight. Returns how many. To be called now and then (a minute is right) from a
    /// thread that may work for some 50 ms a million cells; nobody waits for it.
    pub fn sweep(&self, now: Now) -> usize {
        self.cells.sweep(now)
    }

    /// The cells of the charges; `None` for one that is only asked and has no cell.
    fn cells_of<'g>(
        &self,
        charges: &[Charge<'_>],
        windows: &[Window],
        pin: &'g impl Guard,
    ) -> Result<SmallVec<[Option<&'g Cell>; USUAL]>, Full> {
        let mut cells = SmallVec::new();
        for (charge, window) in charges.iter().zip(windows) {
            let key = key_of(charge.rule.id, charge.subject);
            cells.push(if charge.amount == 0 {
                self.cells.find(key, pin)
            } else {
                let fresh = || State::fresh(charge.rule, *window, self.quotas);
                Some(self.cells.find_or_make(key, fresh, pin)?)
            });
        }
        Ok(cells)
    }
}

impl Counters for LocalCounters {
    fn take(&self, charges: &[Charge<'_>], now: Now, standings: &mut Standings) -> Result<(), Refusal> {
        standings.clear();
        // Asked once each: several questions below need them.
        let windows: Windows = charges.iter().map(|charge| calendar::window(charge.rule, now)).collect();
        let pin = self.cells.pin();
        loop {
            let cells = self.cells_of(charges, &windows, &pin).map_err(|Full| Refusal::Full)?;
            if let Some(mut held) = Held::new(&cells) {
                held.quotas = self.quotas;
                return held.decide((charges, &windows), now, standings);
            }
            // A sweep came between finding a cell and holding it.
            for charge in charges {
                self.cells.drop_gone(key_of(charge.rule.id, charge.subject), &pin);
            }
        }
    }

    fn release(&self, rule: RuleId, subject: u64) {
        let pin = self.cells.pin();
        // A cell with something in flight is never dropped, so it is there.
        if let Some(cell) = self.cells.find(key_of(rule, subject), &pin)
            && let State::InFlight { count } = &mut *cell.hold()
        {
            *count = count.saturating_sub(1);
        }
    }

    fn refund(&self, refund: &Refund<'_>, now: Now) {
        let pin = self.cells.pin();
        let key = key_of(refund.rule.id, refund.subject);
        if self.quotas == Quotas::Leased && matches!(refund.rule.measure, Measure::Quota(_)) {
            // What was set aside is never forgotten: the cell may have been dropped meanwhile.
            let fresh = || State::fresh(refund.rule, calendar::window(refund.rule, refund.at), self.quotas);
            let _found_or_full = self.cells.find_or_make(key, fresh, &pin);
        }
        // A cell that is gone was as good as new: there is nothing to give back to.
        if let Some(cell) = self.cells.find(key, &pin) {
            let mut state = cell.hold();
            *state = state.refund(refund, now);
        }
    }

    fn peek(&self, rule: &Rule, subject: u64, now: Now) -> Standing {
        let pin = self.cells.pin();
        let window = calendar::window(rule, now);
        let state = self.cells.find(key_of(rule.id, subject), &pin).map(|cell| *cell.hold());
        let state = state.filter(|state| *state != State::Gone);
        state.unwrap_or_else(|| State::fresh(rule, window, self.quotas)).at(now, window).standing(rule, now)
    }

    fn lack(&self, charge: &Charge<'_>, now: Now) -> Option<Lack> {
        if self.quotas == Quotas::Counted || !matches!(charge.rule.measure, Measure::Quota(_)) {
            return None;
        }
        let pin = self.cells.pin();
        let window = calendar::window(charge.rule, now);
        let state = self.cells.find(key_of(charge.rule.id, charge.subject), &pin).map(|cell| *cell.hold());
        let state = state.filter(|state| *state != State::Gone);
        let state = state.unwrap_or_else(|| State::fresh(charge.rule, window, self.quotas));
        state.at(now, window).lack(charge)
    }
}

fn key_of(rule: RuleId, subject: u64) -> Key {
    Key { rule: rule.0, subject }
}

/// The cells of one request, all held.
struct Held<'g> {
    cells: SmallVec<[(&'g Cell, MutexGuard<'g, State>); USUAL]>,
    /// Which of `cells` a charge counts in; two charges may count in one.
    of_charge: SmallVec<[Option<usize>; USUAL]>,
    quotas: Quotas,
}

impl<'g> Held<'g> {
    /// Holds each cell once, in the order of their addresses. `None` when one is gone.
    fn new(found: &[Option<&'g Cell>]) -> Option<Self> {
        let mut distinct: SmallVec<[&'g Cell; USUAL]> = found.iter().copied().flatten().collect();
        distinct.sort_unstable_by_key(|cell| std::ptr::from_ref(*cell));
        distinct.dedup_by_key(|cell| std::ptr::from_ref(*cell));
        let mut cells = SmallVec::new();
        for cell in distinct {
            let state = cell.hold();
            if *state == State::Gone {
                return None;
            }
            cells.push((cell, state));
        }
        let place = |cell: &Cell| cells.iter().position(|(held, _): &(&Cell, _)| std::ptr::eq(*held, cell));
        let of_charge = found.iter().map(|cell| cell.and_then(place)).collect();
        Some(Self { cells, of_charge, quotas: Quotas::default() })
    }

    /// Takes all charges or none.
    fn decide(
        &mut self,
        (charges, windows): (&[Charge<'_>], &[Window]),
        now: Now,
        standings: &mut Standings,
    ) -> Result<(), Refusal> {
        let mut after = self.states();
        let mut short = None;
        let asked = || charges.iter().zip(windows).enumerate();
        for (index, (charge, window)) in asked() {
            let outcome = self.present(&after, index, (charge, *window), now).take(charge, now);
            match (outcome, self.of_charge.get(index).copied().flatten().and_then(|at| after.get_mut(at))) {
                (Ok(state), Some(cell)) => *cell = state,
                (Ok(_), None) => {}
                // What another charge has no room for is not worth asking for.
                (Err(Refused::Short), _) => short = short.or(Some(index)),
                (Err(Refused::Exhausted { retry_after_ns }), _) => {
                    let before = self.states();
                    for (at, (charge, window)) in asked().take(index + 1) {
                        let present = self.present(&before, at, (charge, *window), now);
                        standings.push(present.standing(charge.rule, now));
                    }
                    return Err(Refusal::Exhausted { index, retry_after_ns });
                }
            }
        }
        if let Some(index) = short {
            return Err(Refusal::Short { index });
        }
        for (index, (charge, window)) in asked() {
            standings.push(self.present(&after, index, (charge, *window), now).standing(charge.rule, now));
        }
        for ((_, cell), state) in self.cells.iter_mut().zip(after) {
            **cell = state;
        }
        Ok(())
    }

    /// What the cells count; nothing is written before all charges pass.
    fn states(&self) -> SmallVec<[State; USUAL]> {
        self.cells.iter().map(|(_, state)| **state).collect()
    }

    /// The count of a charge among `states`, at `now`; a fresh one when it has no cell.
    fn present(
        &self,
        states: &[State],
        index: usize,
        (charge, window): (&Charge<'_>, Window),
        now: Now,
    ) -> State {
        let state = self.of_charge.get(index).copied().flatten().and_then(|at| states.get(at));
        state.map_or_else(|| State::fresh(charge.rule, window, self.quotas), |state| state.at(now, window))
    }
}
