//! The ledger of budgets: double entry, whole numbers, rows that are never changed.
//!
//! An account is one budget in one period. Funds come from outside, are free, are reserved, and are
//! spent or free again; an overrun is kept apart. Every transfer writes entries that sum up to zero in
//! each account it touches, and the account's balances with them, in one transaction (I10).
//!
//! - A transfer has an id that its caller chose, and kept before it asked. The same id with the same
//!   content takes effect once, however often it is sent; with other content it is refused.
//! - A reservation takes from several accounts (key, consumer, project, tenant) at once or from none.
//!   Each is one guarded `UPDATE` in the order of their ids, so that whatever runs beside it,
//!   `spent + reserved` never passes what was funded (I7), and no two wait for each other.
//! - A reservation is resolved once: posted up to what was reserved, voided, or charged whole because
//!   nobody can tell (I8). It never expires into free funds: unknown counts as spent.
//! - A lease is a reservation that a running process spends by itself. [`Store::pending_of`] says which
//!   ones a run that ended has left.
//!
//! What moves funds inside an account is bookkeeping of decisions made elsewhere and needs no permit.
//! What brings funds in or forgives an overrun is an act of a person: it takes one, and has its entry
//! in the audit.
//!
//! | module | holds |
//! | --- | --- |
//! | `account` | opening accounts, balances, entries by page |
//! | `transfer` | one transfer and its entries, once |
//! | `reserve` | reservations and leases |
//! | `resolve` | post, void, charge |
//! | `adjust` | funds, refunds, overruns |
//! | `reconcile` | balances against entries |

mod account;
mod adjust;
mod reconcile;
mod reserve;
mod resolve;
mod transfer;

pub use account::{Balance, EntryRow, Level, NewAccount};
pub use adjust::{Forgiveness, Funding};
pub use reconcile::{Difference, Reconciled};
pub use reserve::{Pending, Reservation, Reserved};
pub use resolve::{Posting, Resolved};
pub use transfer::{Leg, Moved, Side, TransferId, TransferKind};
