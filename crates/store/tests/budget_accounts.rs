//! Accounts of budgets: they follow what the budget says, and tell when a threshold is reached.

use tollgate_core::{
    budget::{
        Budget, account_of,
        held::{HeldBudget, Level},
        spec::{BudgetMode, BudgetPeriod, BudgetSpec, RefillSpec},
    },
    id::{BudgetId, TenantId},
    money::amount::Currency,
    period::PeriodUnit,
};
use tollgate_store::{AccountFilter, PageRequest};

use crate::{
    leases::{FIRST, POT, amount, assert_balanced, balance, call, draw, lease, open, ship, want},
    world::{NOW, SECOND, World},
};

/// A month of 100, hard.
fn budget(atoms: &str, mode: BudgetMode, refill: Option<RefillSpec>) -> HeldBudget {
    let period = if refill.is_some() { BudgetPeriod::Once } else { BudgetPeriod::Month };
    let spec = BudgetSpec {
        tenant: Some("acme".into()),
        project: None,
        consumer: None,
        key: None,
        currency: Currency::Credits,
        amount: atoms.into(),
        period,
        time_zone: None,
        refill,
        thresholds: None,
        mode,
    };
    HeldBudget {
        id: BudgetId(77),
        level: Level::Tenant,
        subject: 1,
        holder: "acme".into(),
        tenant: TenantId(1),
        period,
        budget: Budget::compile(&spec).unwrap(),
    }
}

/// Accounts follow their budgets: up at once, down as far as nothing is held, refilled once a period.
pub(crate) async fn an_account_follows_its_budget(world: World) {
    let store = &world.store;
    let held = budget("100", BudgetMode::Hard, None);
    let window = held.budget.window(NOW);
    let pot = account_of(77, window);
    for _ in 0..2 {
        assert!(!store.follow_budget(&held, window, NOW).await.unwrap().is_behind);
    }
    lease(store, FIRST, &want(pot, 1, 60, 60)).await;
    let more = budget("150", BudgetMode::Hard, None);
    assert!(!store.follow_budget(&more, window, NOW + 1).await.unwrap().is_behind);
    assert_eq!(balance(store, pot).await, [150, 60, 0, 0]);
    let less = budget("40", BudgetMode::Hard, None);
    assert!(store.follow_budget(&less, window, NOW + 2).await.unwrap().is_behind, "60 are held");
    assert_eq!(balance(store, pot).await, [60, 60, 0, 0]);
    assert!(store.give_back(FIRST, (pot, 2), amount(50), NOW).await.unwrap());
    assert!(!store.follow_budget(&less, window, NOW + 3).await.unwrap().is_behind);
    assert_eq!(balance(store, pot).await, [40, 10, 0, 0]);
    let watched = budget("5", BudgetMode::Observe, None);
    store.follow_budget(&watched, window, NOW + 4).await.unwrap();
    assert_eq!(lease(store, FIRST, &want(pot, 3, 500, 500)).await.0, 500);

    let refill = RefillSpec { amount: "30".into(), every: PeriodUnit::Day, up_to: None };
    let once = budget("100", BudgetMode::Hard, Some(refill));
    let window = once.budget.window(NOW);
    let pot = account_of(77, window);
    store.follow_budget(&once, window, NOW).await.unwrap();
    lease(store, FIRST, &want(pot, 1, 80, 80)).await;
    store.follow_budget(&once, window, NOW - 1).await.unwrap();
    assert_eq!(balance(store, pot).await, [100, 80, 0, 0]);
    // What is in leases is not spent, and is not refilled.
    store.follow_budget(&once, window, NOW + 86_400 * SECOND).await.unwrap();
    assert_eq!(balance(store, pot).await, [100, 80, 0, 0]);
    ship(store, FIRST.boot, vec![call(0, 9, vec![draw(1, pot, 80, 80)])]).await;
    for day in [1, 1, 2, 2, 3, 4] {
        store.follow_budget(&once, window, NOW + day * 86_400 * SECOND).await.unwrap();
    }
    assert_eq!(balance(store, pot).await, [180, 0, 80, 0], "30, 30, and 20 up to 100 left");
    let filter = AccountFilter { budget: Some(BudgetId(77)), ..AccountFilter::default() };
    let listed = store.accounts(&filter, &PageRequest { limit: 10, cursor: None }).await.unwrap().items;
    assert_eq!(listed.len(), 2);
    assert_balanced(store).await;
}

/// A process that has not yet heard what a budget says now changes nothing.
pub(crate) async fn an_older_budget_changes_no_account(world: World) {
    let world = world.furnished().await;
    let store = &world.store;
    let text = "INSERT INTO budgets (id, tenant, level, subject, currency, period, name, spec, version) \
                SELECT 77, id, 3, id, 'credits', 'month', 'acme', '{\"tenant\": \"acme\", \
                \"currency\": \"credits\", \"amount\": \"40\", \"period\": \"month\", \"mode\": \"hard\"}', 1 \
                FROM tenants";
    assert_eq!(world.raw(text).await, 1);
    let (older, present) = (budget("100", BudgetMode::Observe, None), budget("40", BudgetMode::Hard, None));
    let window = present.budget.window(NOW);
    let pot = account_of(77, window);
    for (turn, held) in [&older, &present, &older, &older].into_iter().enumerate() {
        assert!(!store.follow_budget(held, window, NOW + turn as i64).await.unwrap().is_behind);
        if turn > 0 {
            assert_eq!(balance(store, pot).await, [40, 0, 0, 0]);
        }
    }
    assert_eq!(lease(store, FIRST, &want(pot, 1, 50, 50)).await.0, 0, "it is hard");
    assert_balanced(store).await;
}

pub(crate) async fn a_threshold_is_told_once(world: World) {
    let store = &world.store;
    open(store, POT, true, 100).await;
    for is_new in [true, false] {
        assert_eq!(store.tell_threshold(POT, (50, amount(51)), NOW).await.unwrap(), is_new);
    }
    assert!(store.tell_threshold(POT, (80, amount(81)), NOW + 5).await.unwrap());
    let told = store.thresholds_told(Some(TenantId(1)), (NOW, NOW + 6)).await.unwrap();
    assert_eq!(told.iter().map(|told| told.percent).collect::<Vec<_>>(), [50, 80]);
    assert!(store.thresholds_told(Some(TenantId(2)), (NOW, NOW + 6)).await.unwrap().is_empty());
}
