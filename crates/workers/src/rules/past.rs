//! Beginning anew: what was decided within the longest window is counted, what rules have done and what was
//! lifted is taken up.

use std::sync::Arc;

use tollgate_core::{
    rule::{Rule, spec::RuleMode, watch::Watch},
    tables::Tables,
};
use tollgate_store::{Cursors, LastFiring, Lift, Parts, Recorded, Replay, ReplaySpan};

use super::{Fault, LEASE_US, LIFTS_US, Rules, Watching, looks_at_calls, within};

/// Decisions that are counted again at most, the newest: some ten seconds.
const RECALLED_MAX: u64 = 5_000_000;

impl Rules {
    /// Counts the past for the rules as they are now, and goes on from there.
    pub(super) async fn recall(&self, watching: &mut Watching, tables: &Tables) -> Result<(), Fault> {
        let began_us = self.clock.now().wall_us;
        let mut watch = Watch::default();
        watch.replace_rules(tables.rules.to_vec());
        let calls = looks_at_calls(&tables.rules);
        let replay = within(self.store.replay(span(&tables.rules, calls, began_us))).await?;
        let (cursors, lifts) = self.count(watching, (&mut watch, &tables.rules), (replay, began_us)).await?;
        watching.watch = watch;
        watching.cursors = cursors;
        watching.rules = Arc::clone(&tables.rules);
        watching.calls = calls;
        watching.looked_us = began_us;
        watching.lifted = lifts.iter().map(|lift| lift.block).collect();
        // From here on blocks of decisions that are read may be packed anew.
        let until_us = self.clock.now().wall_us.saturating_add(LEASE_US);
        within(self.store.keep_watch(watching.lease, until_us, &watching.cursors)).await??;
        watching.kept_ns = self.clock.now().mono_ns;
        Ok(())
    }

    /// Counts what was read so far for the rules that count in another way than before. All others keep what they
    /// counted, and nothing changes where it fails.
    pub(super) async fn recall_changed(&self, watching: &mut Watching, tables: &Tables) -> Result<(), Fault> {
        let began_us = self.clock.now().wall_us;
        let changed: Vec<Rule> =
            tables.rules.iter().filter(|rule| !watching.watch.counts(rule)).cloned().collect();
        let mut begun = watching.watch.beginning(&tables.rules);
        let calls = looks_at_calls(&tables.rules);
        let span = span(&changed, calls, began_us);
        let replay = within(self.store.replay_read(span, watching.cursors.clone())).await?;
        let (_, lifts) = self.count(watching, (&mut begun, &changed), (replay, began_us)).await?;
        watching.watch.take_up(tables.rules.to_vec(), begun);
        watching.rules = Arc::clone(&tables.rules);
        watching.calls = calls;
        // Those of other rules are still to be taken up.
        let is_changed = |lift: &&Lift| changed.iter().any(|rule| rule.id == lift.rule);
        watching.lifted.extend(lifts.iter().filter(is_changed).map(|lift| lift.block));
        Ok(())
    }

    /// Tells a watch of the past and of what rules did; gives where that ends, and the lifts that it has taken up.
    async fn count(
        &self,
        watching: &mut Watching,
        (watch, rules): (&mut Watch, &[Rule]),
        (mut replay, began_us): (Replay, i64),
    ) -> Result<(Cursors, Vec<Lift>), Fault> {
        let wanted_us = wanted_us(rules, began_us);
        // Those too that are looked for again afterwards, so that none is taken up twice.
        let lifts = within(self.store.lifts_since(wanted_us.min(began_us.saturating_sub(LIFTS_US)))).await?;
        if replay.from_us() > wanted_us {
            let seconds = (began_us - replay.from_us()) / 1_000_000;
            tracing::warn!(
                seconds,
                "rules with longer windows begin with what happened within these seconds"
            );
        }
        let mut waiting = lifts.iter().peekable();
        loop {
            let part = within(replay.next()).await?;
            if part.is_empty() {
                break;
            }
            watch.set_present(self.clock.now().wall_us);
            for seen in part.iter().filter_map(Recorded::seen) {
                while let Some(lift) = waiting.next_if(|lift| lift.at_us <= seen.at_us) {
                    watch.forget(lift.rule, lift.subject, lift.at_us);
                }
                watch.recall(&seen);
            }
            self.keep(watching).await?;
            tokio::task::yield_now().await;
        }
        waiting.for_each(|lift| watch.forget(lift.rule, lift.subject, lift.at_us));
        for LastFiring { rule, subject, until_us, observed, action, .. } in
            within(self.store.last_firings(wanted_us)).await?
        {
            // What the rule did as it was before, it has not done as it is now.
            let does_so = |own: &Rule| {
                own.id == rule && own.action == action && (own.mode == RuleMode::Observe) == observed
            };
            if rules.iter().any(does_so) {
                watch.acted(rule, subject, until_us);
            }
        }
        Ok((replay.cursors().clone(), lifts))
    }
}

fn wanted_us(rules: &[Rule], began_us: i64) -> i64 {
    began_us.saturating_sub(rules.iter().map(|rule| rule.window_us).max().unwrap_or(0))
}

fn span(rules: &[Rule], calls: bool, began_us: i64) -> ReplaySpan {
    ReplaySpan {
        from_us: wanted_us(rules, began_us),
        to_us: i64::MAX,
        tenant: None,
        parts: Parts { texts: false, calls },
        records_max: RECALLED_MAX,
    }
}
