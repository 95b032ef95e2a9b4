//! Leases: what a running process holds of an account and spends by itself.
//!
//! A process has at most one lease of an account. What it `holds` is never below what the process can
//! still use: what it has free, what its calls in flight hold, and what they used and was not shipped
//! yet. So a process may take more and give back what it has free at any time, and whatever is shipped
//! later is covered (I7).

use sqlx::AnyConnection;
use tollgate_core::{
    id::AccountId,
    money::amount::{AMOUNT_MAX, Amount},
};

use super::{
    account::amount,
    transfer::{Begun, Leg, Side, Transfer, TransferId, TransferKind, no_account},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, Row, all, one, run, sql},
};

/// Leases that are listed at once.
const LEASES_MAX: i64 = 1_000;
/// Why a lease takes, for who reads the entries.
pub(super) const CAUSE: &str = "lease of a node";
pub(super) const CAUSE_BACK: &str = "lease given back";

/// Who holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lessee {
    /// The node.
    pub node: u64,
    /// The run of it.
    pub boot: u64,
}

/// What a process wants of an account.
#[derive(Clone, Copy, Debug)]
pub struct LeaseWant {
    /// The account.
    pub account: AccountId,
    /// Counted up by the process for each want: the same number stands for the same want, and is asked
    /// again when it is not known what became of it.
    pub step: u64,
    /// Less than this is of no use.
    pub at_least: Amount,
    /// As much as this is wanted, if it is free.
    pub wish: Amount,
}

impl LeaseWant {
    /// The transfer that fulfils it.
    pub(super) fn transfer(&self, lessee: Lessee) -> TransferId {
        TransferId::derived("lease", &[self.account.0, lessee.boot, self.step])
    }
}

/// What a want was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leased {
    /// How much; nothing when less than the least is free.
    pub taken: Amount,
    /// What is free in nobody's lease now.
    pub rest: Amount,
    /// More was spent than reserved, and nobody has forgiven it: a hard account gives nothing.
    pub is_overrun: bool,
}

/// A lease as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Of which account.
    pub account: AccountId,
    /// Whose.
    pub lessee: Lessee,
    /// What it holds.
    pub holds: Amount,
    /// What of it was charged whole, and not shown to be used since.
    pub charged: Amount,
    /// Since when, in wall microseconds.
    pub opened_us: i64,
}

impl Store {
    /// Takes what a want says out of an account's free funds, at most as much as is free; an account
    /// that is not hard gives what is wished. By one guarded statement, so that whatever runs beside it,
    /// `spent + reserved` never passes what was funded (I7).
    ///
    /// # Errors
    /// When there is no such account, the step stands for another want, or the database cannot be
    /// written; whether it took effect is not known in the last case: ask again with the same step.
    pub async fn lease_up_to(
        &self,
        lessee: Lessee,
        want: &LeaseWant,
        now_us: i64,
    ) -> Result<Leased, StoreError> {
        let account = want.account;
        let wish = want.wish.max(want.at_least);
        let legs = [Leg { account, amount: wish }];
        let transfer = Transfer {
            id: want.transfer(lessee),
            kind: TransferKind::Extend,
            resolves: None,
            legs: &legs,
            cause: CAUSE,
            at_us: now_us,
        };
        let mut tx = self.begin_write().await?;
        let begun = transfer.begin(&mut tx).await?;
        let found = Found::hold(account, &mut tx).await?;
        if begun != Begun::New {
            let taken = taken_by(transfer.id, account, &mut tx).await?;
            tx.rollback().await?;
            return Ok(found.gave(taken, Amount::ZERO));
        }
        let taken = found.gives(want.at_least, wish);
        if taken <= Amount::ZERO {
            tx.rollback().await?;
            return Ok(found.gave(Amount::ZERO, Amount::ZERO));
        }
        let atoms = taken.atoms();
        let update = sql("UPDATE ledger_accounts SET reserved = reserved + $2 WHERE id = $1 AND \
                          ((hard = 0 AND spent + reserved <= $3) \
                          OR (hard = 1 AND overrun = 0 AND spent + reserved <= funded - $2))");
        if run(update.bind(account.to_sql()).bind(atoms).bind(AMOUNT_MAX - atoms), &mut tx).await? != 1 {
            return Err(StoreError::corrupt("an account changed while it was held"));
        }
        transfer.enter(&[(account, Side::Free, -atoms), (account, Side::Reserved, atoms)], &mut tx).await?;
        let add = sql("INSERT INTO ledger_leases (boot, account, node, holds, charged, opened_us) \
                       VALUES ($1, $2, $3, $4, 0, $5) \
                       ON CONFLICT (boot, account) DO UPDATE SET holds = ledger_leases.holds + excluded.holds")
        .bind(lessee.boot as i64)
        .bind(account.to_sql())
        .bind(lessee.node as i64)
        .bind(atoms)
        .bind(now_us);
        run(add, &mut tx).await?;
        tx.commit().await?;
        Ok(found.gave(taken, taken))
    }

    /// Gives a part of a lease back, which the process has taken out of what it can use. `false` when
    /// the lease does not hold it any more, because somebody charged it.
    ///
    /// # Errors
    /// When the step stands for something else, or the database cannot be written; whether it took
    /// effect is not known then: ask again with the same step.
    pub async fn give_back(
        &self,
        lessee: Lessee,
        (account, step): (AccountId, u64),
        amount: Amount,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let legs = [Leg { account, amount }];
        let transfer = Transfer {
            id: returned(lessee, account, step),
            kind: TransferKind::Return,
            resolves: None,
            legs: &legs,
            cause: CAUSE_BACK,
            at_us: now_us,
        };
        let atoms = amount.atoms();
        let mut tx = self.begin_write().await?;
        if transfer.begin(&mut tx).await? != Begun::New {
            tx.rollback().await?;
            return Ok(true);
        }
        let free =
            sql("UPDATE ledger_accounts SET reserved = reserved - $2 WHERE id = $1 AND reserved >= $2");
        let freed = run(free.bind(account.to_sql()).bind(atoms), &mut tx).await?;
        let lower = sql(
            "UPDATE ledger_leases SET holds = holds - $3 WHERE boot = $1 AND account = $2 AND holds >= $3",
        );
        let lower = lower.bind(lessee.boot as i64).bind(account.to_sql()).bind(atoms);
        if freed != 1 || run(lower, &mut tx).await? != 1 {
            tx.rollback().await?;
            return Ok(false);
        }
        transfer.enter(&[(account, Side::Reserved, -atoms), (account, Side::Free, atoms)], &mut tx).await?;
        forget_empty(lessee.boot, account, &mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Leases of a node, or of all, oldest first, at most 1000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn leases(&self, node: Option<u64>) -> Result<Vec<Lease>, StoreError> {
        let text = "SELECT boot, account, node, holds, charged, opened_us FROM ledger_leases \
                    WHERE $1 = 0 OR node = $2 ORDER BY opened_us, boot, account LIMIT $3";
        let ask = sql(text).bind(i64::from(node.is_some())).bind(node.unwrap_or(0) as i64).bind(LEASES_MAX);
        let mut conn = self.reader().await?;
        all(ask, &mut conn).await?.iter().map(lease_of).collect()
    }
}

/// The transfer that gives a part of a lease back.
pub(super) fn returned(lessee: Lessee, account: AccountId, step: u64) -> TransferId {
    TransferId::derived("return", &[account.0, lessee.boot, step])
}

/// An account that nobody else changes until the end of the transaction.
pub(super) struct Found {
    free: Amount,
    is_hard: bool,
    is_overrun: bool,
}

impl Found {
    async fn hold(account: AccountId, conn: &mut AnyConnection) -> Result<Self, StoreError> {
        let text = "UPDATE ledger_accounts SET reserved = reserved WHERE id = $1 \
                    RETURNING funded - reserved - spent, hard, overrun";
        let row = one(sql(text).bind(account.to_sql()), conn).await?.ok_or_else(|| no_account(account))?;
        Ok(Self::of(row.int(0)?, row.int(1)?, row.int(2)?))
    }

    /// From what is free of it, whether it is hard, and what it is overrun by.
    pub(super) fn of(free: i64, hard: i64, overrun: i64) -> Self {
        let free = Amount::from_atoms(free).unwrap_or(Amount::ZERO);
        Self { free, is_hard: hard != 0, is_overrun: overrun > 0 }
    }

    /// How much of a wish there is; nothing when it is less than the least.
    pub(super) fn gives(&self, at_least: Amount, wish: Amount) -> Amount {
        if !self.is_hard {
            return wish;
        }
        let most = self.free.min(wish);
        if self.is_overrun || most < at_least { Amount::ZERO } else { most }
    }

    pub(super) fn gave(&self, taken: Amount, from_free: Amount) -> Leased {
        let rest = self.free.checked_sub(from_free).unwrap_or(Amount::ZERO).max(Amount::ZERO);
        Leased { taken, rest, is_overrun: self.is_hard && self.is_overrun }
    }
}

/// What a transfer set aside in an account.
async fn taken_by(
    transfer: TransferId,
    account: AccountId,
    conn: &mut AnyConnection,
) -> Result<Amount, StoreError> {
    let text = "SELECT amount FROM ledger_entries WHERE transfer = $1 AND account = $2 AND side = $3";
    let ask = sql(text).bind(transfer.0.to_vec()).bind(account.to_sql()).bind(Side::Reserved as i64);
    one(ask, conn).await?.map_or(Ok(Amount::ZERO), |row| amount(row.int(0)?))
}

/// Takes the row of a lease away that holds nothing and owes nothing.
pub(super) async fn forget_empty(
    boot: u64,
    account: AccountId,
    conn: &mut AnyConnection,
) -> Result<(), StoreError> {
    let text = "DELETE FROM ledger_leases WHERE boot = $1 AND account = $2 AND holds = 0 AND charged = 0";
    run(sql(text).bind(boot as i64).bind(account.to_sql()), conn).await?;
    Ok(())
}

/// A row of `boot, account, node, holds, charged, opened_us`.
pub(super) fn lease_of(row: &Row) -> Result<Lease, StoreError> {
    Ok(Lease {
        account: AccountId::from_sql(row.int(1)?),
        lessee: Lessee { node: row.int(2)? as u64, boot: row.int(0)? as u64 },
        holds: amount(row.int(3)?)?,
        charged: amount(row.int(4)?)?,
        opened_us: row.int(5)?,
    })
}
