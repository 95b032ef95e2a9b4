//! Decisions that need somebody beyond this process: too little of a quota is set aside here, or a limit is
//! counted by all nodes together.
//!
//! `core` decides, each time; what stands here is only the asking in between. What cannot be found out is
//! refused: unknown is denied. Requests without such limits never come here.

use tollgate_core::{
    admit::{Charged, Decision, sharing::SharedVerdict},
    counters::{Charge, Counters},
    policy::Policy,
    time::Now,
};

use super::Gateway;
use crate::ports::{QuotaNeed, QuotaNeeds, Refilled};

/// How often a request asks for more of its quotas. What was set aside for it another may have taken meanwhile.
const ASKS_MAX: usize = 3;

/// How long what was known when a request came is believed while it waits here. Beyond it its key may have been
/// revoked meanwhile, so that it is refused rather than decided by what was known before (I3).
const WAITED_MAX_NS: u64 = 1_000_000_000;

/// A decision that has taken of the counters here, and waits for others. A client that goes away meanwhile
/// takes nothing with it.
struct Taken<'a, C: Counters + 'static> {
    gateway: &'a Gateway<C>,
    policy: &'a Policy,
    at: Now,
    decision: Decision,
}

impl<C: Counters + 'static> Taken<'_, C> {
    fn conclude(&mut self, verdict: SharedVerdict) {
        let counters = (&*self.gateway.shared.counters, self.at, self.gateway.now());
        self.decision.conclude(self.policy, verdict, counters);
    }
}

impl<C: Counters + 'static> Drop for Taken<'_, C> {
    fn drop(&mut self) {
        if self.decision.is_open() {
            self.conclude(SharedVerdict::Unknown);
        }
    }
}

impl<C: Counters + 'static> Gateway<C> {
    /// Asks for what an open decision needs, and ends it. `decide` decides anew, by the same facts at `at`.
    pub(crate) async fn settled_beyond(
        &self,
        mut decision: Decision,
        policy: Option<&Policy>,
        at: Now,
        mut decide: impl FnMut() -> Decision,
    ) -> Decision {
        let Some(policy) = policy else { return decision };
        let began_ns = self.mono_ns();
        for _ in 0..ASKS_MAX {
            if !decision.is_short {
                break;
            }
            let needs = self.needs(&decision, policy, at);
            // Nothing is lacking any more: another request has asked for it.
            if !needs.is_empty() && self.shared.treasury.lease(needs).await == Refilled::Silent {
                return decision;
            }
            if !self.is_believed(began_ns) {
                return decision;
            }
            decision = decide();
        }
        if decision.is_short || !decision.is_open() {
            return decision;
        }
        let charges = decision.shared_charges(policy);
        let mut taken = Taken { gateway: self, policy, at, decision };
        let verdict = self.shared.limits.take(charges, self.now()).await;
        // What was taken there for a request that is refused now errs on the safe side.
        taken.conclude(if self.is_believed(began_ns) { verdict } else { SharedVerdict::Unknown });
        taken.decision.clone()
    }

    /// Whether what was known when the waiting began still is: not for long, and only while it is fresh.
    fn is_believed(&self, began_ns: u64) -> bool {
        let now_ns = self.mono_ns();
        now_ns.saturating_sub(began_ns) < WAITED_MAX_NS && self.shared.snapshot.is_fresh(now_ns)
    }

    fn needs(&self, decision: &Decision, policy: &Policy, at: Now) -> QuotaNeeds {
        let need = |charged: &Charged| {
            let rule = policy.rules.get(usize::from(charged.rule))?;
            let charge = Charge { rule, subject: charged.subject, amount: charged.amount };
            let lack = self.shared.counters.lack(&charge, at)?;
            Some(QuotaNeed { rule: rule.id, subject: charged.subject, amount: rule.amount, lack })
        };
        decision.charged.iter().filter_map(need).collect()
    }
}
