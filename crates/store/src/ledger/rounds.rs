//! Many accounts in one round: which of them stand as their budgets say, and leases of all that want one.
//!
//! What it does to each account is what `follow` and `lease` do to one; only the statements are shared. The
//! accounts are held in the order of their ids, as everybody holds them, so that none waits in a circle.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::AnyConnection;
use tollgate_core::{
    budget::{account_of, held::HeldBudget, spec::BudgetMode},
    id::AccountId,
    money::amount::{AMOUNT_MAX, Amount},
    period::Window,
};

use super::{
    account::{Balance, amount},
    lease::{Found, LeaseWant, Leased, Lessee},
    transfer::{Leg, Side, Transfer, TransferId, TransferKind, no_account},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, Statement, all, built, bulk, list, places, run},
};

/// Accounts in one round: one transaction of six statements, whatever their number.
pub const ROUND_MAX: usize = 256;

impl Store {
    /// The balances of those accounts that are open and already at what their budgets say: nothing is to be
    /// done with them. The others have to be followed one by one. At most [`ROUND_MAX`] at once.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn accounts_as_said(
        &self,
        budgets: &[(Arc<HeldBudget>, Window)],
        now_us: i64,
    ) -> Result<BTreeMap<AccountId, Balance>, StoreError> {
        if budgets.is_empty() {
            return Ok(BTreeMap::new());
        }
        let text = format!(
            "SELECT id, given, hard, refilled_us, funded, reserved, spent, overrun FROM ledger_accounts \
             WHERE id IN ({})",
            list(1, budgets.len())
        );
        let said: BTreeMap<AccountId, &HeldBudget> =
            budgets.iter().map(|(held, window)| (account_of(held.id.0, *window), &**held)).collect();
        let ids = budgets.iter().map(|(held, window)| account_of(held.id.0, *window));
        let ask = ids.fold(built(text), |ask, id| ask.bind(id.to_sql()));
        let mut conn = self.reader().await?;
        let mut found = BTreeMap::new();
        for row in all(ask, &mut conn).await? {
            let id = AccountId::from_sql(row.int(0)?);
            let Some(held) = said.get(&id) else { continue };
            let is_hard = held.budget.mode == BudgetMode::Hard;
            let is_said = row.int(1)? == held.budget.amount.atoms() && (row.int(2)? != 0) == is_hard;
            let refilled_us = row.int(3)?;
            let is_refilled =
                |every: &tollgate_core::period::Period| refilled_us >= every.window_at(now_us).start_us;
            if is_said && held.budget.refill.as_ref().is_none_or(|refill| is_refilled(&refill.every)) {
                let balance = Balance {
                    funded: amount(row.int(4)?)?,
                    reserved: amount(row.int(5)?)?,
                    spent: amount(row.int(6)?)?,
                    overrun: amount(row.int(7)?)?,
                };
                found.insert(id, balance);
            }
        }
        Ok(found)
    }

    /// Takes what many wants say, each as [`Store::lease_up_to`] would, all in one transaction; the answers
    /// stand in the order of the wants. No account may be there twice, and no step may have been asked
    /// before: a want whose outcome is not known is asked again alone. At most [`ROUND_MAX`] at once.
    ///
    /// # Errors
    /// When an account is not there, a step was asked before, or the database cannot be written; whether it
    /// took effect is not known in the last case.
    pub async fn lease_round(
        &self,
        lessee: Lessee,
        wants: &[LeaseWant],
        now_us: i64,
    ) -> Result<Vec<Leased>, StoreError> {
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin_write().await?;
        let accounts: Vec<AccountId> = wants.iter().map(|want| want.account).collect();
        let found = hold_all(&accounts, self.engine().hold_row(), &mut tx).await?;
        let mut answers = Vec::with_capacity(wants.len());
        let mut moves = BTreeMap::new();
        for want in wants {
            let (account, wish) = (want.account, want.wish.max(want.at_least));
            let found = found.get(&account).ok_or_else(|| no_account(account))?;
            let moved = found.gives(want.at_least, wish);
            let id = want.transfer(lessee);
            if moved > Amount::ZERO
                && moves.insert(account, Move { id, account, asked: wish, moved }).is_some()
            {
                return Err(StoreError::invalid("wants", "an account is there twice; add its wants up"));
            }
            answers.push(found.gave(moved, moved));
        }
        let moves: Vec<Move> = moves.into_values().collect();
        if moves.is_empty() {
            tx.rollback().await?;
            return Ok(answers);
        }
        if !begin_all((TransferKind::Extend, super::lease::CAUSE), &moves, now_us, &mut tx).await? {
            return Err(StoreError::Conflict(
                "a step of a lease was asked before; ask it again alone".to_owned(),
            ));
        }
        set_aside(&moves, &mut tx).await?;
        enter_all((Side::Free, Side::Reserved), &moves, now_us, &mut tx).await?;
        extend(lessee, &moves, now_us, &mut tx).await?;
        tx.commit().await?;
        Ok(answers)
    }

    /// Gives parts of many leases back, each as [`Store::give_back`] would, all in one transaction. `false`
    /// when one of them cannot be: nothing was given back then, and each is to be given back alone. No
    /// account may be there twice. At most [`ROUND_MAX`] at once.
    ///
    /// # Errors
    /// When the database cannot be written; whether it took effect is not known then: give each back alone,
    /// with the same step.
    pub async fn give_back_round(
        &self,
        lessee: Lessee,
        parts: &[(AccountId, u64, Amount)],
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let moves = parts.iter().map(|(account, step, amount)| {
            let id = super::lease::returned(lessee, *account, *step);
            Move { id, account: *account, asked: *amount, moved: *amount }
        });
        let moves: Vec<Move> = moves.collect();
        if moves.is_empty() {
            return Ok(true);
        }
        let mut tx = self.begin_write().await?;
        let accounts: Vec<AccountId> = moves.iter().map(|part| part.account).collect();
        hold_all(&accounts, self.engine().hold_row(), &mut tx).await?;
        let kind = (TransferKind::Return, super::lease::CAUSE_BACK);
        let is_done =
            begin_all(kind, &moves, now_us, &mut tx).await? && shrink(lessee, &moves, &mut tx).await?;
        if !is_done {
            tx.rollback().await?;
            return Ok(false);
        }
        enter_all((Side::Reserved, Side::Free), &moves, now_us, &mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// What one account gives or takes in a round.
struct Move {
    id: TransferId,
    account: AccountId,
    /// What the transfer says.
    asked: Amount,
    moved: Amount,
}

/// Holds accounts in the order of their ids, until the transaction ends.
async fn hold_all(
    accounts: &[AccountId],
    hold_row: &str,
    conn: &mut AnyConnection,
) -> Result<BTreeMap<AccountId, Found>, StoreError> {
    let text = format!(
        "SELECT id, funded - reserved - spent, hard, overrun FROM ledger_accounts WHERE id IN ({}) \
         ORDER BY id{hold_row}",
        list(1, accounts.len())
    );
    let ask = accounts.iter().fold(built(text), |ask, account| ask.bind(account.to_sql()));
    let rows = all(ask, conn).await?;
    rows.iter()
        .map(|row| Ok((AccountId::from_sql(row.int(0)?), Found::of(row.int(1)?, row.int(2)?, row.int(3)?))))
        .collect()
}

/// Writes the transfers; `false` when one of them was there before.
async fn begin_all(
    (kind, cause): (TransferKind, &str),
    moves: &[Move],
    now_us: i64,
    conn: &mut AnyConnection,
) -> Result<bool, StoreError> {
    let text = format!(
        "INSERT INTO ledger_transfers (id, kind, resolves, at_us, cause, content) VALUES {} \
         ON CONFLICT DO NOTHING",
        places(moves.len(), 6)
    );
    let insert = moves.iter().fold(bulk(text), |insert, part| {
        let legs = [Leg { account: part.account, amount: part.asked }];
        let transfer = Transfer { id: part.id, kind, resolves: None, legs: &legs, cause, at_us: now_us };
        insert
            .bind(transfer.id.0.to_vec())
            .bind(kind as i64)
            .bind(None::<Vec<u8>>)
            .bind(now_us)
            .bind(cause.to_owned())
            .bind(transfer.content().to_vec())
    });
    Ok(run(insert, conn).await? == moves.len() as u64)
}

/// One guarded statement for all of them (I7).
async fn set_aside(moves: &[Move], conn: &mut AnyConnection) -> Result<(), StoreError> {
    let text = format!(
        "UPDATE ledger_accounts SET reserved = reserved + v.column2 FROM (VALUES {}) AS v \
         WHERE ledger_accounts.id = v.column1 AND \
         ((hard = 0 AND spent + reserved <= {AMOUNT_MAX} - v.column2) \
         OR (hard = 1 AND overrun = 0 AND spent + reserved <= funded - v.column2))",
        places(moves.len(), 2)
    );
    if run(pairs(text, moves), conn).await? == moves.len() as u64 {
        return Ok(());
    }
    Err(StoreError::corrupt("an account changed while it was held"))
}

/// Takes the parts out of accounts and leases; `false` when one of them has less.
async fn shrink(lessee: Lessee, moves: &[Move], conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let count = moves.len() as u64;
    let free = format!(
        "UPDATE ledger_accounts SET reserved = reserved - v.column2 FROM (VALUES {}) AS v \
         WHERE ledger_accounts.id = v.column1 AND reserved >= v.column2",
        places(moves.len(), 2)
    );
    // A run is a number of 48 bits.
    let boot = lessee.boot as i64;
    let lower = format!(
        "UPDATE ledger_leases SET holds = holds - v.column2 FROM (VALUES {}) AS v \
         WHERE ledger_leases.boot = {boot} AND ledger_leases.account = v.column1 AND holds >= v.column2",
        places(moves.len(), 2)
    );
    if run(pairs(free, moves), conn).await? != count || run(pairs(lower, moves), conn).await? != count {
        return Ok(false);
    }
    let forget = format!(
        "DELETE FROM ledger_leases WHERE boot = {boot} AND holds = 0 AND charged = 0 AND account IN ({})",
        list(1, moves.len())
    );
    run(moves.iter().fold(built(forget), |forget, part| forget.bind(part.account.to_sql())), conn).await?;
    Ok(true)
}

/// A statement with account and amount of each move.
fn pairs(text: String, moves: &[Move]) -> Statement {
    moves
        .iter()
        .fold(bulk(text), |statement, part| statement.bind(part.account.to_sql()).bind(part.moved.atoms()))
}

async fn enter_all(
    (from, to): (Side, Side),
    moves: &[Move],
    now_us: i64,
    conn: &mut AnyConnection,
) -> Result<(), StoreError> {
    let text = format!(
        "INSERT INTO ledger_entries (transfer, account, side, amount, at_us) VALUES {}",
        places(moves.len() * 2, 5)
    );
    let insert = moves.iter().fold(bulk(text), |insert, part| {
        let atoms = part.moved.atoms();
        [(from, -atoms), (to, atoms)].into_iter().fold(insert, |insert, (side, atoms)| {
            insert
                .bind(part.id.0.to_vec())
                .bind(part.account.to_sql())
                .bind(side as i64)
                .bind(atoms)
                .bind(now_us)
        })
    });
    run(insert, conn).await?;
    Ok(())
}

async fn extend(
    lessee: Lessee,
    moves: &[Move],
    now_us: i64,
    conn: &mut AnyConnection,
) -> Result<(), StoreError> {
    let text = format!(
        "INSERT INTO ledger_leases (boot, account, node, holds, charged, opened_us) VALUES {} \
         ON CONFLICT (boot, account) DO UPDATE SET holds = ledger_leases.holds + excluded.holds",
        places(moves.len(), 6)
    );
    let insert = moves.iter().fold(bulk(text), |insert, part| {
        insert
            .bind(lessee.boot as i64)
            .bind(part.account.to_sql())
            .bind(lessee.node as i64)
            .bind(part.moved.atoms())
            .bind(0i64)
            .bind(now_us)
    });
    run(insert, conn).await?;
    Ok(())
}
