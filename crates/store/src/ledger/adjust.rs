//! Funds brought in or taken away, spending taken back, and what was used beyond a reservation.

use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    id::{AccountId, TenantId},
    money::amount::{AMOUNT_MAX, Amount},
};

use super::{
    account::balance_of,
    transfer::{Begun, Leg, Moved, Side, Transfer, TransferId, TransferKind, in_order, no_account},
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{Columns as _, one, run, sql},
    write::{Change, Committed},
};

/// Funds for an account.
#[derive(Clone, Copy, Debug)]
pub struct Funding<'a> {
    /// Its id.
    pub id: TransferId,
    /// The account.
    pub account: AccountId,
    /// How much; below zero takes free funds away.
    pub amount: Amount,
    /// Why: it stands in the audit and beside the entries.
    pub reason: &'a str,
}

/// An overrun that is forgiven, so that the account takes reservations again.
#[derive(Clone, Copy, Debug)]
pub struct Forgiveness<'a> {
    /// Its id.
    pub id: TransferId,
    /// The account.
    pub account: AccountId,
    /// Why: it stands in the audit and beside the entries.
    pub reason: &'a str,
}

impl Store {
    /// Brings funds in, or takes free ones away: never below what is spent and reserved.
    ///
    /// # Errors
    /// When the permit does not cover it, there is no such account, less is free than is to be taken,
    /// the id stands for something else, or the database cannot be written.
    pub async fn fund(
        &self,
        permit: &Permit,
        funding: &Funding<'_>,
        now_us: i64,
    ) -> Result<Committed<Moved>, StoreError> {
        let legs = [Leg { account: funding.account, amount: funding.amount }];
        let transfer = Transfer {
            id: funding.id,
            kind: TransferKind::Fund,
            resolves: None,
            legs: &legs,
            cause: funding.reason,
            at_us: now_us,
        };
        let amount = funding.amount.atoms();
        let update = sql("UPDATE ledger_accounts SET funded = funded + $2 WHERE id = $1 \
                          AND funded + $2 >= 0 AND funded + $2 <= $3 \
                          AND (hard = 0 OR spent + reserved <= funded + $2)")
        .bind(funding.account.to_sql())
        .bind(amount)
        .bind(AMOUNT_MAX);
        let entries = [(funding.account, Side::Outside, -amount), (funding.account, Side::Free, amount)];
        self.adjust(permit, Adjustment { transfer, update, entries: entries.to_vec(), word: "budget.fund" })
            .await
    }

    /// Forgives an overrun: it is written off, and the account takes reservations again.
    ///
    /// # Errors
    /// When the permit does not cover it, there is no such account or no overrun, the id stands for
    /// something else, or the database cannot be written.
    pub async fn write_off(
        &self,
        permit: &Permit,
        forgiveness: &Forgiveness<'_>,
        now_us: i64,
    ) -> Result<Committed<Moved>, StoreError> {
        let account = forgiveness.account;
        let overrun = self.balance(account).await?.overrun.atoms();
        let legs = [Leg { account, amount: Amount::ZERO }];
        let transfer = Transfer {
            id: forgiveness.id,
            kind: TransferKind::WriteOff,
            resolves: None,
            legs: &legs,
            cause: forgiveness.reason,
            at_us: now_us,
        };
        // An overrun that changed meanwhile is another one.
        let update =
            sql("UPDATE ledger_accounts SET overrun = 0 WHERE id = $1 AND overrun = $2 AND overrun > 0")
                .bind(account.to_sql())
                .bind(overrun);
        let entries = vec![(account, Side::Overrun, -overrun), (account, Side::Outside, overrun)];
        self.adjust(permit, Adjustment { transfer, update, entries, word: "budget.write_off" }).await
    }

    /// Frees what was spent, when it turns out that it was not used: after a charge, when the journal
    /// turned up.
    ///
    /// # Errors
    /// When an account has less spent, the id stands for something else, or the database cannot be
    /// written.
    pub async fn refund(
        &self,
        id: TransferId,
        legs: &[Leg],
        cause: &str,
        now_us: i64,
    ) -> Result<Moved, StoreError> {
        const TEXT: &str = "UPDATE ledger_accounts SET spent = spent - $2 WHERE id = $1 AND spent >= $2";
        let transfer =
            Transfer { id, kind: TransferKind::Refund, resolves: None, legs, cause, at_us: now_us };
        self.book(transfer, TEXT, [Side::Spent, Side::Free]).await
    }

    /// Owns up to what was used beyond what was reserved. It is kept apart from what is spent, and a
    /// hard account takes nothing more until somebody forgives it.
    ///
    /// # Errors
    /// When an account is not there, the id stands for something else, or the database cannot be
    /// written.
    pub async fn overrun(
        &self,
        id: TransferId,
        legs: &[Leg],
        cause: &str,
        now_us: i64,
    ) -> Result<Moved, StoreError> {
        const TEXT: &str = "UPDATE ledger_accounts SET overrun = overrun + $2 WHERE id = $1 \
                            AND overrun <= 1000000000000000000 - $2";
        let transfer =
            Transfer { id, kind: TransferKind::Overrun, resolves: None, legs, cause, at_us: now_us };
        self.book(transfer, TEXT, [Side::Outside, Side::Overrun]).await
    }

    /// Moves each leg from one side to the other, by a statement that takes the account and the amount.
    async fn book(
        &self,
        transfer: Transfer<'_>,
        update: &'static str,
        [from, to]: [Side; 2],
    ) -> Result<Moved, StoreError> {
        let legs = in_order(transfer.legs)?;
        let transfer = Transfer { legs: &legs, ..transfer };
        let mut tx = self.begin_write().await?;
        if transfer.begin(&mut tx).await? != Begun::New {
            tx.rollback().await?;
            return Ok(Moved::Replayed);
        }
        let mut entries = Vec::new();
        for leg in &legs {
            let amount = leg.amount.atoms();
            let statement = sql(update).bind(leg.account.to_sql()).bind(amount);
            if run(statement, &mut tx).await? != 1 {
                return Err(refusal(leg.account, &mut tx).await);
            }
            entries.extend([(leg.account, from, -amount), (leg.account, to, amount)]);
        }
        transfer.enter(&entries, &mut tx).await?;
        tx.commit().await?;
        Ok(Moved::Done)
    }

    /// A change that a person makes: with its entry in the audit.
    async fn adjust(
        &self,
        permit: &Permit,
        adjustment: Adjustment<'_>,
    ) -> Result<Committed<Moved>, StoreError> {
        let Adjustment { transfer, update, entries, word } = adjustment;
        if transfer.cause.trim().is_empty() {
            return Err(StoreError::invalid("reason", "it is empty; say why"));
        }
        let account = transfer.legs.first().map(|leg| leg.account);
        let account = account.ok_or_else(|| StoreError::corrupt("an adjustment of no account"))?;
        let mut write = self.write(permit, transfer.at_us).await?;
        let tenant = tenant_of(account, write.conn()).await?;
        let before = balance_of(account, write.conn()).await?;
        if transfer.begin(write.conn()).await? != Begun::New {
            let seq = write.commit().await?;
            return Ok(Committed { value: Moved::Replayed, seq });
        }
        if run(update, write.conn()).await? != 1 {
            return Err(refusal(account, write.conn()).await);
        }
        transfer.enter(&entries, write.conn()).await?;
        let after = balance_of(account, write.conn()).await?;
        let shown = |balance: super::account::Balance| {
            let (funded, overrun) = (balance.funded.atoms(), balance.overrun.atoms());
            serde_json::json!({"funded": funded, "overrun": overrun, "reason": transfer.cause}).to_string()
        };
        write.record(Change {
            needs: Action::ChangeResources,
            tenant: Some(tenant),
            action: word,
            entity: Entity::Account,
            id: account.to_sql(),
            version: 1,
            before: Some(shown(before)),
            after: Some(shown(after)),
        })?;
        let seq = write.commit().await?;
        Ok(Committed { value: Moved::Done, seq })
    }
}

/// What a person changes.
struct Adjustment<'a> {
    transfer: Transfer<'a>,
    update: crate::sql::Statement,
    entries: Vec<(AccountId, Side, i64)>,
    /// The word in the audit.
    word: &'static str,
}

async fn tenant_of(account: AccountId, conn: &mut AnyConnection) -> Result<TenantId, StoreError> {
    let ask = sql("SELECT tenant FROM ledger_accounts WHERE id = $1").bind(account.to_sql());
    let row = one(ask, conn).await?.ok_or_else(|| no_account(account))?;
    Ok(TenantId::from_sql(row.int(0)?))
}

/// Why an account did not take a change: it is not there, or its balances do not allow it.
async fn refusal(account: AccountId, conn: &mut AnyConnection) -> StoreError {
    match balance_of(account, conn).await {
        Ok(_) => StoreError::Conflict(format!(
            "the balances of {account} do not allow it; look at them and choose another amount"
        )),
        Err(error) => error,
    }
}
