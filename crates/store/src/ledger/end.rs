//! The end of a run's leases: what its calls can have used at most is spent, the rest is free again.
//!
//! A run has ended when its node starts anew and has shipped the whole journal of it. Calls whose end is
//! not in the journal are charged at what they had reserved; when the journal itself has holes, or is
//! gone with its node, all that the lease held is. Unknown counts as spent, until it is shown otherwise.

use sqlx::AnyConnection;
use tollgate_core::{id::AccountId, money::amount::Amount};

use super::{
    draw::Draw,
    lease::{Lease, Lessee, lease_of},
    transfer::{Begun, Leg, Side, Transfer, TransferId, TransferKind},
};
use crate::{
    error::StoreError,
    nodes::NodeBeat,
    open::Store,
    sql::{Columns as _, all, one, run, sql},
};

/// Leases ended in one transaction.
const LEASES_MAX: i64 = 256;
/// How long a node must not have been heard of, at the least, before its journal counts as lost.
const QUIET_US: u64 = 30_000_000;

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
            let found = End::hold(&lease_of(&row)?, now_us, &mut tx).await?;
            ended.leases += 1;
            if let Some(end) = found {
                end.run(&mut ended, &mut tx).await?;
            }
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// The earlier runs of a node that have leases of budgets or quotas.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn earlier_runs(&self, lessee: Lessee) -> Result<Vec<u64>, StoreError> {
        let text = "SELECT boot FROM ledger_leases WHERE node = $1 AND boot <> $2 \
                    UNION SELECT boot FROM quota_leases WHERE node = $1 AND boot <> $2 ORDER BY boot";
        let mut conn = self.reader().await?;
        let rows = all(sql(text).bind(lessee.node as i64).bind(lessee.boot as i64), &mut conn).await?;
        rows.iter().map(|row| row.count(0)).collect()
    }

    /// Notes that the journal of a run may have lost records without a trace: its leases are charged whole
    /// at their end (I14).
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note_torn(&self, boot: u64) -> Result<(), StoreError> {
        let note = sql("INSERT INTO shipped (boot, lane, upto, kept, lost) VALUES ($1, 0, 0, 0, 1) \
                        ON CONFLICT (boot, lane) DO UPDATE SET lost = shipped.lost + excluded.lost \
                        WHERE shipped.lost = 0");
        let mut tx = self.begin_write().await?;
        run(note.bind(boot as i64), &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Charges whole what a node's leases hold, because its journal is lost. Should the node come back
    /// after all, what it did not use is given back then.
    ///
    /// # Errors
    /// When the node runs: it would go on spending what was charged. When the database cannot be written.
    pub async fn charge_lost(&self, node: u64, now_us: i64) -> Result<Vec<Lease>, StoreError> {
        let is_heard = |beat: &NodeBeat| {
            let quiet_us = now_us.saturating_sub(beat.seen_us).max(0).unsigned_abs();
            beat.node == node && quiet_us < beat.lease_ms.saturating_mul(3_000).max(QUIET_US)
        };
        if self.live_nodes().await?.iter().any(is_heard) {
            return Err(StoreError::Conflict(format!(
                "node {node:016x} runs: it was heard of within {} s; stop it first",
                QUIET_US / 1_000_000
            )));
        }
        let text = "SELECT boot, account, node, holds, charged, opened_us FROM ledger_leases \
                    WHERE node = $1 AND holds > 0 ORDER BY account, boot";
        let mut tx = self.begin_write().await?;
        let mut charged = Vec::new();
        for row in all(sql(text).bind(node as i64), &mut tx).await? {
            // What it holds may have changed before the account was held.
            let Some(end) = End::hold(&lease_of(&row)?, now_us, &mut tx).await? else { continue };
            let Lease { account, lessee: Lessee { boot, .. }, holds, .. } = end.lease;
            if holds <= Amount::ZERO {
                continue;
            }
            end.charge(&format!("the journal of run {boot:012x} is lost"), &mut tx).await?;
            let keep = sql("UPDATE ledger_leases SET charged = charged + $3, holds = holds - $3 \
                            WHERE boot = $1 AND account = $2");
            run(keep.bind(boot as i64).bind(account.to_sql()).bind(holds.atoms()), &mut tx).await?;
            charged.push(end.lease);
        }
        tx.commit().await?;
        Ok(charged)
    }
}

/// A lease at its end, with its account held: nobody else changes either until the transaction ends.
struct End {
    lease: Lease,
    now_us: i64,
}

impl End {
    /// Holds the account of a lease, then looks at the lease again; `None` when it is gone meanwhile.
    async fn hold(lease: &Lease, now_us: i64, conn: &mut AnyConnection) -> Result<Option<Self>, StoreError> {
        let (boot, account) = (lease.lessee.boot as i64, lease.account.to_sql());
        run(sql("UPDATE ledger_accounts SET reserved = reserved WHERE id = $1").bind(account), conn).await?;
        let again = sql("SELECT boot, account, node, holds, charged, opened_us FROM ledger_leases \
                         WHERE boot = $1 AND account = $2");
        let row = one(again.bind(boot).bind(account), conn).await?;
        row.map(|row| Ok(Self { lease: lease_of(&row)?, now_us })).transpose()
    }

    async fn run(&self, ended: &mut Ended, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let (boot, account) = (self.lease.lessee.boot, self.lease.account);
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

/// Whether records of a run are gone: what they drew from leases nobody knows (I14).
pub(crate) async fn has_holes(boot: u64, conn: &mut AnyConnection) -> Result<bool, StoreError> {
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
