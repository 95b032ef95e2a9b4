//! Balances recomputed from entries, and any difference told (I10).

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use tollgate_core::id::AccountId;

use super::transfer::Side;
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, one, run, sql},
};

/// A balance that is not the sum of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The account.
    pub account: AccountId,
    /// Which side of it.
    pub side: Side,
    /// What the account's row says.
    pub balance: i64,
    /// What its entries sum up to.
    pub entries: i64,
}

/// What reconciling found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// How many accounts were looked at.
    pub accounts: u64,
    /// Balances that are not the sum of their entries.
    pub differences: Vec<Difference>,
    /// What all entries sum up to: zero.
    pub sum: i64,
    /// Reservations that nothing has resolved.
    pub pending: u64,
    /// Leases that running processes hold, or ended ones have left.
    pub leases: u64,
    /// Accounts whose reserved funds are not what reservations and leases hold: what is reserved, and
    /// what is held.
    pub withheld: Vec<(AccountId, i64, i64)>,
}

impl Reconciled {
    /// Whether the ledger balances.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.withheld.is_empty() && self.sum == 0
    }
}

/// What was found when the ledger was recomputed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastReconciled {
    /// When, in wall microseconds.
    pub at_us: i64,
    /// How many accounts were looked at.
    pub accounts: u64,
    /// How many differences there were.
    pub differences: u64,
}

impl Store {
    /// Keeps what was found, for who asks when the ledger was recomputed last.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note_reconciled(&self, found: &Reconciled, now_us: i64) -> Result<(), StoreError> {
        let differences = found.differences.len() + found.withheld.len() + usize::from(found.sum != 0);
        let value = format!("{now_us} {} {differences}", found.accounts);
        let note = sql("INSERT INTO meta (name, value) VALUES ('reconciled', $1) \
                        ON CONFLICT (name) DO UPDATE SET value = excluded.value");
        let mut tx = self.begin_write().await?;
        run(note.bind(value), &mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What was found last; `None` when nobody has looked yet.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_reconciled(&self) -> Result<Option<LastReconciled>, StoreError> {
        let mut conn = self.reader().await?;
        let row = one(sql("SELECT value FROM meta WHERE name = 'reconciled'"), &mut conn).await?;
        let Some(row) = row else { return Ok(None) };
        let mut words = row.text(0)?.split(' ').map(str::parse::<i64>);
        let mut next = || words.next().and_then(Result::ok);
        match (next(), next(), next()) {
            (Some(at_us), Some(accounts), Some(differences)) => Ok(Some(LastReconciled {
                at_us,
                accounts: accounts.unsigned_abs(),
                differences: differences.unsigned_abs(),
            })),
            _ => Err(StoreError::corrupt("what was found of the ledger last cannot be read")),
        }
    }

    /// Recomputes every balance from the entries, in one state of the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn reconcile(&self) -> Result<Reconciled, StoreError> {
        let mut tx = self.begin_read().await?;
        let sums = sums(&mut tx).await?;
        let held = held(&mut tx).await?;
        let text = "SELECT id, funded, reserved, spent, overrun FROM ledger_accounts ORDER BY id";
        let mut found = Reconciled { sum: sums.values().sum(), ..Reconciled::default() };
        for row in all(sql(text), &mut tx).await? {
            found.accounts += 1;
            let holds = held.get(&row.int(0)?).copied().unwrap_or(0);
            if holds != row.int(2)? {
                found.withheld.push((AccountId::from_sql(row.int(0)?), row.int(2)?, holds));
            }
            let account = AccountId::from_sql(row.int(0)?);
            let (funded, reserved, spent, overrun) = (row.int(1)?, row.int(2)?, row.int(3)?, row.int(4)?);
            let balances = [
                (Side::Outside, -funded - overrun),
                (Side::Free, funded - reserved - spent),
                (Side::Reserved, reserved),
                (Side::Spent, spent),
                (Side::Overrun, overrun),
            ];
            for (side, balance) in balances {
                let entries = sums.get(&(row.int(0)?, side as i64)).copied().unwrap_or(0);
                if entries != balance {
                    found.differences.push(Difference { account, side, balance, entries });
                }
            }
        }
        let pending = one(sql("SELECT CAST(COUNT(*) AS BIGINT) FROM ledger_pending"), &mut tx).await?;
        found.pending = pending.map_or(Ok(0), |row| row.count(0))?;
        let leases = one(sql("SELECT CAST(COUNT(*) AS BIGINT) FROM ledger_leases"), &mut tx).await?;
        found.leases = leases.map_or(Ok(0), |row| row.count(0))?;
        tx.rollback().await?;
        Ok(found)
    }
}

/// The sum of each account's entries on each side.
async fn sums(conn: &mut AnyConnection) -> Result<BTreeMap<(i64, i64), i64>, StoreError> {
    let text = "SELECT account, side, CAST(SUM(amount) AS BIGINT) FROM ledger_entries GROUP BY account, side";
    let rows = all(sql(text), conn).await?;
    rows.iter().map(|row| Ok(((row.int(0)?, row.int(1)?), row.int(2)?))).collect()
}

/// What reservations and leases hold of each account.
async fn held(conn: &mut AnyConnection) -> Result<BTreeMap<i64, i64>, StoreError> {
    let text = "SELECT e.account, CAST(SUM(e.amount) AS BIGINT) FROM ledger_pending p \
                JOIN ledger_entries e ON e.transfer = p.transfer AND e.side = 2 GROUP BY e.account \
                UNION ALL SELECT account, CAST(SUM(holds) AS BIGINT) FROM ledger_leases GROUP BY account";
    let mut held = BTreeMap::new();
    for row in all(sql(text), conn).await? {
        *held.entry(row.int(0)?).or_insert(0) += row.int(1)?;
    }
    Ok(held)
}
