//! What a start does with the leases of earlier runs: it believes a journal only when it can be whole.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::sync::{mpsc, oneshot};
use tollgate_core::{
    budget::{
        Budget,
        held::{HeldBudget, Level},
        spec::BudgetSpec,
    },
    id::{AccountId, BudgetId, TenantId},
    money::amount::{Amount, Currency},
    period::Window,
};
use tollgate_store::{LeaseWant, Lessee, NewAccount, TransferId};
use tollgate_workers::{ASKS_MAX, FundsAsk, FundsOptions, FundsWant, Pots};

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

/// One account that this process has overrun.
#[derive(Default)]
struct Overrun {
    told: Mutex<Option<bool>>,
}

impl Pots for Overrun {
    fn grant(&self, _: AccountId, _: u64, _: Amount, _: Amount) -> bool {
        false
    }

    fn learn(&self, _: AccountId, _: Amount, is_overrun: bool) {
        *self.told.lock().unwrap() = Some(is_overrun);
    }

    fn take_back(&self, _: AccountId) -> Option<Amount> {
        None
    }

    fn idle(&self) -> Vec<AccountId> {
        Vec::new()
    }

    fn standing(&self, _: AccountId) -> (Option<u64>, bool) {
        (None, true)
    }

    fn leased(&self) -> Vec<AccountId> {
        Vec::new()
    }
}

/// The ledger shows an overrun only when it is shipped: that it shows none forgives nothing. What it gives
/// and the pot has no room for goes back.
#[tokio::test]
async fn an_overrun_that_is_not_shipped_is_not_forgiven() {
    let spec: BudgetSpec =
        toml::from_str("tenant = 'acme'\ncurrency = 'USD'\namount = '100'\nperiod = 'month'\nmode = 'hard'")
            .unwrap();
    let budget = Arc::new(HeldBudget {
        id: BudgetId(77),
        level: Level::Tenant,
        subject: 1,
        holder: "acme".into(),
        tenant: TenantId(1),
        period: spec.period,
        budget: Budget::compile(&spec).unwrap(),
    });
    let mut world = World::new().await;
    let mut process = world.boot();
    let (pots, (asks, asked)) = (Arc::new(Overrun::default()), mpsc::channel(ASKS_MAX));
    let shared = Arc::clone(&pots) as Arc<dyn Pots>;
    process.keep(FundsOptions { pots: shared, asks: asked, reconciles: true });
    let running = process.start().await;
    let (window, account) = (budget.budget.window(START_US), budget.account(START_US));
    for at_least in [0, 5] {
        let at_least = Amount::from_atoms(at_least).unwrap();
        let want = FundsWant { account, budget: Arc::clone(&budget), window, at_least };
        let (answer, answered) = oneshot::channel();
        asks.send(FundsAsk { wants: vec![want], answer }).await.unwrap();
        assert!(answered.await.unwrap());
        assert_eq!(*pots.told.lock().unwrap(), Some(true));
        assert_eq!(world.store.balance(account).await.unwrap().reserved, Amount::ZERO);
    }
    running.stop().await.unwrap();
}
