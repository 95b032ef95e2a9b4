//! The parts of quotas that this process was granted: leased, given back, found out about.

use std::{collections::BTreeMap, sync::Arc};

use tollgate_core::{period::Window, time::Now};
use tollgate_store::{Lessee, QUOTAS_ROUND_MAX, QuotaKey, QuotaLeased, QuotaWant, Store, StoreError};

use super::{QuotaCells, QuotaGranted};
use crate::funds::word;

/// Quotas that a process may have parts of at once: some 100 bytes each. Beyond it nothing new is leased.
const KNOWN_MAX: usize = 2_000_000;
/// A chunk is what is left, divided by this and by the live nodes.
const SHARES: u64 = 4;
/// How long asking is in vain when less was given than needed: others may give back until then.
const IN_VAIN_NS: u64 = 1_000_000_000;
/// How long a count of nodes is good.
const NODES_NS: u64 = 5_000_000_000;
/// How long after its end a period is over for good: what was admitted in it is mostly shipped then.
const OVER_US: i64 = 600_000_000;
/// Quotas looked at, at most, each time, so that no request waits long for a look.
const LOOKED_AT_MAX: usize = 4_096;
/// What nobody used for so long goes back.
const IDLE_NS: u64 = 5_000_000_000;
/// How often periods that are over are ended.
const ENDED_EVERY_NS: u64 = 60_000_000_000;

/// What this process was granted of one quota in a period.
struct Known {
    window: Window,
    amount: u64,
    granted: u64,
    rest: u64,
    /// What was free when it was looked at, and since when it is the same.
    seen: Option<(u64, u64)>,
    /// Whether it is not known what became of the last lease or return.
    is_unsure: bool,
}

pub(super) struct Parts {
    store: Arc<Store>,
    cells: Arc<dyn QuotaCells>,
    lessee: Lessee,
    known: BTreeMap<QuotaKey, Known>,
    nodes: (u64, u64),
    /// The key behind which the next look goes on.
    after: Option<QuotaKey>,
    ended_ns: u64,
    /// Periods that ended before this moment, wall microseconds, are being ended.
    ending_us: Option<i64>,
}

impl Parts {
    pub(super) fn new(store: Arc<Store>, cells: Arc<dyn QuotaCells>, lessee: Lessee) -> Self {
        Self {
            store,
            cells,
            lessee,
            known: BTreeMap::new(),
            nodes: (1, 0),
            after: None,
            ended_ns: 0,
            ending_us: None,
        }
    }

    /// Gets what is wanted, or less where less is left. Gives those that it could not be done for, and why.
    pub(super) async fn get_all(
        &mut self,
        wants: BTreeMap<QuotaKey, QuotaWant>,
        now: Now,
    ) -> BTreeMap<QuotaKey, StoreError> {
        let mut failed = BTreeMap::new();
        let keys: Vec<QuotaKey> = wants.keys().copied().collect();
        note(&keys, self.find_out(&keys).await, &mut failed);
        // What was leased by another amount goes back before it is asked for anew.
        let changed = wants
            .values()
            .filter(|want| self.known.get(&want.key()).is_some_and(|known| known.amount != want.amount));
        let changed: Vec<QuotaKey> = changed.map(QuotaWant::key).collect();
        let returned = self.give_back(&changed).await;
        note(&changed, returned, &mut failed);
        let nodes = match self.nodes(now).await {
            Ok(nodes) => nodes,
            Err(error) => {
                note(&keys, Err(error), &mut failed);
                return failed;
            }
        };
        let wants: Vec<(u64, QuotaWant)> = wants
            .into_values()
            .filter(|want| !failed.contains_key(&want.key()))
            .filter(|want| self.known.len() < KNOWN_MAX || self.known.contains_key(&want.key()))
            .map(|want| (want.wish, self.sized(want, nodes)))
            .collect();
        for round in wants.chunks(QUOTAS_ROUND_MAX) {
            let leased = self.lease(round, now).await;
            let keys: Vec<QuotaKey> = round.iter().map(|(_, want)| want.key()).collect();
            note(&keys, leased, &mut failed);
        }
        failed
    }

    /// One look: what is unsure is found out, what is idle goes back; now and then, what is over is to be
    /// ended ([`Parts::end_some`]).
    pub(super) async fn look(&mut self, now: Now) -> Result<(), StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.after.map_or(Unbounded, Excluded);
        let keys: Vec<QuotaKey> =
            self.known.range((from, Unbounded)).map(|(key, _)| *key).take(LOOKED_AT_MAX).collect();
        self.after = keys.last().copied().filter(|_| keys.len() == LOOKED_AT_MAX);
        self.find_out(&keys).await?;
        let mut idle = Vec::new();
        for key in keys {
            let Some(known) = self.known.get_mut(&key) else { continue };
            let free = self.cells.free(key, known.window);
            match known.seen {
                Some((seen, since_ns)) if seen == free => {
                    if free > 0 && now.mono_ns.saturating_sub(since_ns) >= IDLE_NS {
                        idle.push(key);
                    }
                }
                _ => known.seen = Some((free, now.mono_ns)),
            }
        }
        self.give_back(&idle).await?;
        if self.ended_ns != 0 && now.mono_ns.saturating_sub(self.ended_ns) < ENDED_EVERY_NS {
            return Ok(());
        }
        self.ended_ns = now.mono_ns;
        let over_us = now.wall_us.saturating_sub(OVER_US);
        self.known.retain(|_, known| {
            let is_over = known.window.end_us < over_us;
            // One that was granted nothing is known anew when somebody asks.
            let is_nothing = known.granted == 0 && known.seen.is_some_and(|(free, _)| free == 0);
            known.is_unsure || !(is_over || is_nothing)
        });
        self.ending_us = Some(over_us);
        Ok(())
    }

    /// Whether there are periods to end.
    pub(super) const fn is_ending(&self) -> bool {
        self.ending_us.is_some()
    }

    /// Ends one round of the periods that are over: so many end in the same moment that requests would wait
    /// too long for all of them. What fails is tried again by a later look.
    pub(super) async fn end_some(&mut self) -> Result<(), StoreError> {
        let Some(over_us) = self.ending_us.take() else { return Ok(()) };
        if word(self.store.end_quota_periods(self.lessee.node, over_us)).await? > 0 {
            self.ending_us = Some(over_us);
        }
        Ok(())
    }

    /// How much to ask for at once.
    fn sized(&self, want: QuotaWant, nodes: u64) -> QuotaWant {
        if want.wish == 0 {
            return want;
        }
        let rest = self.known.get(&want.key()).map_or(want.amount, |known| known.rest);
        let chunk = rest / (SHARES * nodes);
        QuotaWant { wish: want.wish.max(chunk), ..want }
    }

    async fn lease(&mut self, round: &[(u64, QuotaWant)], now: Now) -> Result<(), StoreError> {
        let wants: Vec<QuotaWant> = round.iter().map(|(_, want)| *want).collect();
        for want in &wants {
            let known = self.known.entry(want.key()).or_insert(Known {
                window: want.window,
                amount: want.amount,
                granted: 0,
                rest: want.amount,
                seen: None,
                is_unsure: false,
            });
            (known.window, known.amount, known.is_unsure) = (want.window, want.amount, true);
        }
        let leased = word(self.store.lease_quotas(self.lessee, &wants)).await?;
        for ((needed, want), leased) in round.iter().zip(leased) {
            self.leased(*needed, want, leased, now);
        }
        Ok(())
    }

    fn leased(&mut self, needed: u64, want: &QuotaWant, leased: QuotaLeased, now: Now) {
        let QuotaLeased { given, rest, leased } = leased;
        let Some(known) = self.known.get_mut(&want.key()) else { return };
        known.is_unsure = false;
        known.granted = known.granted.saturating_add(given);
        (known.rest, known.seen) = (rest, None);
        let is_enough = if needed == 0 { rest > 0 } else { given >= needed };
        // A request that waited decides by the moment when it came: where asking is of use, it is at any moment.
        let ask_from_ns = if is_enough { 0 } else { now.mono_ns.saturating_add(IN_VAIN_NS) };
        let granted = QuotaGranted {
            amount: want.amount,
            given,
            rest,
            ask_from_ns,
            is_elsewhere: leased > known.granted,
        };
        self.put(want.key(), granted);
    }

    /// Puts what was granted into its cell. What finds no place there stays granted, and goes back when the
    /// period or the run ends: it is lost to nobody for longer.
    fn put(&mut self, key: QuotaKey, granted: QuotaGranted) {
        let Some(known) = self.known.get(&key) else { return };
        if !self.cells.grant(key, known.window, granted) && granted.given > 0 {
            tracing::debug!(rule = key.rule, given = granted.given, "a part of a quota found no place");
        }
    }

    /// Takes what is free out of cells and gives it back.
    async fn give_back(&mut self, keys: &[QuotaKey]) -> Result<(), StoreError> {
        for round in keys.chunks(QUOTAS_ROUND_MAX) {
            let mut parts = Vec::with_capacity(round.len());
            for key in round {
                let Some(known) = self.known.get_mut(key).filter(|known| !known.is_unsure) else { continue };
                let free = self.cells.take_back(*key, known.window).min(known.granted);
                if free > 0 {
                    known.granted -= free;
                    known.is_unsure = true;
                    parts.push((*key, free));
                }
            }
            self.give_round_back(parts).await?;
        }
        Ok(())
    }

    /// Gives back what was taken out of its cells. A round goes back whole or not at all: one with a part that is
    /// not this node's any more is halved until that part stands alone. That one stays out of its cell.
    async fn give_round_back(&mut self, parts: Vec<(QuotaKey, u64)>) -> Result<(), StoreError> {
        let mut rounds = vec![parts];
        while let Some(mut parts) = rounds.pop() {
            let given = word(self.store.give_quotas_back(self.lessee.node, &parts)).await?;
            if !given && parts.len() > 1 {
                let rest = parts.split_off(parts.len() / 2);
                rounds.extend([parts, rest]);
                continue;
            }
            if !given {
                tracing::warn!(?parts, "a part of a quota was not this node's any more");
            }
            for (key, _) in parts {
                if let Some(known) = self.known.get_mut(&key) {
                    known.is_unsure = false;
                }
            }
        }
        Ok(())
    }

    /// Finds out what became of what is unsure: what the node was granted beyond what it knows, it may use.
    async fn find_out(&mut self, keys: &[QuotaKey]) -> Result<(), StoreError> {
        let unsure = keys.iter().filter(|key| self.known.get(key).is_some_and(|known| known.is_unsure));
        let unsure: Vec<QuotaKey> = unsure.copied().collect();
        for round in unsure.chunks(QUOTAS_ROUND_MAX) {
            let granted = word(self.store.quota_grants(self.lessee.node, round)).await?;
            let granted: BTreeMap<QuotaKey, u64> = granted.into_iter().collect();
            for key in round {
                let Some(known) = self.known.get_mut(key) else { continue };
                let granted = granted.get(key).copied().unwrap_or(0);
                let given = granted.saturating_sub(known.granted);
                (known.granted, known.is_unsure, known.seen) = (granted, false, None);
                let granted = QuotaGranted {
                    amount: known.amount,
                    given,
                    rest: known.rest,
                    ask_from_ns: 0,
                    is_elsewhere: true,
                };
                self.put(*key, granted);
            }
        }
        Ok(())
    }

    /// How many nodes share what is left.
    async fn nodes(&mut self, now: Now) -> Result<u64, StoreError> {
        if self.nodes.1 == 0 || now.mono_ns.saturating_sub(self.nodes.1) >= NODES_NS {
            let count = word(self.store.live_nodes()).await?.len() as u64;
            self.nodes = (count.max(1), now.mono_ns);
        }
        Ok(self.nodes.0)
    }
}

/// Notes for whom something could not be done.
fn note(keys: &[QuotaKey], done: Result<(), StoreError>, failed: &mut BTreeMap<QuotaKey, StoreError>) {
    let Err(error) = done else { return };
    let (public, cause) = (error.to_string(), error.cause().unwrap_or_default().to_owned());
    let error = || StoreError::Unavailable { public: public.clone(), cause: cause.clone() };
    failed.extend(keys.iter().map(|key| (*key, error())));
}

#[cfg(test)]
mod tests;
