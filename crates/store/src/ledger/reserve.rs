//! Reservations of single calls: from all accounts or from none. What a process holds for many calls is
//! in `lease`.

use sqlx::AnyConnection;
use tollgate_core::{
    id::AccountId,
    money::amount::{AMOUNT_MAX, Amount},
};

use super::{
    account::balance_of,
    transfer::{Begun, Leg, Moved, Side, Transfer, TransferId, TransferKind, in_order},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{run, sql},
};

/// Funds to be set aside.
#[derive(Clone, Copy, Debug)]
pub struct Reservation<'a> {
    /// Its id, kept by the caller before it asks.
    pub id: TransferId,
    /// How much in which accounts: all of it or nothing.
    pub legs: &'a [Leg],
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
        let pending = sql("INSERT INTO ledger_pending (transfer, at_us) VALUES ($1, $2)")
            .bind(reservation.id.0.to_vec())
            .bind(now_us);
        run(pending, &mut tx).await?;
        tx.commit().await?;
        Ok(Reserved::Held(Moved::Done))
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
