//! A treasury in memory: the leases of the product, and a ledger without a database behind them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, in its helpers too")]

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use smallvec::SmallVec;
use tollgate_core::{
    budget::{
        funds::{Drawn, Funds, Hold, LEGS_USUAL},
        spec::BudgetMode,
    },
    id::AccountId,
    money::amount::Amount,
};
use tollgate_counters::leases::LeasePots;
use tollgate_gateway::ports::{Refilled, Treasury, Wants};

/// Leases, and the ledger that they come from.
#[derive(Default)]
pub(crate) struct TestTreasury {
    pots: LeasePots,
    books: Mutex<HashMap<AccountId, Book>>,
    /// Gives no answer while set.
    pub(crate) silent: AtomicBool,
    /// How often the ledger was asked.
    pub(crate) asked: AtomicU32,
    /// Waits for a permit before it answers, when there is one.
    pub(crate) door: Mutex<Option<Arc<tokio::sync::Semaphore>>>,
    /// What a lease grows by at least; 0: exactly what is asked for.
    pub(crate) chunk: Mutex<i64>,
}

/// One account of the ledger, in the smallest parts of its currency.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Book {
    /// In nobody's lease.
    pub(crate) free: i64,
    /// In the lease of this process, settled or not.
    pub(crate) leased: i64,
    /// Settled.
    pub(crate) spent: i64,
    /// Used beyond what was there.
    pub(crate) overrun: i64,
    /// What the budget allows.
    pub(crate) limit: i64,
}

impl TestTreasury {
    /// All accounts together, in the order of their limits.
    pub(crate) fn books(&self) -> Vec<Book> {
        let mut books: Vec<Book> = self.books.lock().unwrap().values().copied().collect();
        books.sort_by_key(|book| book.limit);
        books
    }

    /// Whether nothing is in flight: what is free and what was spent is all there is.
    pub(crate) fn is_settled(&self) -> bool {
        self.pots.standings().iter().all(|standing| standing.in_flight == 0)
    }

    fn give(&self, wants: &Wants) -> Refilled {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.silent.load(Ordering::SeqCst) {
            return Refilled::Silent;
        }
        let mut books = self.books.lock().unwrap();
        let chunk = *self.chunk.lock().unwrap();
        for want in wants {
            let limit = want.budget.budget.amount.atoms();
            let book = books.entry(want.account).or_insert(Book { free: limit, limit, ..Book::default() });
            let wished = want.at_least.atoms().max(chunk);
            let given =
                if want.budget.budget.mode == BudgetMode::Hard { wished.min(book.free) } else { wished };
            book.free = (book.free - given).max(0);
            book.leased += given;
            let (given, rest) = (atoms(given), atoms(book.free));
            self.pots.grant(want.account, 1, given, rest).unwrap();
        }
        Refilled::Answered
    }
}

fn atoms(atoms: i64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

impl Treasury for TestTreasury {
    fn funds(&self) -> &dyn Funds {
        &self.pots
    }

    fn settle(&self, hold: &Hold, used: Amount) -> SmallVec<[Drawn; LEGS_USUAL]> {
        let drawn = self.pots.settle(hold, used);
        let mut books = self.books.lock().unwrap();
        for own in &drawn {
            let book = books.get_mut(&own.leg.account).unwrap();
            let over = (own.used.atoms() - own.reserved.atoms()).max(0);
            book.leased -= own.used.atoms() - over;
            book.spent += own.used.atoms() - over;
            book.overrun += over;
        }
        drawn
    }

    fn refill(&self, wants: Wants) -> Pin<Box<dyn Future<Output = Refilled> + Send>> {
        let refilled = self.give(&wants);
        let door = self.door.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(door) = door {
                let _open = door.acquire().await;
            }
            refilled
        })
    }
}
