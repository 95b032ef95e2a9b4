//! The end of the port between the gateway and the keeper of budgets: calls spend from leases here, and
//! ask the workers for more.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tollgate_core::{
    budget::funds::{Funds, Hold},
    id::AccountId,
    money::amount::Amount,
};
use tollgate_counters::leases::{Draws, LeasePots};
use tollgate_gateway::ports::{QuotaNeed, QuotaNeeds, Refilled, Treasury, Want, Wants};
use tollgate_workers::{ASKS_MAX, FundsAsk, FundsOptions, FundsWant, Pots, QUOTA_ASKS_MAX, QuotaAsk};

/// How long a call waits for the ledger; it is refused then.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// What this process has of budgets, and how it asks for more.
pub(super) struct Purse {
    pots: LeasePots,
    asks: mpsc::Sender<FundsAsk>,
    quota_asks: mpsc::Sender<QuotaAsk>,
}

impl Purse {
    /// Nothing yet, and what the keeper needs to fill it; `reconciles` says whether this node recomputes
    /// the balances.
    pub(super) fn new(reconciles: bool) -> (Arc<Self>, FundsOptions, mpsc::Receiver<QuotaAsk>) {
        let (asks, inbox) = mpsc::channel(ASKS_MAX);
        let (quota_asks, quota_inbox) = mpsc::channel(QUOTA_ASKS_MAX);
        let purse = Arc::new(Self { pots: LeasePots::default(), asks, quota_asks });
        let pots: Arc<dyn Pots> = purse.clone();
        (purse, FundsOptions { pots, asks: inbox, reconciles }, quota_inbox)
    }
}

impl Treasury for Purse {
    fn funds(&self) -> &dyn Funds {
        &self.pots
    }

    fn settle(&self, hold: &Hold, used: Amount) -> Draws {
        self.pots.settle(hold, used)
    }

    fn refill(&self, wants: Wants) -> Pin<Box<dyn Future<Output = Refilled> + Send>> {
        let (answer, heard) = oneshot::channel();
        let wanted = |want: Want| {
            let Want { account, budget, window, at_least } = want;
            FundsWant { account, budget, window, at_least }
        };
        let ask = FundsAsk { wants: wants.into_iter().map(wanted).collect(), answer };
        // Too many wait already: whoever comes now is told so at once.
        let is_asked = self.asks.try_send(ask).is_ok();
        Box::pin(hear(is_asked, heard))
    }

    fn lease(&self, needs: QuotaNeeds) -> Pin<Box<dyn Future<Output = Refilled> + Send>> {
        let (answer, heard) = oneshot::channel();
        let need = |need: QuotaNeed| {
            let QuotaNeed { rule, subject, amount, lack } = need;
            tollgate_workers::QuotaNeed { rule, subject, window: lack.window, amount, at_least: lack.amount }
        };
        let ask = QuotaAsk { needs: needs.into_iter().map(need).collect(), answer };
        let is_asked = self.quota_asks.try_send(ask).is_ok();
        Box::pin(hear(is_asked, heard))
    }
}

/// Waits for the answer to what was asked.
async fn hear(is_asked: bool, heard: oneshot::Receiver<bool>) -> Refilled {
    if !is_asked {
        return Refilled::Silent;
    }
    match tokio::time::timeout(ANSWER_MAX, heard).await {
        Ok(Ok(true)) => Refilled::Answered,
        _ => Refilled::Silent,
    }
}

impl Pots for Purse {
    fn grant(&self, account: AccountId, lease: u64, amount: Amount, rest: Amount) -> bool {
        self.pots.grant(account, lease, amount, rest).is_ok()
    }

    fn learn(&self, account: AccountId, rest: Amount, is_overrun: bool) {
        if self.pots.learn(account, rest, is_overrun).is_err() {
            tracing::warn!(%account, "there is no room for more accounts; its calls are refused");
        }
    }

    fn take_back(&self, account: AccountId) -> Option<Amount> {
        self.pots.take_back(account).map(|returned| returned.amount)
    }

    fn idle(&self) -> Vec<AccountId> {
        self.pots.idle()
    }

    fn standing(&self, account: AccountId) -> (Option<u64>, bool) {
        (self.pots.lease_of(account), self.pots.available(account).is_overrun)
    }

    fn leased(&self) -> Vec<AccountId> {
        self.pots.standings().iter().filter(|pot| pot.lease.is_some()).map(|pot| pot.account).collect()
    }
}
