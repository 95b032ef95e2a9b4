//! What a rule would have done to requests of the past: the watch itself looks at them, and what it would have
//! blocked is judged by the same test that the gate asks.
//!
//! A request that would have been refused does not count, as it would not have then. A request that was refused
//! by a block at the time counts as not made.

use std::collections::HashMap;

use crate::{
    blocks::{Block, Blocks},
    code::Code,
    id::{BlockId, ServiceId, TenantId},
    rule::{
        Rule,
        spec::Action,
        watch::{Seen, Subject, Watch},
    },
};

/// Firings that are kept; more are counted.
pub const WOULDS_MAX: usize = 10_000;

/// What a rule would have done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Would {
    /// Upon whom.
    pub subject: Subject,
    /// When the request came that passed the threshold, wall microseconds.
    pub at_us: i64,
    /// Where the metric stood then.
    pub value: u64,
    /// Until when a block would have held; `None` until somebody lifts it.
    pub until_us: Option<i64>,
    /// Requests that the block would have refused.
    pub refused: u64,
}

/// A rule on requests of the past, which must come in the order of their moments.
#[derive(Debug)]
pub struct Backtest {
    rule: Rule,
    watch: Watch,
    blocks: Blocks,
    woulds: Vec<Would>,
    /// Which of them a block is of.
    of_block: HashMap<Subject, usize>,
    seen: u64,
    refused: u64,
    refused_then: u64,
    more: u64,
}

impl Backtest {
    /// Nothing looked at yet.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        let mut watch = Watch::default();
        watch.replace_rules(vec![rule.clone()]);
        Self {
            rule,
            watch,
            blocks: Blocks::default(),
            woulds: Vec::new(),
            of_block: HashMap::new(),
            seen: 0,
            refused: 0,
            refused_then: 0,
            more: 0,
        }
    }

    /// Looks at the next request.
    pub fn look(&mut self, seen: &Seen) {
        if seen.project != self.rule.project {
            return;
        }
        self.seen += 1;
        if seen.code == Code::KeyBlocked {
            self.refused_then += 1;
            return;
        }
        let who = [seen.key, seen.consumer, seen.project.0];
        let service = (seen.service != 0).then_some(ServiceId(seen.service));
        if let Some(block) = self.blocks.find_of(who, service, seen.at_us) {
            let index = self.of_block.get(&block.subject).copied();
            if let Some(would) = index.and_then(|index| self.woulds.get_mut(index)) {
                would.refused += 1;
            }
            self.refused += 1;
            return;
        }
        let Self { watch, blocks, woulds, of_block, more, .. } = self;
        watch.look(seen, |firing| {
            if woulds.len() >= WOULDS_MAX {
                *more += 1;
                return;
            }
            let (subject, at_us, value, until_us) =
                (firing.subject, firing.at_us, firing.value, firing.until_us);
            if firing.rule.action == Action::Block {
                of_block.insert(subject, woulds.len());
                blocks.replace(Block {
                    id: BlockId(0),
                    tenant: TenantId(0),
                    project: firing.rule.project,
                    subject,
                    service: firing.rule.closes,
                    until_us,
                    rule: firing.rule.id,
                    rule_name: firing.rule.name.clone(),
                    reason: Box::default(),
                });
            }
            woulds.push(Would { subject, at_us, value, until_us, refused: 0 });
        });
    }

    /// What it would have done, in the order of time.
    #[must_use]
    pub fn woulds(&self) -> &[Would] {
        &self.woulds
    }

    /// The rule.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Requests of the rule's project that were looked at.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Requests that would have been refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Requests that were refused by blocks at the time, and count as not made.
    #[must_use]
    pub const fn refused_then(&self) -> u64 {
        self.refused_then
    }

    /// Firings beyond those that are kept ([`WOULDS_MAX`]); nobody is taken for blocked by them.
    #[must_use]
    pub const fn more(&self) -> u64 {
        self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::ProjectId,
        rule::{RuleRow, spec::RuleSpec},
    };

    const NOON: i64 = 1_700_000_100_000_000;

    fn rule(then: &str) -> Rule {
        let when = r#"{ metric = "requests", above = 10, window = "1m" }"#;
        let text = format!("project = \"maps\"\nname = \"flood\"\nwhen = {when}\nthen = {{ {then} }}");
        let spec: RuleSpec = toml::from_str(&text).unwrap();
        Rule::compile(&spec, RuleRow { id: 7, project: ProjectId(1) }, |_| Some(ServiceId(5))).unwrap()
    }

    fn seen(at_us: i64, service: u64, code: Code) -> Seen {
        Seen {
            at_us,
            key: 2,
            consumer: 3,
            project: ProjectId(1),
            service,
            code,
            status: 200,
            tokens: 0,
            cost: 0,
            currency: None,
            address: 1,
        }
    }

    #[test]
    fn what_a_block_would_have_refused_is_counted_and_counts_for_nothing() {
        let mut backtest = Backtest::new(rule(r#"action = "block", service = "tiles", until = "2m""#));
        // One a second for five minutes, every third of them elsewhere.
        for second in 0..300 {
            let service = if second % 3 == 0 { 6 } else { 5 };
            backtest.look(&seen(NOON + second * 1_000_000, service, Code::Valid));
        }
        let woulds: Vec<(i64, u64)> =
            backtest.woulds().iter().map(|would| ((would.at_us - NOON) / 1_000_000, would.refused)).collect();
        // The eleventh in a minute; of the two minutes after it a third went elsewhere.
        assert_eq!(woulds[0], (10, 79));
        assert_eq!((backtest.seen(), backtest.woulds().len()), (300, woulds.len()));
        assert_eq!(backtest.refused(), woulds.iter().map(|(_, refused)| refused).sum::<u64>());
        assert!(woulds[1].0 >= 130, "{woulds:?}");
    }

    #[test]
    fn what_was_refused_then_counts_as_not_made() {
        let mut backtest = Backtest::new(rule(r#"action = "notify""#));
        (0..100).for_each(|at| backtest.look(&seen(NOON + at, 5, Code::KeyBlocked)));
        (0..10).for_each(|at| backtest.look(&seen(NOON + 200 + at, 5, Code::Valid)));
        assert_eq!((backtest.woulds().len(), backtest.refused_then()), (0, 100));
        backtest.look(&seen(NOON + 300, 5, Code::Valid));
        assert_eq!(backtest.woulds().len(), 1);
    }
}
