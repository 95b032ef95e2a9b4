//! Budgets as written and compiled, and the arithmetic around them.

use proptest::prelude::*;
use tollgate_core::{
    budget::{
        Budget, Lease, account_of, lease,
        spec::{BudgetMode, BudgetSpec, HolderSpec},
    },
    money::amount::{Amount, Currency},
};

/// 2026-01-01T00:00:00Z.
const NEW_YEAR_US: i64 = 1_767_225_600_000_000;

#[derive(serde::Deserialize)]
struct Budgets {
    budget: Vec<BudgetSpec>,
}

fn spec(lines: &str) -> BudgetSpec {
    toml::from_str::<Budgets>(&format!("[[budget]]\n{lines}")).unwrap().budget.remove(0)
}

fn atoms(atoms: i64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

#[test]
fn the_example_of_the_contract_is_read_and_compiled() {
    let spec = spec(
        "project = 'maps'\nconsumer = 'android-team'\ncurrency = 'USD'\namount = '25.00'\nperiod = 'month'",
    );
    assert_eq!(spec.holder(), Ok(HolderSpec::Consumer { project: "maps", consumer: "android-team" }));
    let written = toml::to_string(&spec).unwrap();
    assert_eq!(toml::from_str::<BudgetSpec>(&written).unwrap(), spec);
    let budget = Budget::compile(&spec).unwrap();
    assert_eq!((budget.amount.atoms(), budget.mode), (25_000_000_000, BudgetMode::Hard));
    assert_eq!(&*budget.thresholds, [50, 80, 100]);
    let window = budget.window(NEW_YEAR_US - 1);
    assert_eq!(window.end_us, NEW_YEAR_US);
    assert_eq!(budget.window(NEW_YEAR_US).start_us, NEW_YEAR_US, "a new month begins at its first moment");
}

#[test]
fn a_budget_that_means_nothing_is_refused_everything_at_once() {
    let fields = |lines: &str| {
        let errors = Budget::compile(&spec(lines)).unwrap_err();
        errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
    };
    assert_eq!(
        fields(
            "currency = 'credits'\namount = '0.5'\nperiod = 'day'\ntime_zone = 'Mars'\nthresholds = [80, 0, 80]\n\
             refill = { amount = '-1', every = 'day' }"
        ),
        ["project", "amount", "time_zone", "time_zone", "refill", "thresholds[1]", "thresholds"]
    );
    assert_eq!(fields("consumer = 'x'\ncurrency = 'USD'\namount = '1'\nperiod = 'once'"), ["project"]);
    let key = "key = 'key_00000000001'\nconsumer = 'x'\nproject = 'p'\n";
    assert_eq!(fields(&format!("{key}currency = 'USD'\namount = '1'\nperiod = 'once'")), ["consumer"]);
    for lines in
        ["amount = 25.0\nperiod = 'once'", "amount = '1'\nperiod = 'year'", "amount = '1'\nperiode = 'once'"]
    {
        let text = format!("[[budget]]\nproject = 'p'\ncurrency = 'USD'\n{lines}");
        assert!(toml::from_str::<Budgets>(&text).is_err(), "{lines}");
    }
}

#[test]
fn thresholds_are_crossed_once() {
    let budget = Budget::compile(&spec(
        "project = 'p'\ncurrency = 'credits'\namount = '10'\nperiod = 'once'\nthresholds = [50, 80, 100]",
    ))
    .unwrap();
    let crossed = |from, to| budget.crossed(atoms(from), atoms(to)).collect::<Vec<_>>();
    assert_eq!(crossed(0, 4), [] as [u8; 0]);
    assert_eq!(crossed(4, 5), [50]);
    assert_eq!(crossed(5, 7), [] as [u8; 0]);
    assert_eq!(crossed(4, 10), [50, 80, 100]);
    assert_eq!(crossed(10, 12), [] as [u8; 0]);
    assert_eq!(budget.window(0).end_us, i64::MAX, "once is for ever");
}

#[test]
fn an_account_is_one_budget_in_one_period() {
    let month =
        Budget::compile(&spec("project = 'p'\ncurrency = 'USD'\namount = '1'\nperiod = 'month'")).unwrap();
    let account = |budget, wall_us| account_of(budget, month.window(wall_us));
    assert_eq!(account(7, NEW_YEAR_US), account(7, NEW_YEAR_US + 1_000_000));
    assert_ne!(account(7, NEW_YEAR_US), account(7, NEW_YEAR_US - 1));
    assert_ne!(account(7, NEW_YEAR_US), account(8, NEW_YEAR_US));
}

#[test]
fn a_refill_never_fills_over_its_bound() {
    let budget = Budget::compile(&spec(
        "project = 'p'\ncurrency = 'USD'\namount = '10'\nperiod = 'once'\nrefill = { amount = '4', every = 'day' }",
    ))
    .unwrap();
    let refill = budget.refill.unwrap();
    let usd = |text| Amount::parse(text, Currency::USD).unwrap();
    assert_eq!(refill.adds(usd("0")), usd("4"));
    assert_eq!(refill.adds(usd("8")), usd("2"));
    assert_eq!(refill.adds(usd("10")), Amount::ZERO);
    assert_eq!(refill.adds(usd("11")), Amount::ZERO);
}

proptest! {
    /// All nodes together never lease more than is left, and what one holds shrinks near the end.
    #[test]
    fn leases_fit_and_shrink(left in 0i64..1_000_000_000, nodes in 1u32..100, least in 1i64..1_000, most in 1_000i64..1_000_000) {
        match lease(atoms(left), nodes, atoms(least), atoms(most)) {
            Lease::Chunk(chunk) => {
                prop_assert!(chunk.atoms() * 4 * i64::from(nodes) <= left);
                prop_assert!((least..=most).contains(&chunk.atoms()));
            }
            Lease::EachCall => prop_assert!(left / 4 / i64::from(nodes) < least),
        }
    }
}
