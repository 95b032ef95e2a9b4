//! The end of a reservation, once: posted, voided, or charged whole.

use sqlx::AnyConnection;
use tollgate_core::{id::AccountId, money::amount::Amount};

use super::{
    account::amount,
    transfer::{Begun, Leg, Moved, Side, Transfer, TransferId, TransferKind, in_order},
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{Columns as _, all, run, sql},
};

/// What was used of a reservation.
#[derive(Clone, Copy, Debug)]
pub struct Posting<'a> {
    /// The posting's own id.
    pub id: TransferId,
    /// The reservation.
    pub of: TransferId,
    /// How much in which of its accounts; nothing in those that are not named.
    pub legs: &'a [Leg],
    /// Why, for who reads the entries.
    pub cause: &'a str,
}

/// What became of the end of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It took effect.
    Now(Moved),
    /// Another transfer has resolved the reservation before; nothing was changed (I8).
    Before(TransferId),
}

/// How much of each leg of the reservation is spent.
#[derive(Clone, Copy)]
enum Used<'a> {
    None,
    All,
    These(&'a [Leg]),
}

/// The end of a reservation as it is asked for.
#[derive(Clone, Copy)]
struct End<'a> {
    id: TransferId,
    of: TransferId,
    kind: TransferKind,
    used: Used<'a>,
    cause: &'a str,
}

impl Store {
    /// Spends what was used of a reservation; the rest is free again. A lease is given back like this.
    ///
    /// # Errors
    /// When there is no such reservation, more was used than reserved in an account (post what was
    /// reserved and record the rest as an overrun), the id stands for something else, or the database
    /// cannot be written.
    pub async fn post(&self, posting: &Posting<'_>, now_us: i64) -> Result<Resolved, StoreError> {
        let legs = in_order(posting.legs)?;
        let end = End {
            id: posting.id,
            of: posting.of,
            kind: TransferKind::Post,
            used: Used::These(&legs),
            cause: posting.cause,
        };
        self.resolve(end, now_us).await
    }

    /// Frees all of a reservation: nothing was used.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub async fn void(
        &self,
        id: TransferId,
        of: TransferId,
        cause: &str,
        now_us: i64,
    ) -> Result<Resolved, StoreError> {
        self.resolve(End { id, of, kind: TransferKind::Void, used: Used::None, cause }, now_us).await
    }

    /// Spends all of a reservation: nobody can tell what was used, and unknown counts as spent.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub async fn charge(
        &self,
        id: TransferId,
        of: TransferId,
        cause: &str,
        now_us: i64,
    ) -> Result<Resolved, StoreError> {
        self.resolve(End { id, of, kind: TransferKind::Charge, used: Used::All, cause }, now_us).await
    }

    async fn resolve(&self, end: End<'_>, now_us: i64) -> Result<Resolved, StoreError> {
        let legs = match end.used {
            Used::These(legs) => legs,
            Used::None | Used::All => &[],
        };
        let transfer = Transfer {
            id: end.id,
            kind: end.kind,
            resolves: Some(end.of),
            legs,
            cause: end.cause,
            at_us: now_us,
        };
        let mut tx = self.begin_write().await?;
        match transfer.begin(&mut tx).await? {
            Begun::New => {}
            Begun::Replayed => {
                tx.rollback().await?;
                return Ok(Resolved::Now(Moved::Replayed));
            }
            Begun::ResolvedBy(other) => {
                tx.rollback().await?;
                return Ok(Resolved::Before(other));
            }
        }
        let remove = sql("DELETE FROM ledger_pending WHERE transfer = $1").bind(end.of.0.to_vec());
        if run(remove, &mut tx).await? != 1 {
            return Err(StoreError::not_found(Entity::Reservation, end.of));
        }
        let mut entries = Vec::new();
        for (held, used) in uses(&reserved(end.of, &mut tx).await?, end.used)? {
            settle(held, used, &mut tx).await?;
            let (all, used) = (held.amount.atoms(), used.atoms());
            let sides = [(Side::Reserved, -all), (Side::Spent, used), (Side::Free, all - used)];
            entries.extend(sides.map(|(side, amount)| (held.account, side, amount)));
        }
        transfer.enter(&entries, &mut tx).await?;
        tx.commit().await?;
        Ok(Resolved::Now(Moved::Done))
    }
}

/// What a reservation holds in each account, in the order of their ids.
async fn reserved(of: TransferId, conn: &mut AnyConnection) -> Result<Vec<Leg>, StoreError> {
    let text =
        "SELECT account, amount FROM ledger_entries WHERE transfer = $1 AND side = $2 ORDER BY account";
    let rows = all(sql(text).bind(of.0.to_vec()).bind(Side::Reserved as i64), conn).await?;
    rows.iter()
        .map(|row| Ok(Leg { account: AccountId::from_sql(row.int(0)?), amount: amount(row.int(1)?)? }))
        .collect()
}

/// Every leg that is held, with how much of it is spent.
fn uses(held: &[Leg], used: Used<'_>) -> Result<Vec<(Leg, Amount)>, StoreError> {
    let Used::These(used) = used else {
        let part = |leg: &Leg| if matches!(used, Used::All) { leg.amount } else { Amount::ZERO };
        return Ok(held.iter().map(|leg| (*leg, part(leg))).collect());
    };
    let of = |legs: &[Leg], account| {
        let leg = legs.iter().find(|leg| leg.account == account);
        leg.map_or(Amount::ZERO, |leg| leg.amount)
    };
    if let Some(leg) = used.iter().find(|leg| leg.amount > of(held, leg.account)) {
        return Err(StoreError::Conflict(format!(
            "more was used in {} than is reserved; post what is reserved and record the rest as an overrun",
            leg.account
        )));
    }
    Ok(held.iter().map(|leg| (*leg, of(used, leg.account))).collect())
}

async fn settle(held: Leg, used: Amount, conn: &mut AnyConnection) -> Result<(), StoreError> {
    let text = "UPDATE ledger_accounts SET reserved = reserved - $2, spent = spent + $3 \
                WHERE id = $1 AND reserved >= $2";
    let update = sql(text).bind(held.account.to_sql()).bind(held.amount.atoms()).bind(used.atoms());
    if run(update, conn).await? == 1 {
        Ok(())
    } else {
        Err(StoreError::corrupt("an account has less reserved than its reservations hold"))
    }
}
