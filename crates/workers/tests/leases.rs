//! What a start does with the leases of earlier runs: it believes a journal only when it can be whole.

use std::path::PathBuf;

use tollgate_core::{
    budget::held::Level,
    id::{AccountId, BudgetId, TenantId},
    money::amount::{Amount, Currency},
    period::Window,
};
use tollgate_store::{LeaseWant, Lessee, NewAccount, TransferId};

use crate::world::{START_US, World};

const POT: AccountId = AccountId(21);

/// What befalls the node between two runs.
type Fate = fn(PathBuf);

async fn open(world: &World) {
    let new = NewAccount {
        id: POT,
        budget: BudgetId(1),
        tenant: TenantId(1),
        level: Level::Tenant,
        subject: 1,
        window: Window { start_us: 0, end_us: i64::MAX },
        currency: Currency::USD,
        hard: true,
        amount: Amount::from_atoms(100).unwrap(),
        transfer: TransferId([1; 16]),
    };
    world.store.open_account(&new, START_US).await.unwrap();
}

/// I14: of a lease of 40 nothing is spent after `kill -9`; all of it after a power cut, and when the folder
/// of the journal was lost.
#[tokio::test]
async fn what_a_journal_cannot_prove_is_spent() {
    let killed: Fate = |_| {};
    let power_cut: Fate = |run| std::fs::write(run, "another boot of the kernel\n").unwrap();
    let lost: Fate = |run| std::fs::remove_file(run).unwrap();
    for (fate, spent) in [(killed, 0), (power_cut, 40), (lost, 40)] {
        let mut world = World::new().await;
        open(&world).await;
        let mut process = world.boot();
        let prepared = process.prepare().await;
        let wish = Amount::from_atoms(40).unwrap();
        let want = LeaseWant { account: POT, step: 1, at_least: wish, wish };
        let taken = world.store.lease_up_to(Lessee { node: 7, boot: 1 }, &want, START_US).await.unwrap();
        assert_eq!(taken.taken, wish);
        drop((prepared, process));
        let journal = world.folder.path().join("journal");
        let run = |boot: u64| journal.join(format!("{boot:016x}.run"));
        fate(run(1));
        let mut process = world.boot();
        let running = process.start().await;
        let balance = world.store.balance(POT).await.unwrap();
        assert_eq!((balance.reserved.atoms(), balance.spent.atoms()), (0, spent));
        assert!(!run(1).exists() && run(2).exists(), "one file, of the run that runs");
        running.stop().await.unwrap();
        let text = std::fs::read_to_string(run(2)).unwrap();
        assert!(text.ends_with("\nended\n"), "{text}");
    }
}
