//! Reservations and leases: from all accounts or from none.

use sqlx::AnyConnection;
use tollgate_core::{
    id::AccountId,
    money::amount::{AMOUNT_MAX, Amount},
};

use super::{
    account::balance_of,
    transfer::{Begun, Leg, Moved, Side, Transfer, TransferId, TransferKind, id_of, in_order},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, run, sql},
};

/// Reservations that are listed at once.
const PENDING_MAX: i64 = 1_000;

/// Funds to be set aside.
#[derive(Clone, Copy, Debug)]
pub struct Reservation<'a> {
    /// Its id, kept by the caller before it asks.
    pub id: TransferId,
    /// How much in which accounts: all of it or nothing.
    pub legs: &'a [Leg],
    /// The run of the process that spends it by itself; `None` for a single call.
    pub lease_of: Option<u64>,
    /// Why, for who reads the entries.
    pub cause: &'a str,
}

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It is set aside.
    Held(Moved),
    /// This account has less free, or an overrun; nothing was set aside anywhere.
    Refused {
        /// The account.
        account: AccountId,
        /// What it has free.
        free: Amount,
    },
}

/// A reservation that nothing has resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: TransferId,
    /// Since when, in wall microseconds.
    pub at_us: i64,
}

impl Store {
    /// Sets funds aside in all accounts of a reservation, or in none (I7).
    ///
    /// # Errors
    /// When an account is not there, the id stands for something else, or the database cannot be
    /// written; whether it took effect is not known in the last case: ask again with the same id.
    pub async fn reserve(&self, reservation: &Reservation<'_>, now_us: i64) -> Result<Reserved, StoreError> {
        let legs = in_order(reservation.legs)?;
        let transfer = Transfer {
            id: reservation.id,
            kind: TransferKind::Reserve,
            resolves: None,
            legs: &legs,
            cause: reservation.cause,
            at_us: now_us,
        };
        let mut tx = self.begin_write().await?;
        if transfer.begin(&mut tx).await? != Begun::New {
            tx.rollback().await?;
            return Ok(Reserved::Held(Moved::Replayed));
        }
        for leg in &legs {
            if !set_aside(*leg, &mut tx).await? {
                let free = balance_of(leg.account, &mut tx).await?.free();
                tx.rollback().await?;
                return Ok(Reserved::Refused { account: leg.account, free });
            }
        }
        let entries: Vec<_> = legs.iter().flat_map(|leg| aside(*leg)).collect();
        transfer.enter(&entries, &mut tx).await?;
        let pending = sql("INSERT INTO ledger_pending (transfer, boot, at_us) VALUES ($1, $2, $3)")
            .bind(reservation.id.0.to_vec())
            .bind(reservation.lease_of.unwrap_or(0) as i64)
            .bind(now_us);
        run(pending, &mut tx).await?;
        tx.commit().await?;
        Ok(Reserved::Held(Moved::Done))
    }

    /// Leases that a run of a process has not settled, oldest first, at most 1000. After its end each
    /// of them counts as spent until its journal says otherwise.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_of(&self, boot: u64) -> Result<Vec<Pending>, StoreError> {
        let text =
            "SELECT transfer, at_us FROM ledger_pending WHERE boot = $1 ORDER BY at_us, transfer LIMIT $2";
        let mut conn = self.reader().await?;
        let rows = all(sql(text).bind(boot as i64).bind(PENDING_MAX), &mut conn).await?;
        rows.iter().map(|row| Ok(Pending { id: id_of(row.blob(0)?)?, at_us: row.int(1)? })).collect()
    }
}

/// One guarded statement. An account that is not hard refuses only what numbers cannot hold.
async fn set_aside(leg: Leg, conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let amount = leg.amount.atoms();
    let text = "UPDATE ledger_accounts SET reserved = reserved + $2 WHERE id = $1 AND \
                ((hard = 0 AND spent + reserved <= $3) \
                OR (hard = 1 AND overrun = 0 AND spent + reserved <= funded - $2))";
    let update = sql(text).bind(leg.account.to_sql()).bind(amount).bind(AMOUNT_MAX - amount);
    Ok(run(update, conn).await? == 1)
}

fn aside(leg: Leg) -> [(AccountId, Side, i64); 2] {
    let amount = leg.amount.atoms();
    [(leg.account, Side::Free, -amount), (leg.account, Side::Reserved, amount)]
}
