//! Balances recomputed from entries, and any difference told (I10).

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use tollgate_core::id::AccountId;

use super::transfer::Side;
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, one, sql},
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
}

impl Reconciled {
    /// Whether the ledger balances.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.sum == 0
    }
}

impl Store {
    /// Recomputes every balance from the entries, in one state of the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn reconcile(&self) -> Result<Reconciled, StoreError> {
        let mut tx = self.begin_read().await?;
        let sums = sums(&mut tx).await?;
        let text = "SELECT id, funded, reserved, spent, overrun FROM ledger_accounts ORDER BY id";
        let mut found = Reconciled { sum: sums.values().sum(), ..Reconciled::default() };
        for row in all(sql(text), &mut tx).await? {
            found.accounts += 1;
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
