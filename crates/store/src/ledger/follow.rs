//! Accounts follow their budgets: opened with what a budget gives, brought to what it says now, refilled
//! at the beginning of its periods, and what somebody should be told of when enough is spent.

use sqlx::AnyConnection;
use tollgate_core::{
    budget::{Budget, held::HeldBudget, spec::BudgetMode},
    id::AccountId,
    money::amount::{AMOUNT_MAX, Amount},
    period::Window,
};

use super::{
    account::{Balance, NewAccount, balance_of},
    transfer::{Begun, Leg, Side, Transfer, TransferId, TransferKind, no_account},
};
use crate::{
    error::StoreError,
    open::Store,
    resources::from_json,
    sql::{Columns as _, one, run, sql},
};

/// An account that follows its budget, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Its balances.
    pub balance: Balance,
    /// Whether the budget says more, or less, than the account could be brought to: what is reserved and
    /// spent is never taken away. It is tried again when asked again.
    pub is_behind: bool,
}

impl Store {
    /// Opens the account of a budget in a period unless it is there, and brings it to what the budget
    /// says: amount, hard or not, the refill of the present period. Asked again it changes nothing.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn follow_budget(
        &self,
        held: &HeldBudget,
        window: Window,
        now_us: i64,
    ) -> Result<Followed, StoreError> {
        let new = NewAccount::of(held, window);
        if self.open_account(&new, now_us).await? == super::Moved::Done {
            self.refill(held, new.id, now_us).await?;
            return Ok(Followed { balance: self.balance(new.id).await?, is_behind: false });
        }
        self.refill(held, new.id, now_us).await?;
        let is_behind = self.bring_to(&new, now_us).await?;
        Ok(Followed { balance: self.balance(new.id).await?, is_behind })
    }

    /// Brings an account to what its budget gives now; `true` when not all could be taken away.
    async fn bring_to(&self, new: &NewAccount, now_us: i64) -> Result<bool, StoreError> {
        let given = {
            let mut conn = self.reader().await?;
            given(new.id, &mut conn).await?
        };
        if given == (new.amount.atoms(), new.hard) {
            return Ok(false);
        }
        let mut tx = self.begin_write().await?;
        // The account first: whoever comes with what the budget said before waits here, and reads what it
        // says now.
        let hold = "UPDATE ledger_accounts SET reserved = reserved WHERE id = $1";
        run(sql(hold).bind(new.id.to_sql()), &mut tx).await?;
        let (amount, hard) = said(new, &mut tx).await?;
        let set = "UPDATE ledger_accounts SET hard = $2 WHERE id = $1";
        run(sql(set).bind(new.id.to_sql()).bind(i64::from(hard)), &mut tx).await?;
        let (given, _) = self::given(new.id, &mut tx).await?;
        let free = balance_of(new.id, &mut tx).await?.free().atoms().max(0);
        let wanted = amount.atoms() - given;
        // What is reserved and spent stays.
        let step = if hard { wanted.max(-free) } else { wanted };
        if step != 0 {
            let id = TransferId::derived("follow", &[new.id.0, now_us as u64, given as u64]);
            shift((new.id, step), (id, "the budget was changed"), now_us, &mut tx).await?;
            let text = "UPDATE ledger_accounts SET given = given + $2 WHERE id = $1";
            run(sql(text).bind(new.id.to_sql()).bind(step), &mut tx).await?;
        }
        tx.commit().await?;
        Ok(step != wanted)
    }

    /// Adds the refill of the present period, once.
    async fn refill(&self, held: &HeldBudget, account: AccountId, now_us: i64) -> Result<(), StoreError> {
        let Some(refill) = &held.budget.refill else { return Ok(()) };
        let start_us = refill.every.window_at(now_us).start_us;
        let seen = {
            let mut conn = self.reader().await?;
            refilled_us(account, &mut conn).await?
        };
        if seen >= start_us {
            return Ok(());
        }
        let mut tx = self.begin_write().await?;
        let take = sql("UPDATE ledger_accounts SET refilled_us = $2 WHERE id = $1 AND refilled_us < $2");
        if run(take.bind(account.to_sql()).bind(start_us), &mut tx).await? == 1 && seen != 0 {
            // What is in leases is not spent: it would come back on top of the refill.
            let balance = balance_of(account, &mut tx).await?;
            let left = balance.funded.checked_sub(balance.spent).unwrap_or(Amount::ZERO);
            let id = TransferId::derived("refill", &[account.0, start_us as u64]);
            shift((account, refill.adds(left).atoms()), (id, "refill"), now_us, &mut tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Brings funds in, or takes free ones away.
async fn shift(
    (account, atoms): (AccountId, i64),
    (id, cause): (TransferId, &str),
    now_us: i64,
    conn: &mut AnyConnection,
) -> Result<(), StoreError> {
    let Some(amount) = Amount::from_atoms(atoms).filter(|amount| *amount != Amount::ZERO) else {
        return Ok(());
    };
    let legs = [Leg { account, amount }];
    let transfer =
        Transfer { id, kind: TransferKind::Fund, resolves: None, legs: &legs, cause, at_us: now_us };
    if transfer.begin(conn).await? != Begun::New {
        return Ok(());
    }
    let update = sql("UPDATE ledger_accounts SET funded = funded + $2 WHERE id = $1 \
                      AND funded + $2 >= 0 AND funded + $2 <= $3");
    if run(update.bind(account.to_sql()).bind(atoms).bind(AMOUNT_MAX), conn).await? != 1 {
        return Err(StoreError::Conflict(format!("the balances of {account} do not allow {cause}")));
    }
    transfer.enter(&[(account, Side::Outside, -atoms), (account, Side::Free, atoms)], conn).await
}

/// What the budget gives at present and whether it is hard; this process may know an older one. Of a
/// budget that is gone, what this process knows.
async fn said(new: &NewAccount, conn: &mut AnyConnection) -> Result<(Amount, bool), StoreError> {
    let ask = sql("SELECT spec FROM budgets WHERE id = $1").bind(new.budget.to_sql());
    let Some(row) = one(ask, conn).await? else { return Ok((new.amount, new.hard)) };
    let budget = Budget::compile(&from_json(row.text(0)?)?)
        .map_err(|_| StoreError::corrupt("a budget in the database means nothing"))?;
    Ok((budget.amount, budget.mode == BudgetMode::Hard))
}

async fn given(account: AccountId, conn: &mut AnyConnection) -> Result<(i64, bool), StoreError> {
    let ask = sql("SELECT given, hard FROM ledger_accounts WHERE id = $1").bind(account.to_sql());
    let row = one(ask, conn).await?.ok_or_else(|| no_account(account))?;
    Ok((row.int(0)?, row.int(1)? != 0))
}

async fn refilled_us(account: AccountId, conn: &mut AnyConnection) -> Result<i64, StoreError> {
    let ask = sql("SELECT refilled_us FROM ledger_accounts WHERE id = $1").bind(account.to_sql());
    let row = one(ask, conn).await?.ok_or_else(|| no_account(account))?;
    row.int(0)
}
