//! Accounts: opened, looked at, their entries page by page.

use sqlx::AnyConnection;
use tollgate_core::{
    budget::{
        account_of,
        held::{HeldBudget, Level},
        spec::BudgetMode,
    },
    id::{AccountId, BudgetId, TenantId},
    money::amount::{Amount, Currency},
    period::Window,
};

use super::transfer::{Begun, Leg, Moved, Side, Transfer, TransferId, TransferKind, id_of, no_account};
use crate::{
    error::StoreError,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, one, run, sql},
};

/// An account to be opened.
#[derive(Clone, Copy, Debug)]
pub struct NewAccount {
    /// Its id; the same for the same budget and period, whoever opens it.
    pub id: AccountId,
    /// The budget whose period it is.
    pub budget: BudgetId,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// Whose budget it is.
    pub level: Level,
    /// The id of whose budget it is, as SQL stores it.
    pub subject: i64,
    /// The period.
    pub window: Window,
    /// What it is of.
    pub currency: Currency,
    /// Whether what does not fit is refused.
    pub hard: bool,
    /// What the budget gives it.
    pub amount: Amount,
    /// The id of the transfer that brings the amount.
    pub transfer: TransferId,
}

impl NewAccount {
    /// The account of a budget in a period.
    #[must_use]
    pub fn of(held: &HeldBudget, window: Window) -> Self {
        let id = account_of(held.id.0, window);
        Self {
            id,
            budget: held.id,
            tenant: held.tenant,
            level: held.level,
            subject: held.subject as i64,
            window,
            currency: held.budget.currency,
            hard: held.budget.mode == BudgetMode::Hard,
            amount: held.budget.amount,
            transfer: TransferId::derived("budget", &[id.0]),
        }
    }
}

/// The balances of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What was brought in.
    pub funded: Amount,
    /// What is set aside.
    pub reserved: Amount,
    /// What is gone.
    pub spent: Amount,
    /// What is gone beyond what was reserved.
    pub overrun: Amount,
}

impl Balance {
    /// What can be reserved; below zero where more was spent than funded, which only an account that
    /// is not hard allows.
    #[must_use]
    pub fn free(&self) -> Amount {
        let free = self.funded.checked_sub(self.reserved).and_then(|rest| rest.checked_sub(self.spent));
        free.unwrap_or(Amount::ZERO)
    }
}

/// One entry and its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// The transfer that wrote it.
    pub transfer: TransferId,
    /// What the transfer did.
    pub kind: TransferKind,
    /// The reservation that it resolved.
    pub resolves: Option<TransferId>,
    /// Which side.
    pub side: Side,
    /// How much came to this side; below zero: how much went.
    pub amount: Amount,
    /// When, in wall microseconds.
    pub at_us: i64,
    /// Why.
    pub cause: String,
}

impl Store {
    /// Opens an account with what its budget gives it, unless it is there. It follows from a budget,
    /// which somebody had the right to write: that is why it takes no permit.
    ///
    /// # Errors
    /// When the transfer's id stands for something else, or the database cannot be written.
    pub async fn open_account(&self, new: &NewAccount, now_us: i64) -> Result<Moved, StoreError> {
        let legs = [Leg { account: new.id, amount: new.amount }];
        if new.amount < Amount::ZERO {
            return Err(StoreError::invalid("amount", "it is below zero; a budget is not"));
        }
        let mut tx = self.begin_write().await?;
        let insert = sql("INSERT INTO ledger_accounts (id, tenant, level, subject, period_start_us, \
                          period_end_us, currency, hard, funded, reserved, spent, overrun, created_us, \
                          budget, given) \
                          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, $10, $11, $9) ON CONFLICT DO NOTHING")
        .bind(new.id.to_sql())
        .bind(new.tenant.to_sql())
        .bind(new.level as i64)
        .bind(new.subject)
        .bind(new.window.start_us)
        .bind(new.window.end_us)
        .bind(new.currency.to_string())
        .bind(i64::from(new.hard))
        .bind(new.amount.atoms())
        .bind(now_us)
        .bind(new.budget.to_sql());
        if run(insert, &mut tx).await? == 0 {
            tx.rollback().await?;
            return Ok(Moved::Replayed);
        }
        let transfer = Transfer {
            id: new.transfer,
            kind: TransferKind::Fund,
            resolves: None,
            legs: &legs,
            cause: "budget",
            at_us: now_us,
        };
        if transfer.begin(&mut tx).await? != Begun::New {
            return Err(StoreError::Conflict(format!("transfer {} funded another account", new.transfer)));
        }
        let amount = new.amount.atoms();
        transfer.enter(&[(new.id, Side::Outside, -amount), (new.id, Side::Free, amount)], &mut tx).await?;
        tx.commit().await?;
        Ok(Moved::Done)
    }

    /// The balances of an account.
    ///
    /// # Errors
    /// When there is no such account, or the database cannot be read.
    pub async fn balance(&self, account: AccountId) -> Result<Balance, StoreError> {
        let mut conn = self.reader().await?;
        balance_of(account, &mut conn).await
    }

    /// The entries of an account with their causes, oldest first.
    ///
    /// # Errors
    /// When the cursor is none, or the database cannot be read.
    pub async fn entries(
        &self,
        account: AccountId,
        page: &PageRequest,
    ) -> Result<Page<EntryRow>, StoreError> {
        const AFTER: &str = "SELECT e.transfer, t.kind, t.resolves, e.side, e.amount, e.at_us, t.cause \
                             FROM ledger_entries e JOIN ledger_transfers t ON t.id = e.transfer \
                             WHERE e.account = $1 AND (e.at_us > $2 OR (e.at_us = $2 AND (e.transfer > $3 \
                             OR (e.transfer = $3 AND e.side > $4)))) \
                             ORDER BY e.at_us, e.transfer, e.side LIMIT $5";
        let (at_us, transfer, side) = page.cursor.as_deref().map_or(Ok(START), cursor)?;
        let limit = i64::from(page.limit.clamp(1, PAGE_ROWS_MAX));
        let mut conn = self.reader().await?;
        let rows = sql(AFTER).bind(account.to_sql()).bind(at_us).bind(transfer.to_vec()).bind(side);
        let rows = all(rows.bind(limit + 1), &mut conn).await?;
        let has_more = rows.len() as i64 > limit;
        let items: Vec<EntryRow> =
            rows.iter().take(limit as usize).map(entry_of).collect::<Result<_, StoreError>>()?;
        let last = items.last().filter(|_| has_more);
        let next = last.map(|last| format!("{}.{}.{}", last.at_us, last.transfer, last.side as i64));
        Ok(Page { items, next })
    }
}

/// Before the first entry of any account.
const START: (i64, [u8; 16], i64) = (i64::MIN, [0; 16], -1);

/// Reads `at_us.transfer.side`.
fn cursor(text: &str) -> Result<(i64, [u8; 16], i64), StoreError> {
    let mut parts = text.split('.');
    let mut part = || parts.next().unwrap_or_default();
    let (at_us, transfer, side) =
        (part().parse().ok(), u128::from_str_radix(part(), 16).ok(), part().parse().ok());
    match (at_us, transfer, side) {
        (Some(at_us), Some(transfer), Some(side)) => Ok((at_us, transfer.to_be_bytes(), side)),
        _ => Err(StoreError::invalid("cursor", "it is none of this list; begin without one")),
    }
}

fn entry_of(row: &Row) -> Result<EntryRow, StoreError> {
    Ok(EntryRow {
        transfer: id_of(row.blob(0)?)?,
        kind: TransferKind::from_sql(row.int(1)?)?,
        resolves: row.opt_blob(2)?.map(id_of).transpose()?,
        side: Side::from_sql(row.int(3)?)?,
        amount: amount(row.int(4)?)?,
        at_us: row.int(5)?,
        cause: row.text(6)?.to_owned(),
    })
}

pub(super) async fn balance_of(account: AccountId, conn: &mut AnyConnection) -> Result<Balance, StoreError> {
    let text = "SELECT funded, reserved, spent, overrun FROM ledger_accounts WHERE id = $1";
    let row = one(sql(text).bind(account.to_sql()), conn).await?.ok_or_else(|| no_account(account))?;
    Ok(Balance {
        funded: amount(row.int(0)?)?,
        reserved: amount(row.int(1)?)?,
        spent: amount(row.int(2)?)?,
        overrun: amount(row.int(3)?)?,
    })
}

pub(super) fn amount(atoms: i64) -> Result<Amount, StoreError> {
    Amount::from_atoms(atoms).ok_or_else(|| StoreError::corrupt("an amount in the ledger is out of bounds"))
}
