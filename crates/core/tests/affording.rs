//! The check of budgets: what is granted, what the ledger is asked for, what is refused and in which
//! words; and that no order of calls takes more than there is.

use std::{cell::RefCell, collections::BTreeMap};

use proptest::prelude::*;
use tollgate_core::{
    admit::{
        Check,
        afford::{
            Afford, Afforded, Asked, Grant, OUTPUT_TOKENS_LEAST, Purse, ROUNDS_MAX, Wish, afford,
            granted_words,
        },
    },
    budget::{
        Budget,
        funds::{Available, Funds, Hold, Leg, Short},
        held::{HeldBudget, Level},
    },
    code::Code,
    id::{AccountId, BudgetId, TenantId},
    money::{
        amount::Amount,
        cost::Ask,
        price::{Price, PriceSpec},
    },
};

/// 2026-01-01T00:00:00Z.
const NEW_YEAR_US: i64 = 1_767_225_600_000_000;

/// What a process has, and what its ledger has.
#[derive(Default)]
struct Purses {
    here: RefCell<BTreeMap<AccountId, Available>>,
    ledger: RefCell<BTreeMap<AccountId, i64>>,
}

fn atoms(atoms: i64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

impl Purses {
    fn with(self, held: &HeldBudget, free: i64, rest: Option<i64>) -> Self {
        let account = held.account(NEW_YEAR_US);
        let rest_here = rest.map(|_| Amount::ZERO);
        self.here
            .borrow_mut()
            .insert(account, Available { free: atoms(free), rest: rest_here, is_overrun: false });
        self.ledger.borrow_mut().insert(account, rest.unwrap_or(0));
        self
    }

    /// What the keeper does: takes `min(free, at_least)` out of the ledger.
    fn refill(&self, account: AccountId, at_least: Amount) {
        let mut ledger = self.ledger.borrow_mut();
        let free = ledger.entry(account).or_insert(0);
        let given = at_least.atoms().min(*free);
        *free -= given;
        let mut here = self.here.borrow_mut();
        let own = here.entry(account).or_default();
        own.free = own.free.checked_add(atoms(given)).unwrap();
        own.rest = Some(atoms(*free));
    }
}

impl Funds for Purses {
    fn reserve(&self, accounts: &[AccountId], amount: Amount) -> Result<Hold, Short> {
        assert!(accounts.is_sorted_by(|one, two| one < two), "rising, each once");
        let mut here = self.here.borrow_mut();
        for account in accounts {
            let found = here.get(account).copied().unwrap_or_default();
            if found.is_overrun || found.free < amount {
                return Err(Short { account: *account });
            }
        }
        for account in accounts {
            let own = here.get_mut(account).unwrap();
            own.free = own.free.checked_sub(amount).unwrap();
        }
        let legs = accounts.iter().map(|account| Leg { account: *account, lease: 1 }).collect();
        Ok(Hold { amount, legs })
    }

    fn available(&self, account: AccountId) -> Available {
        self.here.borrow().get(&account).copied().unwrap_or_default()
    }
}

fn held(id: u64, level: Level, lines: &str) -> HeldBudget {
    let currency = if lines.contains("currency") { "" } else { "currency = 'USD'\n" };
    let spec = toml::from_str(&format!("tenant = 'acme'\n{currency}{lines}")).unwrap();
    let budget = Budget::compile(&spec).unwrap();
    let (id, tenant) = (BudgetId(id), TenantId(1));
    HeldBudget { id, level, subject: id.0, holder: "acme/maps/b".into(), tenant, period: spec.period, budget }
}

fn hard() -> HeldBudget {
    held(1, Level::Consumer, "amount = '25.00'\nperiod = 'month'")
}

fn watching(id: u64) -> HeldBudget {
    held(id, Level::Project, "amount = '1.00'\nperiod = 'once'\nmode = 'observe'")
}

/// One dollar per million tokens read, two per million produced: 1,000 and 2,000 atoms a token.
fn price() -> Price {
    let spec: PriceSpec =
        toml::from_str("provider = 'openai'\nmodel = 'm'\ninput = '1'\noutput = '2'").unwrap();
    Price::compile(&spec).unwrap()
}

/// 100 tokens read and 1,000 produced: at most 2,100,000 atoms.
const ASK: Ask = Ask { input_tokens: 100, output_tokens: 1_000, choices: 1, searches: 0 };
const BOUND: i64 = 2_100_000;

fn decide(purses: &[&HeldBudget], wish: Wish<'_>, asked: Asked, funds: &Purses) -> Afforded {
    let purses: Vec<Purse<'_>> = purses.iter().map(|held| Purse::at(held, NEW_YEAR_US)).collect();
    afford(Afford { purses: &purses, wish, asked }, funds)
}

fn priced(price: &Price) -> Wish<'_> {
    Wish::Priced { price, ask: ASK, is_limitable: true }
}

fn granted(afforded: Afforded) -> Grant {
    match afforded {
        Afforded::Granted(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

fn refused(afforded: Afforded) -> (Code, String) {
    match afforded {
        Afforded::Refused(refusal) => (refusal.code, refusal.detail.into()),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_call_reserves_its_bound_from_every_budget_or_from_none() {
    let (own, project, price) = (hard(), held(2, Level::Project, "amount = '1.00'\nperiod = 'day'"), price());
    let funds = Purses::default().with(&own, 5_000_000, Some(0)).with(&project, 2_100_000, Some(0));
    let grant = granted(decide(&[&own, &project], priced(&price), Asked::Times(0), &funds));
    assert_eq!((grant.hold.amount.atoms(), grant.hold.legs.len(), grant.output_limit), (BOUND, 2, None));
    // The project has nothing left, so nothing is taken from the consumer either.
    let (code, detail) = refused(decide(&[&own, &project], priced(&price), Asked::Times(1), &funds));
    assert_eq!(code, Code::BudgetExhausted);
    assert_eq!(
        detail,
        "the budget of project acme/maps/b of 1.00 USD per day has 0.00 left, and this call may cost at least \
         0.000132; it begins anew at 2026-01-02T00:00:00Z"
    );
    assert_eq!(funds.available(own.account(NEW_YEAR_US)).free.atoms(), 5_000_000 - BOUND);
}

#[test]
fn what_is_short_is_asked_of_the_ledger_until_it_has_no_more() {
    let (own, price) = (hard(), price());
    let funds = Purses::default().with(&own, 100_000, Some(5_000_000));
    let Afforded::Short(lacks) = decide(&[&own], priced(&price), Asked::Times(0), &funds) else {
        panic!("the ledger has more");
    };
    assert_eq!((lacks[0].purse, lacks[0].at_least.atoms()), (0, BOUND - 100_000));
    funds.refill(own.account(NEW_YEAR_US), lacks[0].at_least);
    let grant = granted(decide(&[&own], priced(&price), Asked::Times(1), &funds));
    assert_eq!((grant.hold.amount.atoms(), grant.output_limit), (BOUND, None));
    // Others took what it gave: it is asked again, and not for ever.
    for times in 1..ROUNDS_MAX {
        let again = decide(&[&own], priced(&price), Asked::Times(times), &funds);
        assert!(matches!(again, Afforded::Short(_)), "{times}");
    }
    let last = decide(&[&own], priced(&price), Asked::Times(ROUNDS_MAX), &funds);
    assert_eq!(refused(last).0, Code::BudgetExhausted);
}

#[test]
fn output_is_limited_to_what_is_affordable_rather_than_refused() {
    let (own, price) = (hard(), price());
    for (free, limit) in [
        (BOUND - 1, Some(999)),
        (100_000 + 2_000 * OUTPUT_TOKENS_LEAST.cast_signed(), Some(OUTPUT_TOKENS_LEAST)),
        (100_000 + 2_000 * OUTPUT_TOKENS_LEAST.cast_signed() - 1, None),
        (99_999, None),
    ] {
        let funds = Purses::default().with(&own, free, Some(0));
        let answer = decide(&[&own], priced(&price), Asked::Times(1), &funds);
        match limit {
            Some(limit) => {
                let grant = granted(answer);
                assert_eq!(grant.output_limit, Some(limit), "{free}");
                let purses = [Purse::at(&own, NEW_YEAR_US)];
                let case = Afford { purses: &purses, wish: priced(&price), asked: Asked::Times(1) };
                assert!(granted_words(case, &grant).contains(&format!("limited to {limit} tokens")));
            }
            None => assert_eq!(refused(answer).0, Code::BudgetExhausted, "{free}"),
        }
    }
    let funds = Purses::default().with(&own, BOUND - 1, Some(0));
    let fixed = Wish::Priced { price: &price, ask: ASK, is_limitable: false };
    assert_eq!(refused(decide(&[&own], fixed, Asked::Times(1), &funds)).0, Code::BudgetExhausted);
}

#[test]
fn what_has_no_price_is_refused_by_hard_budgets_only() {
    let (own, watching) = (hard(), watching(2));
    let credits = held(3, Level::Key, "currency = 'credits'\namount = '100'\nperiod = 'once'");
    let (price, funds) = (price(), Purses::default().with(&own, BOUND, Some(0)));
    let unpriced = Wish::Unpriced("the model has no price");
    let (code, detail) = refused(decide(&[&watching, &own], unpriced, Asked::Times(0), &funds));
    assert_eq!(code, Code::Unpriceable);
    assert_eq!(
        detail,
        "the budget of consumer acme/maps/b of 25.00 USD per month is hard, and nobody can say what this call \
         may cost: the model has no price"
    );
    let grant = granted(decide(&[&watching], unpriced, Asked::Times(0), &funds));
    assert_eq!((grant.hold.is_empty(), grant.left_out.to_vec()), (true, vec![0]));
    assert_eq!(refused(decide(&[&credits], priced(&price), Asked::Times(0), &funds)).0, Code::Unpriceable);
    assert!(granted(decide(&[], unpriced, Asked::Times(0), &funds)).hold.is_empty());
}

#[test]
fn who_only_observes_denies_nothing_and_a_silent_ledger_denies_what_is_hard() {
    let (own, watching, price) = (hard(), watching(2), price());
    let funds = Purses::default().with(&own, BOUND, Some(0));
    let grant = granted(decide(&[&own, &watching], priced(&price), Asked::InVain, &funds));
    assert_eq!((grant.hold.legs.len(), grant.left_out.to_vec()), (1, vec![1]));
    let (code, detail) = refused(decide(&[&own, &watching], priced(&price), Asked::InVain, &funds));
    assert_eq!((code, detail.contains("gives no answer")), (Code::Overloaded, true));
}

#[test]
fn an_overrun_budget_pays_nothing_until_it_is_made_up_for() {
    let (own, price) = (hard(), price());
    let funds = Purses::default().with(&own, 10 * BOUND, Some(10 * BOUND));
    funds.here.borrow_mut().values_mut().for_each(|own| own.is_overrun = true);
    let first = decide(&[&own], priced(&price), Asked::Times(0), &funds);
    assert!(matches!(first, Afforded::Short(_)), "the ledger may have made up for it");
    let (code, detail) = refused(decide(&[&own], priced(&price), Asked::Times(1), &funds));
    assert_eq!((code, detail.contains("more was used")), (Code::BudgetExhausted, true));
}

#[test]
fn a_glance_takes_nothing_and_tells_whether_anything_is_left() {
    let own = hard();
    for (free, rest, asked, wanted) in [
        (1, Some(0), 0, "granted"),
        (0, Some(1), 0, "short"),
        (0, None, 0, "short"),
        (0, Some(0), 1, "refused"),
        (0, None, 1, "refused"),
    ] {
        let funds = Purses::default().with(&own, free, rest);
        let found = match decide(&[&own], Wish::Nothing, Asked::Times(asked), &funds) {
            Afforded::Granted(grant) => {
                assert!(grant.hold.is_empty());
                "granted"
            }
            Afforded::Short(_) => "short",
            Afforded::Refused(_) => "refused",
        };
        assert_eq!(found, wanted, "{free} {rest:?} {asked}");
    }
    let watching = watching(2);
    assert!(matches!(
        decide(&[&watching], Wish::Nothing, Asked::Times(0), &Purses::default()),
        Afforded::Granted(_)
    ));
}

#[test]
fn a_refusal_becomes_the_decision_and_its_check() {
    let (own, price) = (hard(), price());
    let funds = Purses::default().with(&own, 0, Some(0));
    let service = crate::fixture::service("");
    let policy = crate::fixture::policy("");
    let facts = tollgate_core::facts::Facts {
        service: Some(&service),
        method: Some("GET"),
        path: Some("/tiles/1"),
        cost: 1,
        ..Default::default()
    };
    let record = crate::fixture::record();
    let case = tollgate_core::admit::Case {
        facts: &facts,
        record: &record,
        policy: Some(&policy),
        blocks: tollgate_core::blocks::Blocks::NONE,
        now: crate::fixture::NOW,
    };
    let mut decision = tollgate_core::admit::admit(case, &crate::fixture::Memory::default());
    let purses = [Purse::at(&own, NEW_YEAR_US)];
    let afforded = afford(Afford { purses: &purses, wish: priced(&price), asked: Asked::Times(1) }, &funds);
    decision.note_afforded(&purses, &afforded);
    assert_eq!((decision.code, decision.failed), (Code::BudgetExhausted, Some(Check::Budget)));
    assert!(decision.configured.contains(Check::Budget) && !decision.passed.contains(Check::Budget));
    let steps = tollgate_core::explain::trace(case, &decision);
    let last = steps.last().unwrap();
    assert_eq!(last.check, "budget");
    assert!(last.detail.contains("has 0.00 left"), "{}", last.detail);
}

proptest! {
    /// I7, I9: whatever is asked, what is granted is within what is there, in every account; a limited
    /// call costs no more than what was taken for it; and nothing is taken from anybody else.
    #[test]
    fn never_more_is_granted_than_there_is(
        frees in prop::collection::vec(0i64..5_000_000, 1..5),
        rests in prop::collection::vec(0i64..3_000_000, 5),
        calls in prop::collection::vec((0u64..2_000, 0u64..3_000, 1u32..4, any::<bool>()), 1..20),
    ) {
        let budgets: Vec<HeldBudget> = (1..=frees.len() as u64)
            .map(|id| held(id, Level::Key, "amount = '1.00'\nperiod = 'once'"))
            .collect();
        let mut funds = Purses::default();
        for ((budget, free), rest) in budgets.iter().zip(&frees).zip(&rests) {
            funds = funds.with(budget, *free, Some(*rest));
        }
        let all: Vec<&HeldBudget> = budgets.iter().collect();
        let price = price();
        let mut taken = 0;
        for (input_tokens, output_tokens, choices, is_limitable) in calls {
            let ask = Ask { input_tokens, output_tokens, choices, searches: 0 };
            let mut asked = 0;
            let answer = loop {
                let wish = Wish::Priced { price: &price, ask, is_limitable };
                match decide(&all, wish, Asked::Times(asked), &funds) {
                    Afforded::Short(lacks) => {
                        prop_assert!(asked < ROUNDS_MAX);
                        asked += 1;
                        for lack in lacks {
                            funds.refill(all[lack.purse].account(NEW_YEAR_US), lack.at_least);
                        }
                    }
                    answer => break answer,
                }
            };
            let bound = price.upper_bound(ask).unwrap();
            match answer {
                Afforded::Granted(grant) => {
                    let limited = Ask { output_tokens: grant.output_limit.unwrap_or(output_tokens), ..ask };
                    prop_assert!(limited.output_tokens <= output_tokens);
                    prop_assert_eq!(grant.hold.amount, price.upper_bound(limited).unwrap());
                    prop_assert!(grant.output_limit.is_none() || is_limitable);
                    taken += grant.hold.amount.atoms();
                }
                Afforded::Refused(refusal) => {
                    prop_assert_eq!(refusal.code, Code::BudgetExhausted);
                    let poorest = all.iter().map(|own| funds.available(own.account(NEW_YEAR_US)).free).min();
                    prop_assert!(poorest.unwrap() < bound, "refused although there was enough");
                }
                Afforded::Short(_) => panic!("the loop ends with an answer"),
            }
        }
        for ((budget, free), rest) in budgets.iter().zip(&frees).zip(&rests) {
            let account = budget.account(NEW_YEAR_US);
            let left = funds.available(account).free.atoms() + funds.ledger.borrow()[&account];
            prop_assert!(left >= 0);
            prop_assert_eq!(left + taken, free + rest);
        }
    }
}
