//! The list of budgets: who holds them, what is spent of them in the present period.

use askama::Template;
use axum::response::Response;
use tollgate_core::{
    authz::Action,
    budget::{THRESHOLDS, held::BUDGETS_PER_HOLDER_MAX, spec::BudgetSpec},
    id::{ConsumerId, KeyId},
    money::amount::Amount,
};
use tollgate_store::{AccountRow, BudgetFilter, BudgetView, PageRequest};

use super::{
    pieces::Html,
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};
use crate::admin::budgets::present_account;

#[derive(Template)]
#[template(path = "budgets.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    older: Option<String>,
    search: String,
    may_change: bool,
}

/// A budget as a line of a list.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) holder: String,
    pub(crate) level: &'static str,
    pub(crate) period: &'static str,
    pub(crate) is_hard: bool,
    pub(crate) spent: String,
    pub(crate) limit: String,
    pub(crate) percent: u64,
    pub(crate) meter: Html,
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let mut filter = BudgetFilter::all(visit.scope(Action::ReadBudgets)?);
    filter.search = visit.query.owned("search");
    let page = visit.store().list_budgets(&filter, &visit.rows()).await?;
    let rows = rows(&visit, page.items).await?;
    html(&Page {
        rows,
        older: visit.older(page.next.as_deref()),
        search: visit.query.owned("search").unwrap_or_default(),
        may_change: visit.may_all(Action::ChangeResources),
        shell: visit.shell("Budgets"),
    })
}

/// The budgets of one holder, where the role may see them.
pub(super) async fn held_by(
    visit: &Visit,
    key: Option<KeyId>,
    consumer: Option<ConsumerId>,
) -> Result<Vec<Row>, Trouble> {
    if !visit.may(Action::ReadBudgets) {
        return Ok(Vec::new());
    }
    let filter = BudgetFilter { key, consumer, ..BudgetFilter::all(visit.scope(Action::ReadBudgets)?) };
    let page = PageRequest { limit: BUDGETS_PER_HOLDER_MAX as u32, cursor: None };
    let found = visit.store().list_budgets(&filter, &page).await?;
    rows(visit, found.items).await
}

/// Budgets as lines, with what is spent of each.
pub(super) async fn rows(visit: &Visit, budgets: Vec<BudgetView>) -> Result<Vec<Row>, Trouble> {
    let mut rows = Vec::with_capacity(budgets.len());
    for budget in budgets {
        let account = present_account(visit.store(), &budget, visit.now_us).await?;
        rows.push(row(&budget, account.as_ref()));
    }
    Ok(rows)
}

fn row(budget: &BudgetView, account: Option<&AccountRow>) -> Row {
    let (spent, limit) = spent_and_limit(&budget.spec, account);
    Row {
        id: budget.id.to_string(),
        holder: budget.holder.clone(),
        level: budget.level.name(),
        period: period_words(&budget.spec),
        is_hard: budget.spec.mode == tollgate_core::budget::spec::BudgetMode::Hard,
        spent: words(spent, &budget.spec),
        limit: words(limit, &budget.spec),
        percent: percent(spent, limit),
        meter: meter(spent, limit, budget.spec.thresholds.as_deref().unwrap_or(&THRESHOLDS)),
    }
}

/// What is spent in a period and what may be: what was brought in, or before the first call what the budget
/// gives.
pub(super) fn spent_and_limit(spec: &BudgetSpec, account: Option<&AccountRow>) -> (Amount, Amount) {
    match account {
        Some(account) => (account.balance.spent, account.balance.funded),
        None => (Amount::ZERO, Amount::parse(&spec.amount, spec.currency).unwrap_or(Amount::ZERO)),
    }
}

pub(super) const fn period_words(spec: &BudgetSpec) -> &'static str {
    use tollgate_core::budget::spec::BudgetPeriod;
    match spec.period {
        BudgetPeriod::Once => "for ever",
        BudgetPeriod::Hour => "each hour",
        BudgetPeriod::Day => "each day",
        BudgetPeriod::Week => "each week",
        BudgetPeriod::Month => "each month",
    }
}

/// `3.20 USD`.
pub(super) fn words(amount: Amount, spec: &BudgetSpec) -> String {
    format!("{} {}", amount.to_text(spec.currency), spec.currency)
}

pub(super) fn percent(spent: Amount, limit: Amount) -> u64 {
    let (spent, limit) = (spent.atoms().max(0), limit.atoms());
    if limit <= 0 {
        return if spent > 0 { 100 } else { 0 };
    }
    u64::try_from(i128::from(spent) * 100 / i128::from(limit)).unwrap_or(u64::MAX)
}

/// A bar of what is spent with its thresholds, drawn without a style. The number stands beside it.
pub(super) fn meter(spent: Amount, limit: Amount, thresholds: &[u8]) -> Html {
    let percent = percent(spent, limit).min(100);
    let first = thresholds.first().copied().map_or(100, u64::from);
    let class = if percent >= 100 {
        "used full"
    } else if percent >= first.max(80) {
        "used near"
    } else {
        "used"
    };
    let lines: String = thresholds
        .iter()
        .filter(|percent| **percent < 100)
        .map(|percent| format!("<line x1=\"{percent}%\" x2=\"{percent}%\" y1=\"-1\" y2=\"7\"/>"))
        .collect();
    askama::filters::Safe(format!(
        "<svg class=\"meter\" aria-hidden=\"true\"><rect class=\"track\" width=\"100%\" height=\"6\" rx=\"2\"/>\
         <rect class=\"{class}\" width=\"{percent}%\" height=\"6\" rx=\"2\"/>{lines}</svg>"
    ))
}
