//! Budgets, what is spent of them, and the entries of their accounts.

use tollgate_core::{
    budget::spec::BudgetSpec,
    id::{AccountId, BudgetId},
    money::amount::Amount,
};
use tollgate_store::{
    AccountFilter, AccountRow, BudgetAt, BudgetFilter, BudgetView, Funding, Moved, PageRequest, TransferId,
};
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call, moment::rfc3339};
use crate::{problem::Refused, state::random};

/// Characters of a reason.
const REASON_CHARS_MAX: usize = 500;

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let project = match call.query.text("project") {
        Some(name) => Some(call.store().project_of(call.scope(), name).await?.id),
        None => None,
    };
    let filter =
        BudgetFilter { project, search: call.query.owned("search"), ..BudgetFilter::all(call.scope()) };
    let page = call.store().list_budgets(&filter, &call.page()).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for item in page.items {
        items.push(shown(&call, item).await?);
    }
    Answer::ok(&wire::List { items, next: page.next })
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let found = call.store().budget(&call.scope(), call.id::<BudgetId>()?).await?;
    answer(&call, found).await
}

pub(crate) async fn create(call: Call) -> Result<Answer, Refused> {
    let made = call.store().create_budget(&call.permit, call.body::<BudgetSpec>()?, call.now_us).await?;
    call.known_here(made.seq).await;
    let (version, location) = (made.value.version, format!("{BASE}/budgets/{}", made.value.id));
    Ok(Answer::created(&shown(&call, made.value).await?, location)?.version(version))
}

pub(crate) async fn replace(call: Call) -> Result<Answer, Refused> {
    let (at, spec) = (at(&call)?, call.body::<BudgetSpec>()?);
    let done = call.store().replace_budget(&call.permit, at, spec, call.now_us).await?;
    call.known_here(done.seq).await;
    answer(&call, done.value).await
}

pub(crate) async fn delete(call: Call) -> Result<Answer, Refused> {
    let at = at(&call)?;
    let done = call.store().delete_budget(&call.permit, at, call.now_us).await?;
    call.known_here(done.seq).await;
    Ok(Answer::nothing())
}

/// Brings funds into the account of the present period, which is opened when it is not there yet.
pub(crate) async fn fund(call: Call) -> Result<Answer, Refused> {
    let asked: wire::NewFunding = call.body()?;
    let found = call.store().budget(&call.scope(), call.id::<BudgetId>()?).await?;
    let funded = NewFunds { amount: &asked.amount, reason: &asked.reason };
    bring_in(call.app(), &call.permit, (&found, funded), call.now_us).await?;
    let body = shown(&call, found).await?;
    Answer::ok(&body)
}

/// Funds as somebody wrote them.
pub(crate) struct NewFunds<'a> {
    pub(crate) amount: &'a str,
    pub(crate) reason: &'a str,
}

/// Brings funds into the present period of a budget, for the admin API and the console.
pub(crate) async fn bring_in(
    app: &crate::state::App,
    permit: &tollgate_core::authz::Permit,
    (budget, funds): (&BudgetView, NewFunds<'_>),
    now_us: i64,
) -> Result<(), Refused> {
    let amount = Amount::parse(funds.amount.trim(), budget.spec.currency);
    let amount = amount.map_err(|error| Refused::invalid("amount", error))?;
    if amount == Amount::ZERO {
        return Err(Refused::invalid("amount", "it is nothing; say how much"));
    }
    let reason = funds.reason.trim();
    let is_text = !reason.is_empty()
        && reason.chars().count() <= REASON_CHARS_MAX
        && !reason.chars().any(char::is_control);
    if !is_text {
        let problem = format!("say why in 1 to {REASON_CHARS_MAX} characters; it stands in the audit");
        return Err(Refused::invalid("reason", problem));
    }
    let held = held(budget)?;
    let window = held.budget.window(now_us);
    app.store().follow_budget(&held, window, now_us).await?;
    let id = TransferId(*random::<16>()?.expose());
    let funding = Funding { id, account: held.account(now_us), amount, reason };
    match app.store().fund(permit, &funding, now_us).await?.value {
        Moved::Done | Moved::Replayed => Ok(()),
    }
}

pub(crate) async fn entries(call: Call) -> Result<Answer, Refused> {
    let id: AccountId = call.id()?;
    let account = visible_account(&call, id).await?;
    let page = call.store().entries(id, &call.page()).await?;
    let currency = account.currency;
    let items = page
        .items
        .into_iter()
        .map(|entry| wire::LedgerEntry {
            transfer: entry.transfer.to_string(),
            kind: entry.kind.name().to_owned(),
            side: entry.side.name().to_owned(),
            amount: entry.amount.to_text(currency),
            at: rfc3339(entry.at_us),
            cause: entry.cause,
            resolves: entry.resolves.map(|id| id.to_string()),
        })
        .collect();
    Answer::ok(&wire::List::<wire::LedgerEntry> { items, next: page.next })
}

/// An account whose budget the caller may see.
async fn visible_account(call: &Call, id: AccountId) -> Result<AccountRow, Refused> {
    let absent =
        || Refused::NotFound(format!("there is no ledger account `{id}`; list budgets, or correct the id"));
    let account = call.store().account_row(id).await.map_err(|_| absent())?;
    let scope = call.scope();
    let is_seen = account.tenant == call.tenant()
        && (scope.consumers.is_none() || call.store().budget(&scope, account.budget).await.is_ok());
    if is_seen { Ok(account) } else { Err(absent()) }
}

fn at(call: &Call) -> Result<BudgetAt, Refused> {
    Ok(BudgetAt { tenant: call.tenant(), id: call.id()?, version: call.expected_version()? })
}

async fn answer(call: &Call, view: BudgetView) -> Result<Answer, Refused> {
    let version = view.version;
    Ok(Answer::ok(&shown(call, view).await?)?.version(version))
}

async fn shown(call: &Call, view: BudgetView) -> Result<wire::Budget, Refused> {
    let account = present_account(call.store(), &view, call.now_us).await?;
    Ok(wire::Budget {
        id: view.id.to_string(),
        version: view.version,
        level: view.level.name().to_owned(),
        holder: view.holder,
        spending: account.as_ref().map(spending),
        spec: view.spec,
    })
}

/// The account of the present period; `None` before its first call.
pub(crate) async fn present_account(
    store: &tollgate_store::Store,
    view: &BudgetView,
    now_us: i64,
) -> Result<Option<AccountRow>, Refused> {
    let filter = AccountFilter { tenant: Some(view.tenant), budget: Some(view.id), at_us: Some(now_us) };
    let page = store.accounts(&filter, &PageRequest { limit: 1, cursor: None }).await?;
    Ok(page.items.into_iter().next())
}

fn held(view: &BudgetView) -> Result<tollgate_core::budget::held::HeldBudget, Refused> {
    view.held().map_err(|errors| {
        tracing::error!(budget = %view.id, ?errors, "a stored budget does not compile");
        Refused::Unavailable("the budget cannot be read; a later Tollgate wrote it".to_owned())
    })
}

fn spending(account: &AccountRow) -> wire::Spending {
    let words = |amount: Amount| amount.to_text(account.currency);
    let is_period = account.window.end_us != i64::MAX;
    wire::Spending {
        account: account.id.to_string(),
        from: is_period.then(|| rfc3339(account.window.start_us)),
        to: is_period.then(|| rfc3339(account.window.end_us)),
        funded: words(account.balance.funded),
        spent: words(account.balance.spent),
        reserved: words(account.balance.reserved),
        free: words(account.balance.free()),
        overrun: words(account.balance.overrun),
    }
}
