//! What was used of leases, taken from them as the journals say: within the transaction that ships.
//!
//! What a lease holds covers its draws. Was it charged before, because its journal was thought lost,
//! they are paid already. What neither covers is owned up to as an overrun: it never stops shipping.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use tollgate_core::{
    id::{AccountId, DecisionId},
    money::amount::{AMOUNT_MAX, Amount},
};

use super::{
    lease::forget_empty,
    transfer::{Leg, Side, Transfer, TransferId, TransferKind},
};
use crate::{
    error::StoreError,
    sql::{Columns as _, one, run, sql},
};

/// What was used of one lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawn {
    /// Within what the lease covers.
    pub(crate) used: i64,
    /// Beyond it.
    pub(crate) over: i64,
    /// How many calls.
    pub(crate) calls: u64,
    /// The decision of the first and of the last of them.
    pub(crate) first: Option<DecisionId>,
    pub(crate) last: Option<DecisionId>,
}

impl Drawn {
    /// Why, for who reads the entries.
    fn cause(&self) -> String {
        let decision = |id: Option<DecisionId>| id.map(|id| id.to_string()).unwrap_or_default();
        match self.calls {
            1 => format!("decision {}", decision(self.first)),
            calls => format!("{calls} calls, decisions {} to {}", decision(self.first), decision(self.last)),
        }
    }
}

/// Takes what was used out of leases, by (account, boot). `shipment` tells this shipment from any other.
pub(crate) async fn draw(
    drawn: &BTreeMap<(AccountId, u64), Drawn>,
    shipment: TransferId,
    at_us: i64,
    conn: &mut AnyConnection,
) -> Result<(), StoreError> {
    // In the one order that accounts are locked in.
    for ((account, boot), drawn) in drawn {
        let cause = drawn.cause();
        let draw = Draw { account: *account, boot: *boot, amount: drawn.used, cause: &cause, at_us };
        let over = drawn.over.saturating_add(draw.take(shipment, conn).await?).clamp(0, AMOUNT_MAX);
        if over > 0 {
            overrun(&Draw { amount: over, ..draw }, shipment, conn).await?;
        }
        forget_empty(*boot, *account, conn).await?;
    }
    Ok(())
}

/// One draw.
#[derive(Clone, Copy)]
pub(super) struct Draw<'a> {
    pub(super) account: AccountId,
    pub(super) boot: u64,
    pub(super) amount: i64,
    pub(super) cause: &'a str,
    pub(super) at_us: i64,
}

impl Draw<'_> {
    /// Takes it from the lease; gives what the lease does not cover.
    pub(super) async fn take(
        self,
        shipment: TransferId,
        conn: &mut AnyConnection,
    ) -> Result<i64, StoreError> {
        if self.amount <= 0 {
            return Ok(0);
        }
        // The account first: everybody locks in this order.
        let hold = sql("UPDATE ledger_accounts SET reserved = reserved WHERE id = $1");
        run(hold.bind(self.account.to_sql()), conn).await?;
        let ask = sql("SELECT holds, charged FROM ledger_leases WHERE boot = $1 AND account = $2");
        let row = one(ask.bind(self.boot as i64).bind(self.account.to_sql()), conn).await?;
        let (holds, charged) =
            row.map_or(Ok((0, 0)), |row| Ok::<_, StoreError>((row.int(0)?, row.int(1)?)))?;
        let paid = self.amount.min(charged.max(0));
        let taken = (self.amount - paid).min(holds.max(0));
        let lower = sql("UPDATE ledger_leases SET holds = holds - $3, charged = charged - $4 \
                         WHERE boot = $1 AND account = $2");
        let lower = lower.bind(self.boot as i64).bind(self.account.to_sql()).bind(taken).bind(paid);
        run(lower, conn).await?;
        if taken > 0 {
            self.spend(taken, shipment, conn).await?;
        }
        Ok(self.amount - paid - taken)
    }

    /// Moves a part from what is reserved to what is spent.
    async fn spend(
        &self,
        taken: i64,
        shipment: TransferId,
        conn: &mut AnyConnection,
    ) -> Result<(), StoreError> {
        let text = "UPDATE ledger_accounts SET reserved = reserved - $2, spent = spent + $2 \
                    WHERE id = $1 AND reserved >= $2";
        if run(sql(text).bind(self.account.to_sql()).bind(taken), conn).await? != 1 {
            return Err(StoreError::corrupt("an account has less reserved than its leases hold"));
        }
        let entries = [(self.account, Side::Reserved, -taken), (self.account, Side::Spent, taken)];
        self.write((TransferKind::Draw, "draw"), (shipment, taken), &entries, conn).await
    }

    async fn write(
        &self,
        (kind, domain): (TransferKind, &str),
        (shipment, amount): (TransferId, i64),
        entries: &[(AccountId, Side, i64)],
        conn: &mut AnyConnection,
    ) -> Result<(), StoreError> {
        let amount = Amount::from_atoms(amount)
            .ok_or_else(|| StoreError::corrupt("a draw is out of the bounds of amounts"))?;
        let legs = [Leg { account: self.account, amount }];
        let id = TransferId::derived_from(shipment, domain, &[self.account.0, self.boot]);
        let transfer =
            Transfer { id, kind, resolves: None, legs: &legs, cause: self.cause, at_us: self.at_us };
        if transfer.begin(conn).await? != super::transfer::Begun::New {
            // The shipment's mark would have kept it from coming twice (I13).
            return Err(StoreError::corrupt("a shipment drew from a lease before"));
        }
        transfer.enter(entries, conn).await
    }
}

/// Owns up to what no lease covers. Whatever is wrong with the account, it does not stop shipping: an
/// overrun is full at the most of an amount, and an account that is gone has nothing to own up in.
async fn overrun(draw: &Draw<'_>, shipment: TransferId, conn: &mut AnyConnection) -> Result<(), StoreError> {
    let Draw { account, amount, boot, .. } = *draw;
    let hold = sql("UPDATE ledger_accounts SET overrun = overrun WHERE id = $1 RETURNING overrun");
    let Some(row) = one(hold.bind(account.to_sql()), conn).await? else {
        tracing::error!(%account, amount, "what calls used has no account in the ledger; it is not entered");
        return Ok(());
    };
    let entered = amount.min(AMOUNT_MAX - row.int(0)?);
    if entered < amount {
        tracing::error!(%account, boot, amount, entered, "an overrun is full; the rest of it is not entered");
    }
    if entered <= 0 {
        return Ok(());
    }
    let update = sql("UPDATE ledger_accounts SET overrun = overrun + $2 WHERE id = $1");
    run(update.bind(account.to_sql()).bind(entered), conn).await?;
    let entries = [(account, Side::Outside, -entered), (account, Side::Overrun, entered)];
    draw.write((TransferKind::Overrun, "overrun"), (shipment, entered), &entries, conn).await
}
