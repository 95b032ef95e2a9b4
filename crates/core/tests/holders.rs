//! Budgets by who holds them, and the prices of tenants.

use std::collections::HashMap;

use tollgate_core::{
    budget::{
        Budget,
        held::{Budgets, HeldBudget, Level},
        spec::BudgetSpec,
    },
    id::{BudgetId, ConsumerId, KeyId, ProjectId, TenantId},
    money::{
        price::{PriceSpec, Provider},
        prices::{Prices, STARTING},
        table::Wanted,
    },
};

fn held(id: u64, level: Level, subject: u64) -> HeldBudget {
    let spec: BudgetSpec =
        toml::from_str("tenant = \"acme\"\ncurrency = \"USD\"\namount = \"25.00\"\nperiod = \"month\"")
            .unwrap();
    HeldBudget {
        id: BudgetId(id),
        level,
        subject,
        holder: "acme/maps/android".into(),
        tenant: TenantId(1),
        period: spec.period,
        budget: Budget::compile(&spec).unwrap(),
    }
}

#[test]
fn a_call_is_charged_to_the_budgets_of_its_key_consumer_project_and_tenant() {
    let budgets: Budgets = [
        held(5, Level::Tenant, 1),
        held(2, Level::Consumer, 3),
        held(1, Level::Consumer, 3),
        held(4, Level::Project, 2),
        held(9, Level::Key, 4),
        held(7, Level::Key, 3),
    ]
    .into_iter()
    .collect();
    let of = |key, consumer, project, tenant| {
        let found = budgets.of(KeyId(key), ConsumerId(consumer), ProjectId(project), TenantId(tenant));
        found.iter().map(|held| held.id.0).collect::<Vec<_>>()
    };
    assert_eq!(of(4, 3, 2, 1), [9, 1, 2, 4, 5]);
    assert_eq!(of(8, 8, 2, 1), [4, 5]);
    assert_eq!(of(8, 8, 8, 8), [0; 0]);
    assert_eq!(budgets.iter().count(), 6);
}

#[test]
fn a_budget_is_named_with_its_holder_amount_and_period() {
    let words = held(1, Level::Consumer, 3).to_string();
    assert_eq!(words, "the budget of consumer acme/maps/android of 25.00 USD per month");
}

fn own(tenant: Option<&str>, model: &str, input: &str) -> PriceSpec {
    let tenant = tenant.map(|name| format!("tenant = \"{name}\"\n")).unwrap_or_default();
    toml::from_str(&format!("{tenant}provider = \"openai\"\nmodel = \"{model}\"\ninput = \"{input}\""))
        .unwrap()
}

#[test]
fn a_tenants_price_comes_before_the_operators_and_that_before_the_shipped_one() {
    let shipped = STARTING.as_ref().unwrap();
    let known = shipped.iter().find(|row| row.provider == Provider::OpenAi && row.service_tier.is_none());
    let model = known.unwrap().model.clone();
    let written = HashMap::from([
        (None, vec![own(None, &model, "7")]),
        (Some(TenantId(1)), vec![own(Some("acme"), "*", "3")]),
    ]);
    let prices = Prices::compile(&written).unwrap();
    let input = |prices: &Prices, tenant, model: &str| {
        let wanted = Wanted { provider: Provider::OpenAi, model, service_tier: None };
        prices.price(TenantId(tenant), wanted, 0).map(|price| price.base.input)
    };
    let rate = |text: &str| Some(text.parse().unwrap());
    assert_eq!(input(&prices, 1, &model), rate("3"));
    assert_eq!(input(&prices, 2, &model), rate("7"));
    assert_eq!(input(&Prices::default(), 2, &model), Some(known.unwrap().rates.input));
    assert_eq!(input(&prices, 2, "no-such-model"), None);
}
