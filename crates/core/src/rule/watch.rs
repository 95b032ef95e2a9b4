//! The watch: is told of every request, and says when a rule acts.
//!
//! It has no clock: the moment of a request is the present. It acts once per subject and passing of its
//! threshold: a block acts again when it has ended and the threshold is passed by another request; what
//! only tells acts again when the metric was at or below the threshold in between. Subjects are bounded
//! ([`SUBJECTS_MAX`]); what is recorded already is counted without acting ([`Watch::recall`]), so that a watch that
//! begins anew stands where the one before it stood; where there is no room for another one it is not watched, and that is counted.

use std::{collections::HashMap, fmt};

use crate::{
    code::Code,
    id::{ConsumerId, KeyId, ProjectId, ServiceId},
    money::amount::Currency,
    rule::{
        Rule, WHOLE_PARTS,
        sliding::{SlidingSet, SlidingSum},
        spec::{Action, Metric, Whose},
    },
};

/// Subjects that are watched at once over all rules: some 600 bytes each.
pub const SUBJECTS_MAX: usize = 200_000;

/// One request, as far as rules look at it. Ids are 0 where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it was decided, wall microseconds.
    pub at_us: i64,
    /// The key.
    pub key: u64,
    /// The consumer that holds it.
    pub consumer: u64,
    /// The project.
    pub project: ProjectId,
    /// The service.
    pub service: u64,
    /// What was decided.
    pub code: Code,
    /// The status of the answer; 0 when none was sent.
    pub status: u16,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost, in atoms.
    pub cost: u64,
    /// Of which money; `None` when it cost nothing.
    pub currency: Option<Currency>,
    /// The client's address; IPv4 is mapped into IPv6.
    pub address: u128,
}

/// Whom a rule acts upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// What it is.
    pub whose: Whose,
    /// Its id.
    pub id: u64,
}

impl fmt::Display for Subject {
    /// Its id as it is shown: `key_…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whose {
            Whose::Key => KeyId(self.id).fmt(f),
            Whose::Consumer => ConsumerId(self.id).fmt(f),
            Whose::Project => ProjectId(self.id).fmt(f),
            Whose::Service => ServiceId(self.id).fmt(f),
        }
    }
}

/// A rule acts.
#[derive(Clone, Debug)]
pub struct Firing<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// Upon whom.
    pub subject: Subject,
    /// When the request came that passed the threshold.
    pub at_us: i64,
    /// Where the metric stood then.
    pub value: u64,
    /// Until when a block holds; `None` until somebody takes it away.
    pub until_us: Option<i64>,
}

/// All rules and what they have seen.
#[derive(Debug, Default)]
pub struct Watch {
    rules: Vec<Watched>,
    /// Which of the rules are of a project.
    of_project: HashMap<ProjectId, Vec<usize>>,
    subjects: usize,
    left_out: u64,
}

#[derive(Debug)]
struct Watched {
    rule: Rule,
    subjects: HashMap<u64, State>,
}

/// What a rule has seen of one subject.
#[derive(Debug)]
struct State {
    counted: Counted,
    /// Does not act before this moment.
    quiet_until_us: i64,
    /// Does not act before the metric was at or below the threshold.
    waits_for_less: bool,
    /// Requests before this moment do not count: a person took a block away then.
    since_us: i64,
}

#[derive(Debug)]
enum Counted {
    Sum(SlidingSum),
    /// Requests, and of these the failed ones.
    Share(SlidingSum, SlidingSum),
    Set(SlidingSet, i64),
}

impl Watch {
    /// Watches these rules from now on. What was seen stays for rules that count the same.
    pub fn replace_rules(&mut self, rules: Vec<Rule>) {
        let mut before: HashMap<u64, Watched> =
            std::mem::take(&mut self.rules).into_iter().map(|watched| (watched.rule.id, watched)).collect();
        self.of_project.clear();
        for rule in rules {
            let mut kept = before.remove(&rule.id).filter(|watched| counts_the_same(&watched.rule, &rule));
            if let Some(watched) = kept.as_mut().filter(|watched| !does_the_same(&watched.rule, &rule)) {
                watched.subjects.values_mut().for_each(State::act_again);
            }
            self.of_project.entry(rule.project).or_default().push(self.rules.len());
            let subjects = kept.map(|watched| watched.subjects).unwrap_or_default();
            self.rules.push(Watched { rule, subjects });
        }
        self.subjects = self.rules.iter().map(|watched| watched.subjects.len()).sum();
    }

    /// Whether there is anything to watch.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// Requests that no room was left to watch for some rule, over all time.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Looks at one request; `act` is called for every rule that acts because of it.
    pub fn look(&mut self, seen: &Seen, act: impl FnMut(Firing<'_>)) {
        self.take(seen, true, act);
    }

    /// Counts a request of the past; no rule acts because of it.
    pub fn recall(&mut self, seen: &Seen) {
        self.take(seen, false, |_| {});
    }

    fn take(&mut self, seen: &Seen, acts: bool, mut act: impl FnMut(Firing<'_>)) {
        // Refused for being blocked: counting it would keep the block alive.
        if seen.code == Code::KeyBlocked {
            return;
        }
        let Some(indices) = self.of_project.get(&seen.project) else { return };
        for index in indices {
            let Some(watched) = self.rules.get_mut(*index) else { continue };
            let Some((subject, amount)) = watched.rule.counts(seen) else { continue };
            if !watched.subjects.contains_key(&subject.id) && self.subjects >= SUBJECTS_MAX {
                self.subjects -= watched.forget(seen.at_us);
                if self.subjects >= SUBJECTS_MAX {
                    self.left_out += 1;
                    continue;
                }
            }
            let fresh = watched.subjects.len();
            if let Some(firing) = watched.look(seen, (subject, amount), acts) {
                act(firing);
            }
            self.subjects += watched.subjects.len() - fresh;
        }
    }

    /// A person took a block away at a moment: the rule begins anew with the subject, and what came before
    /// never counts again, however late it is seen.
    pub fn forget(&mut self, rule: u64, subject: Subject, at_us: i64) {
        for watched in self.rules.iter_mut().filter(|watched| watched.rule.id == rule) {
            let fresh = State { since_us: at_us, ..State::new(&watched.rule) };
            let was_there = watched.subjects.insert(subject.id, fresh).is_some();
            self.subjects += usize::from(!was_there);
        }
    }

    /// A rule has acted upon a subject before this watch began: it does not act again before its block has
    /// ended, or for what only tells, before the metric was at or below the threshold.
    pub fn acted(&mut self, rule: u64, subject: Subject, until_us: Option<i64>) {
        for watched in self.rules.iter_mut().filter(|watched| watched.rule.id == rule) {
            let state = watched.subjects.entry(subject.id).or_insert_with(|| {
                self.subjects += 1;
                State::new(&watched.rule)
            });
            match watched.rule.action {
                Action::Block => state.quiet_until_us = until_us.unwrap_or(i64::MAX),
                Action::Unblock | Action::Notify => state.waits_for_less = true,
            }
        }
    }

    /// Whether these rules count as the present ones do, so that nothing of the past has to be counted anew.
    #[must_use]
    pub fn counts_all(&self, rules: &[Rule]) -> bool {
        let known = |rule: &Rule| {
            let is_it = |watched: &&Watched| watched.rule.id == rule.id;
            self.rules.iter().find(is_it).is_some_and(|watched| counts_the_same(&watched.rule, rule))
        };
        rules.iter().all(known)
    }
}

impl Watched {
    fn look(&mut self, seen: &Seen, (subject, amount): (Subject, u64), acts: bool) -> Option<Firing<'_>> {
        let Self { rule, subjects } = self;
        let state = subjects.entry(subject.id).or_insert_with(|| State::new(rule));
        if seen.at_us < state.since_us {
            return None;
        }
        let value = state.count(rule, seen, amount);
        if value <= rule.above {
            state.waits_for_less = false;
            return None;
        }
        if !acts || state.waits_for_less || seen.at_us < state.quiet_until_us {
            return None;
        }
        let until_us = match rule.action {
            Action::Block => {
                let until_us = rule.until.after(seen.at_us);
                state.quiet_until_us = until_us.unwrap_or(i64::MAX);
                until_us
            }
            Action::Unblock | Action::Notify => {
                state.waits_for_less = true;
                None
            }
        };
        Some(Firing { rule, subject, at_us: seen.at_us, value, until_us })
    }

    /// Forgets subjects of which nothing is in the window any more; says how many.
    fn forget(&mut self, at_us: i64) -> usize {
        let (before, window_us) = (self.subjects.len(), self.rule.window_us);
        self.subjects.retain(|_, state| at_us < state.quiet_until_us || !state.is_over(at_us, window_us));
        before - self.subjects.len()
    }
}

impl Rule {
    /// Whose request it is and how much of it counts; `None` when it does not.
    fn counts(&self, seen: &Seen) -> Option<(Subject, u64)> {
        if self.service.is_some_and(|service| service.0 != seen.service)
            || self.code.is_some_and(|code| code != seen.code)
        {
            return None;
        }
        let is_denial = seen.code != Code::Valid;
        let amount = match self.metric {
            Metric::Requests | Metric::DistinctAddresses => 1,
            Metric::Denials if is_denial => 1,
            Metric::ErrorRate if !is_denial => 1,
            Metric::Tokens if seen.tokens > 0 => seen.tokens,
            Metric::Cost if seen.cost > 0 && seen.currency == Some(self.currency) => seen.cost,
            Metric::Denials | Metric::ErrorRate | Metric::Tokens | Metric::Cost => return None,
        };
        let id = match self.per {
            Whose::Key => seen.key,
            Whose::Consumer => seen.consumer,
            Whose::Project => seen.project.0,
            Whose::Service => seen.service,
        };
        // Nobody: an unknown key has no consumer, a request that no service took has no service.
        (id != 0).then_some((Subject { whose: self.per, id }, amount))
    }
}

impl State {
    fn new(rule: &Rule) -> Self {
        let sum = || SlidingSum::new(rule.window_us);
        let counted = match rule.metric {
            Metric::ErrorRate => Counted::Share(sum(), sum()),
            Metric::DistinctAddresses => Counted::Set(SlidingSet::default(), i64::MIN),
            Metric::Requests | Metric::Denials | Metric::Tokens | Metric::Cost => Counted::Sum(sum()),
        };
        Self { counted, quiet_until_us: i64::MIN, waits_for_less: false, since_us: i64::MIN }
    }

    /// Counts a request; where the metric stands then.
    fn count(&mut self, rule: &Rule, seen: &Seen, amount: u64) -> u64 {
        match &mut self.counted {
            Counted::Sum(sum) => {
                sum.add(seen.at_us, amount);
                sum.sum(seen.at_us)
            }
            Counted::Share(all, failed) => {
                all.add(seen.at_us, 1);
                failed.add(seen.at_us, u64::from(seen.status >= 500));
                let requests = all.sum(seen.at_us);
                if requests < rule.at_least.max(1) {
                    return 0;
                }
                failed.sum(seen.at_us).saturating_mul(WHOLE_PARTS) / requests
            }
            Counted::Set(set, newest_us) => {
                *newest_us = (*newest_us).max(seen.at_us);
                let most = usize::try_from(rule.above).unwrap_or(usize::MAX);
                set.add(seen.address, *newest_us, rule.window_us, most) as u64
            }
        }
    }

    /// What was done before counts no more: the rule does something else now.
    const fn act_again(&mut self) {
        (self.quiet_until_us, self.waits_for_less) = (i64::MIN, false);
    }

    fn is_over(&self, at_us: i64, window_us: i64) -> bool {
        match &self.counted {
            Counted::Sum(sum) | Counted::Share(sum, _) => sum.is_over(at_us),
            Counted::Set(_, newest_us) => *newest_us < at_us.saturating_sub(window_us),
        }
    }
}

/// Whether what one rule has counted means the same to the other.
fn counts_the_same(one: &Rule, other: &Rule) -> bool {
    one.metric == other.metric
        && one.service == other.service
        && one.code == other.code
        && one.per == other.per
        && one.window_us == other.window_us
        && one.currency == other.currency
}

/// Whether one rule has done what the other would do.
fn does_the_same(one: &Rule, other: &Rule) -> bool {
    (one.mode, one.action, one.closes) == (other.mode, other.action, other.closes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{RuleRow, spec::RuleSpec};

    /// A quarter past some full hour.
    const NOON: i64 = 1_700_000_100_000_000;
    const SECOND: i64 = 1_000_000;

    fn rule(when: &str, then: &str) -> Rule {
        let text = format!("project = \"maps\"\nname = \"flood\"\nwhen = {{ {when} }}\nthen = {{ {then} }}");
        let spec: RuleSpec = toml::from_str(&text).unwrap();
        let named = |name: &str| (name == "tiles").then_some(crate::id::ServiceId(5));
        Rule::compile(&spec, RuleRow { id: 7, project: ProjectId(1) }, named).unwrap()
    }

    fn watch(when: &str, then: &str) -> Watch {
        let mut watch = Watch::default();
        watch.replace_rules(vec![rule(when, then)]);
        watch
    }

    fn seen(at_us: i64) -> Seen {
        Seen {
            at_us,
            key: 2,
            consumer: 3,
            project: ProjectId(1),
            service: 5,
            code: Code::Valid,
            status: 200,
            tokens: 0,
            cost: 0,
            currency: None,
            address: 1,
        }
    }

    /// When the watch acted, and until when it blocked.
    fn look(watch: &mut Watch, seen: &Seen) -> Option<(i64, Option<i64>)> {
        let mut acted = None;
        watch.look(seen, |firing| acted = Some((firing.at_us, firing.until_us)));
        acted
    }

    const BLOCK: &str = r#"action = "block", service = "tiles", until = "next_hour""#;
    const HUNDRED: &str = r#"metric = "requests", service = "tiles", above = 100, window = "1m""#;

    #[test]
    fn the_hundred_and_first_request_in_a_minute_blocks_until_the_next_hour() {
        let mut watch = watch(HUNDRED, BLOCK);
        for request in 0..100 {
            assert_eq!(look(&mut watch, &seen(NOON + request * 100_000)), None);
        }
        let last = NOON + 10 * SECOND;
        let next_hour = (NOON / 3_600_000_000 + 1) * 3_600_000_000;
        assert_eq!(look(&mut watch, &seen(last)), Some((last, Some(next_hour))));
        assert_eq!(look(&mut watch, &seen(last + 1)), None, "it acts once");
        let refused = Seen { code: Code::KeyBlocked, ..seen(last + 2) };
        assert_eq!(look(&mut watch, &refused), None);
    }

    #[test]
    fn a_hundred_requests_spread_over_more_than_the_window_do_nothing() {
        let mut watch = watch(HUNDRED, BLOCK);
        for request in 0..1_000 {
            assert_eq!(look(&mut watch, &seen(NOON + request * 610_000)), None, "{request}");
        }
    }

    #[test]
    fn what_the_refused_do_does_not_keep_a_block_alive_and_new_traffic_makes_a_new_one() {
        let mut watch = watch(HUNDRED, r#"action = "block", until = "30s""#);
        let flood = |watch: &mut Watch, from: i64, code: Code| {
            (0..101).filter_map(|request| look(watch, &Seen { code, ..seen(from + request) })).last()
        };
        assert!(flood(&mut watch, NOON, Code::Valid).is_some());
        let later = NOON + 90 * SECOND;
        assert_eq!(flood(&mut watch, later, Code::KeyBlocked), None);
        assert!(flood(&mut watch, later + SECOND, Code::Valid).is_some());
    }

    #[test]
    fn only_what_the_rule_names_counts() {
        let mut watch = watch(
            r#"metric = "denials", code = "rate_limited", service = "tiles", above = 1, window = "1m""#,
            BLOCK,
        );
        let limited = Seen { code: Code::RateLimited, ..seen(NOON) };
        let others = [
            seen(NOON),
            Seen { code: Code::ScopeMissing, ..limited },
            Seen { service: 6, ..limited },
            Seen { project: ProjectId(9), ..limited },
            Seen { key: 0, ..limited },
        ];
        for other in others {
            assert_eq!(look(&mut watch, &other), None);
            assert_eq!(look(&mut watch, &other), None);
        }
        assert_eq!(look(&mut watch, &limited), None);
        assert_eq!(look(&mut watch, &Seen { key: 8, ..limited }), None, "of another key");
        assert!(look(&mut watch, &limited).is_some());
    }

    #[test]
    fn an_error_rate_means_nothing_before_there_are_enough_requests() {
        let when = r#"metric = "error_rate", above = 50, at_least = 10, window = "1m""#;
        let mut watch = watch(when, BLOCK);
        let failed = |at: i64| Seen { status: 503, ..seen(NOON + at) };
        for request in 0..9 {
            assert_eq!(look(&mut watch, &failed(request)), None);
        }
        assert!(look(&mut watch, &failed(9)).is_some());
    }

    #[test]
    fn money_and_tokens_are_summed_up() {
        let mut cost = watch(r#"metric = "cost", per = "consumer", above = "1", window = "1d""#, BLOCK);
        let dear = Seen { cost: 600_000_000, currency: Some(Currency::USD), ..seen(NOON) };
        assert_eq!(look(&mut cost, &dear), None);
        let euros = Seen { currency: Some(Currency::Money(*b"EUR")), ..dear };
        assert_eq!(look(&mut cost, &euros), None);
        assert!(look(&mut cost, &Seen { key: 99, ..dear }).is_some(), "of the same consumer");
        let mut tokens = watch(r#"metric = "tokens", above = 1000, window = "1m""#, BLOCK);
        assert_eq!(look(&mut tokens, &Seen { tokens: 1000, ..seen(NOON) }), None);
        assert!(look(&mut tokens, &Seen { tokens: 1, ..seen(NOON) }).is_some());
    }

    #[test]
    fn addresses_are_counted_once_each() {
        let mut watch = watch(r#"metric = "distinct_addresses", above = 3, window = "1h""#, BLOCK);
        for round in 0..3 {
            for address in 1..=3 {
                assert_eq!(look(&mut watch, &Seen { address, ..seen(NOON + round) }), None);
            }
        }
        assert!(look(&mut watch, &Seen { address: 4, ..seen(NOON + 9) }).is_some());
    }

    #[test]
    fn a_notice_is_given_once_per_passing() {
        let when = r#"metric = "requests", above = 1, window = "1m""#;
        let mut watch = watch(when, r#"action = "notify""#);
        assert_eq!(look(&mut watch, &seen(NOON)), None);
        assert_eq!(look(&mut watch, &seen(NOON + 1)), Some((NOON + 1, None)));
        assert_eq!(look(&mut watch, &seen(NOON + 2)), None);
        let later = NOON + 300 * SECOND;
        assert_eq!(look(&mut watch, &seen(later)), None);
        assert!(look(&mut watch, &seen(later + 1)).is_some());
    }

    #[test]
    fn who_was_unblocked_by_hand_begins_anew() {
        let mut watch = watch(HUNDRED, r#"action = "block", until = "manual""#);
        for request in 0..101 {
            look(&mut watch, &seen(NOON + request));
        }
        assert_eq!(look(&mut watch, &seen(NOON + 200)), None, "blocked, for all it knows");
        watch.forget(7, Subject { whose: Whose::Key, id: 2 }, NOON + 200);
        assert_eq!(look(&mut watch, &seen(NOON + 150)), None, "it came before that");
        for request in 0..100 {
            assert_eq!(look(&mut watch, &seen(NOON + 300 + request)), None);
        }
        assert_eq!(look(&mut watch, &seen(NOON + 500)), Some((NOON + 500, None)));
    }

    #[test]
    fn a_watch_that_begins_anew_stands_where_the_one_before_it_stood() {
        let mut watch = watch(HUNDRED, BLOCK);
        (0..101).for_each(|request| watch.recall(&seen(NOON + request)));
        let mut anew = |acted: Option<Option<i64>>| {
            watch.forget(7, Subject { whose: Whose::Key, id: 2 }, NOON - 1);
            (0..101).for_each(|request| watch.recall(&seen(NOON + request)));
            if let Some(until_us) = acted {
                watch.acted(7, Subject { whose: Whose::Key, id: 2 }, until_us);
            }
            look(&mut watch, &seen(NOON + 200)).is_some()
        };
        assert!(anew(None), "nobody acted, and the threshold is passed");
        assert!(!anew(Some(Some(NOON + 300))), "it acted, and its block holds");
        assert!(anew(Some(Some(NOON + 100))), "its block has ended");
        assert!(!anew(Some(None)), "its block holds until somebody lifts it");
        assert!(watch.counts_all(&[Rule { above: 5, ..rule(HUNDRED, BLOCK) }]));
        assert!(!watch.counts_all(&[Rule { window_us: 5, ..rule(HUNDRED, BLOCK) }]));
        assert!(!watch.counts_all(&[Rule { id: 8, ..rule(HUNDRED, BLOCK) }]));
    }

    #[test]
    fn rules_that_change_their_threshold_keep_what_they_counted() {
        let mut watch = watch(HUNDRED, BLOCK);
        for request in 0..50 {
            look(&mut watch, &seen(NOON + request));
        }
        watch.replace_rules(vec![Rule { above: 50, ..rule(HUNDRED, BLOCK) }]);
        assert!(look(&mut watch, &seen(NOON + 60)).is_some());
        let observing =
            Rule { above: 50, mode: crate::rule::spec::RuleMode::Observe, ..rule(HUNDRED, BLOCK) };
        watch.replace_rules(vec![observing]);
        assert!(look(&mut watch, &seen(NOON + 61)).is_some(), "what it does now it has not done yet");
        watch.replace_rules(Vec::new());
        assert!(watch.is_idle());
        assert_eq!(watch.subjects, 0);
    }

    #[test]
    fn subjects_are_bounded_and_make_room_when_they_are_over() {
        let mut watch = watch(r#"metric = "requests", above = 1, window = "1s""#, BLOCK);
        for key in 1..=SUBJECTS_MAX as u64 + 5 {
            look(&mut watch, &Seen { key, ..seen(NOON) });
        }
        assert_eq!((watch.subjects, watch.left_out()), (SUBJECTS_MAX, 5));
        look(&mut watch, &Seen { key: 1 << 40, ..seen(NOON + 10 * SECOND) });
        assert_eq!((watch.subjects, watch.left_out()), (1, 5));
    }
}
