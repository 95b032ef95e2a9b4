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
//! - A lease is what a running process holds of an account and spends by itself: taken with
//!   [`Store::lease_up_to`], drawn from by what is shipped of its journal, in the same transaction, given
//!   back with [`Store::give_back`], ended with [`Store::end_leases`] when its run has.
//!
//! What moves funds inside an account is bookkeeping of decisions made elsewhere and needs no permit.
//! What brings funds in or forgives an overrun is an act of a person: it takes one, and has its entry
//! in the audit.
//!
//! | module | holds |
//! | --- | --- |
//! | `account` | opening accounts, balances, entries by page |
//! | `transfer` | one transfer and its entries, once |
//! | `reserve` | reservations of single calls |
//! | `lease` | what processes hold: taken and given back |
//! | `rounds` | leases of many accounts in one round |
//! | `draw` | what was used of leases, as it is shipped |
//! | `end` | leases of runs that have ended or are lost |
//! | `follow` | accounts brought to what their budgets say |
//! | `list` | accounts to look at, thresholds that were passed |
//! | `resolve` | post, void, charge |
//! | `adjust` | funds, refunds, overruns |
//! | `reconcile` | balances against entries |

mod account;
mod adjust;
pub(crate) mod draw;
mod end;
mod follow;
mod lease;
mod list;
mod reconcile;
mod reserve;
mod resolve;
mod rounds;
mod transfer;

pub use account::{Balance, EntryRow, NewAccount};
pub use adjust::{Forgiveness, Funding};
pub use end::Ended;
pub(crate) use end::has_holes;
pub use follow::Followed;
pub use lease::{Lease, LeaseWant, Leased, Lessee};
pub use list::{AccountFilter, AccountRow, Told};
pub use reconcile::{Difference, LastReconciled, Reconciled};
pub use reserve::{Reservation, Reserved};
pub use resolve::{Posting, Resolved};
pub use rounds::ROUND_MAX;
pub use transfer::{Leg, Moved, Side, TransferId, TransferKind};
