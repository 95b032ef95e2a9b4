//! The end of a run's leases: what its calls can have used at most is spent, the rest is free again.
//!
//! A run has ended when its node starts anew and has shipped the whole journal of it. Calls whose end is
//! not in the journal are charged at what they had reserved; when the journal itself has holes, or is
//! gone with its node, all that the lease held is. Unknown counts as spent, until it is shown otherwise.

use sqlx::AnyConnection;
use tollgate_core::id::AccountId;

use super::{
    draw::Draw,
    lease::{Lease, Lessee, lease_of},
    transfer::{Begun, Leg, Side, Transfer, TransferId, TransferKind},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, one, run, sql},
};

/// Leases ended in one transaction.
const LEASES_MAX: i64 = 256;

/// What the end of leases did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many leases.
    pub leases: u64,
    /// How many calls were charged at what they had reserved, because nobody knows their end.
    pub calls: u64,
    /// How many leases were charged whole, because their journal has holes.
    pub charged: u64,
}

impl Store {
    /// Ends the leases of all earlier runs of a node, at most 256 a call: call again until it says 0. To
    /// be called when their journals were shipped.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_leases(&self, lessee: Lessee, now_us: i64) -> Result<Ended, StoreError> {
        let text = "SELECT boot, account, node, holds, charged, opened_us FROM ledger_leases \
                    WHERE node = $1 AND boot <> $2 ORDER BY account, boot LIMIT $3";
        let ask = sql(text).bind(lessee.node as i64).bind(lessee.boot as i64).bind(LEASES_MAX);
        let mut ended = Ended::default();
        let mut tx = self.begin_write().await?;
        for row in all(ask, &mut tx).await? {
            let end = End { lease: lease_of(&row)?, now_us };
            end.run(&mut ended, &mut tx).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// Charges whole what a node's leases hold, because its journal is lost. Should the node come back
    /// after all, what it did not use is given back then.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn charge_lost(&self, node: u64, now_us: i64) -> Result<Vec<Lease>, StoreError> {
        let text = "SELECT boot, account, node, holds, charged, opened_us FROM ledger_leases \
                    WHERE node = $1 AND holds > 0 ORDER BY account, boot";
        let mut tx = self.begin_write().await?;
        let leases: Vec<Lease> = all(sql(text).bind(node as i64), &mut tx)
            .await?
            .iter()
            .map(lease_of)
            .collect::<Result<_, _>>()?;
        for lease in &leases {
            let cause = format!("the journal of run {:012x} is lost", lease.lessee.boot);
            let end = End { lease: *lease, now_us };
            end.charge(&cause, &mut tx).await?;
            let keep = sql("UPDATE ledger_leases SET charged = charged + holds, holds = 0 \
                            WHERE boot = $1 AND account = $2");
            run(keep.bind(lease.lessee.boot as i64).bind(lease.account.to_sql()), &mut tx).await?;
        }
        tx.commit().await?;
        Ok(leases)
    }
}

/// A lease at its end.
struct End {
    lease: Lease,
    now_us: i64,
}

impl End {
    async fn run(&self, ended: &mut Ended, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let (boot, account) = (self.lease.lessee.boot, self.lease.account);
        hold(account, conn).await?;
        ended.leases += 1;
        if has_holes(boot, conn).await? {
            self.charge("the journal of its run has holes", conn).await?;
            ended.charged += 1;
        } else {
            let (calls, amount) = open_calls(boot, account, conn).await?;
            ended.calls += calls;
            let cause = format!("{calls} calls that never were settled, at what they had reserved");
            let draw = Draw { account, boot, amount, cause: &cause, at_us: self.now_us };
            let _not_covered = draw.take(self.id("end"), conn).await?;
            self.free(conn).await?;
        }
        for text in [
            "DELETE FROM ledger_open WHERE boot = $1 AND account = $2",
            "DELETE FROM ledger_leases WHERE boot = $1 AND account = $2",
        ] {
            run(sql(text).bind(boot as i64).bind(account.to_sql()), conn).await?;
        }
        Ok(())
    }

    /// Frees what is left of it, and what of a charge was not used.
    async fn free(&self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let (boot, account) = (self.lease.lessee.boot, self.lease.account);
        let ask = sql("SELECT holds, charged FROM ledger_leases WHERE boot = $1 AND account = $2");
        let Some(row) = one(ask.bind(boot as i64).bind(account.to_sql()), conn).await? else {
            return Ok(());
        };
        let (holds, charged) = (row.int(0)?, row.int(1)?);
        let cause = format!("run {boot:012x} has ended");
        self.shift((TransferKind::Return, "freed"), (holds, Side::Reserved, Side::Free), &cause, conn)
            .await?;
        let cause = format!("the journal of run {boot:012x} was found");
        self.shift((TransferKind::Refund, "found"), (charged, Side::Spent, Side::Free), &cause, conn).await
    }

    /// Spends all that it holds.
    async fn charge(&self, cause: &str, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let holds = self.lease.holds.atoms();
        self.shift((TransferKind::Charge, "charged"), (holds, Side::Reserved, Side::Spent), cause, conn).await
    }

    async fn shift(
        &self,
        (kind, domain): (TransferKind, &str),
        (atoms, from, to): (i64, Side, Side),
        cause: &str,
        conn: &mut AnyConnection,
    ) -> Result<(), StoreError> {
        if atoms <= 0 {
            return Ok(());
        }
        let account = self.lease.account;
        let text = match (from, to) {
            (Side::Reserved, Side::Free) => {
                "UPDATE ledger_accounts SET reserved = reserved - $2 WHERE id = $1 AND reserved >= $2"
            }
            (Side::Reserved, _) => {
                "UPDATE ledger_accounts SET reserved = reserved - $2, spent = spent + $2 \
                 WHERE id = $1 AND reserved >= $2"
            }
            _ => "UPDATE ledger_accounts SET spent = spent - $2 WHERE id = $1 AND spent >= $2",
        };
        if run(sql(text).bind(account.to_sql()).bind(atoms), conn).await? != 1 {
            return Err(StoreError::corrupt("an account has less than its leases hold"));
        }
        let legs = [Leg { account, amount: super::account::amount(atoms)? }];
        // A run may be charged more than once, when it took more in between.
        let id = TransferId::derived_from(self.id(domain), "at", &[self.now_us as u64]);
        let transfer = Transfer { id, kind, resolves: None, legs: &legs, cause, at_us: self.now_us };
        if transfer.begin(conn).await? != Begun::New {
            return Err(StoreError::corrupt("a lease ended before"));
        }
        transfer.enter(&[(account, from, -atoms), (account, to, atoms)], conn).await
    }

    fn id(&self, domain: &str) -> TransferId {
        TransferId::derived(domain, &[self.lease.account.0, self.lease.lessee.boot])
    }
}

async fn hold(account: AccountId, conn: &mut AnyConnection) -> Result<(), StoreError> {
    run(sql("UPDATE ledger_accounts SET reserved = reserved WHERE id = $1").bind(account.to_sql()), conn)
        .await?;
    Ok(())
}

/// Whether records of a run are gone: what they drew from leases nobody knows (I14).
async fn has_holes(boot: u64, conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let ask = sql("SELECT boot FROM shipped WHERE boot = $1 AND lost > 0 LIMIT 1").bind(boot as i64);
    Ok(one(ask, conn).await?.is_some())
}

/// How many calls of a run have no end, and what they had reserved together.
async fn open_calls(
    boot: u64,
    account: AccountId,
    conn: &mut AnyConnection,
) -> Result<(u64, i64), StoreError> {
    let text = "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM ledger_open \
                WHERE boot = $1 AND account = $2";
    let row = one(sql(text).bind(boot as i64).bind(account.to_sql()), conn).await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.count(0)?, row.int(1)?)))
}
