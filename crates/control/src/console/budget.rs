//! One budget: what is spent, funds brought in with a reason, and every entry of the ledger with its cause.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{authz::Action, id::BudgetId};
use tollgate_store::{AccountFilter, AccountRow, BudgetAt, BudgetView, EntryRow, PageRequest, Side};

use super::{
    budget_form::Draft,
    budgets::{meter, percent, period_words, spent_and_limit, words},
    consumer_form::Errors,
    once,
    pieces::Html,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::admin::budgets::{NewFunds, bring_in, present_account};

/// Periods that are listed.
const PERIODS_MAX: u32 = 24;

#[derive(Template)]
#[template(path = "budget.html")]
struct Page {
    shell: Shell,
    id: String,
    version: u64,
    budget: BudgetView,
    period: &'static str,
    spent: String,
    limit: String,
    reserved: String,
    free: String,
    overrun: Option<String>,
    percent: u64,
    meter: Html,
    draft: Draft,
    may_change: bool,
    once: String,
    amount: String,
    reason: String,
    errors: Errors,
    entries: Vec<Entry>,
    more: Option<String>,
    periods: Vec<Period>,
}

/// An entry of the ledger as it is shown.
pub(crate) struct Entry {
    pub(crate) at_us: i64,
    pub(crate) kind: &'static str,
    pub(crate) side: &'static str,
    pub(crate) amount: String,
    pub(crate) cause: String,
    /// The decision that it was for.
    pub(crate) event: Option<String>,
}

/// A period with its account.
pub(crate) struct Period {
    pub(crate) account: String,
    pub(crate) from_us: Option<i64>,
    pub(crate) spent: String,
    pub(crate) is_shown: bool,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let budget = seen(&visit, &id).await?;
    page(&visit, budget, (String::new(), String::new()), Errors::default()).await
}

/// The budget of an address, as far as it may be seen.
pub(super) async fn seen(visit: &Visit, id: &str) -> Result<BudgetView, Trouble> {
    let id: BudgetId = id.parse().map_err(|_| Trouble::absent("budget"))?;
    Ok(visit.store().budget(&visit.scope(Action::ReadBudgets)?, id).await?)
}

pub(super) async fn page(
    visit: &Visit,
    budget: BudgetView,
    (amount, reason): (String, String),
    errors: Errors,
) -> Result<Response, Trouble> {
    let present = present_account(visit.store(), &budget, visit.now_us).await?;
    let filter = AccountFilter { tenant: Some(budget.tenant), budget: Some(budget.id), at_us: None };
    let page = PageRequest { limit: PERIODS_MAX, cursor: None };
    let mut accounts = visit.store().accounts(&filter, &page).await?.items;
    accounts.sort_by_key(|account| std::cmp::Reverse(account.window.start_us));
    let asked = visit.query.text("account");
    let shown = match asked {
        Some(asked) => accounts.iter().find(|account| account.id.to_string() == asked),
        None => present.as_ref().or(accounts.first()),
    };
    let (entries, next) = match shown {
        Some(account) => {
            let page = visit.store().entries(account.id, &visit.rows()).await?;
            (page.items.into_iter().map(|row| entry(row, account)).collect(), page.next)
        }
        None => (Vec::new(), None),
    };
    let (spent, limit) = spent_and_limit(&budget.spec, present.as_ref());
    let balance = present.as_ref().map(|account| account.balance);
    let of = |amount| words(amount, &budget.spec);
    html(&Page {
        id: budget.id.to_string(),
        version: budget.version,
        period: period_words(&budget.spec),
        spent: of(spent),
        limit: of(limit),
        reserved: of(balance.map_or_else(Default::default, |balance| balance.reserved)),
        free: of(balance.map_or(limit, |balance| balance.free())),
        overrun: balance.map(|balance| balance.overrun).filter(|overrun| overrun.atoms() > 0).map(of),
        percent: percent(spent, limit),
        meter: meter(
            spent,
            limit,
            budget.spec.thresholds.as_deref().unwrap_or(&tollgate_core::budget::THRESHOLDS),
        ),
        draft: Draft::of(&budget.spec),
        may_change: visit.may_all(Action::ChangeResources),
        once: once::name()?,
        amount,
        reason,
        errors,
        entries,
        more: visit.older(next.as_deref()),
        periods: accounts.iter().map(|account| period(account, shown)).collect(),
        shell: visit.shell(format!("Budget of {}", budget.holder)),
        budget,
    })
}

fn period(account: &AccountRow, shown: Option<&AccountRow>) -> Period {
    Period {
        account: account.id.to_string(),
        from_us: (account.window.end_us != i64::MAX).then_some(account.window.start_us),
        spent: format!("{} {}", account.balance.spent.to_text(account.currency), account.currency),
        is_shown: shown.is_some_and(|shown| shown.id == account.id),
    }
}

fn entry(row: EntryRow, account: &AccountRow) -> Entry {
    let event = row.cause.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    let event =
        event.into_iter().find(|word| word.starts_with("dec_") && word.len() == 26).map(str::to_owned);
    Entry {
        at_us: row.at_us,
        kind: row.kind.name(),
        side: if row.side == Side::Outside { "brought in" } else { row.side.name() },
        amount: row.amount.to_text(account.currency),
        cause: row.cause,
        event,
    }
}

/// Brings funds in, or takes free ones away.
pub(crate) async fn fund(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    once::whole(fund_whole(id, posted)).await
}

async fn fund_whole(id: String, posted: Posted) -> Result<Response, Trouble> {
    let permit = posted.visit.permit(Action::ChangeResources)?;
    let budget = seen(&posted.visit, &id).await?;
    let first = match once::take(&posted, &format!("funds {id}")).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let amount = posted.fields.owned("amount").unwrap_or_default();
    let reason = posted.fields.owned("reason").unwrap_or_default();
    let visit = &posted.visit;
    let funds = NewFunds { amount: &amount, reason: &reason };
    match bring_in(&visit.app, &permit, (&budget, funds), visit.now_us).await {
        Ok(()) => {
            let address = format!("/budgets/{}?done=funded", budget.id);
            first.done(visit, address.clone()).await;
            Ok(Redirect::to(&address).into_response())
        }
        Err(refused) => {
            let trouble = refused.into();
            first.undone(visit, &trouble).await;
            page(visit, budget, (amount, reason), Errors::from(trouble)?).await
        }
    }
}

pub(crate) async fn delete(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let budget = seen(&visit, &id).await?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = BudgetAt { tenant: visit.tenant(), id: budget.id, version };
    let done = visit.store().delete_budget(&permit, at, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(Redirect::to("/budgets?done=deleted").into_response())
}
