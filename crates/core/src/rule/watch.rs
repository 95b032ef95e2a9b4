//! The watch: is told of every request, and says when a rule acts.
//!
//! It has no clock: the moment of a request is the present. It acts once per subject and passing of its
//! threshold: a block acts again when it has ended and the threshold is passed by another request; what
//! only tells acts again when the metric was at or below the threshold in between. Subjects are bounded
//! ([`SUBJECTS_MAX`]), and the addresses that are held of them ([`ADDRESSES_HELD_MAX`]): no project takes more of
//! either than is left for all others. What is recorded already is counted without acting ([`Watch::recall`]), so that a watch that
//! begins anew stands where the one before it stood; where there is no room for another one it is not watched, and that is counted.

use std::{collections::HashMap, fmt};

use crate::{
    code::Code,
    id::{ConsumerId, KeyId, ProjectId, ServiceId},
    money::amount::Currency,
    rule::{
        Rule, WHOLE_PARTS, counts_the_same, does_the_same,
        sliding::{STEPS, SlidingSet, SlidingSum},
        spec::{Action, Metric, Whose},
    },
};

/// Subjects that are watched at once over all rules: some 600 bytes each, for error rates 1,100, and the addresses that
/// are held of them. One project takes half of them at most.
pub const SUBJECTS_MAX: usize = 200_000;
/// Addresses that are held at once over all subjects: some 80 bytes each. One project takes half of them at most.
pub const ADDRESSES_HELD_MAX: usize = 2_000_000;
/// A request counts as made so long after the present at most: a node whose clock is ahead moves no window on.
const AHEAD_US: i64 = 2_000_000;
/// Where there is no room, what is over is looked for this often.
const CLEAN_EVERY_US: i64 = 1_000_000;

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
    of_project: HashMap<ProjectId, Share>,
    /// Subjects and addresses that another watch holds, which this one is to be taken into.
    beside: HashMap<ProjectId, (usize, usize)>,
    subjects: usize,
    addresses: usize,
    left_out: u64,
    /// When what is over was last looked for.
    cleaned_us: Option<i64>,
    /// The moment after which no request counts as made.
    latest_us: Option<i64>,
}

/// What is of a project: which of the rules, and the room they take.
#[derive(Debug, Default)]
struct Share {
    rules: Vec<usize>,
    subjects: usize,
    addresses: usize,
}

impl Share {
    /// Whether it may have another one of what so many are held of in all.
    const fn has_room(own: usize, held: usize, most: usize) -> bool {
        own < most.saturating_sub(held)
    }
}

/// Room for addresses, and what of it was taken.
#[derive(Debug)]
struct Room {
    is_there: bool,
    /// Addresses held of the subject, before and after.
    before: usize,
    after: usize,
    is_left_out: bool,
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
            self.of_project.entry(rule.project).or_default().rules.push(self.rules.len());
            let subjects = kept.map(|watched| watched.subjects).unwrap_or_default();
            self.rules.push(Watched { rule, subjects });
        }
        self.count_room();
    }

    /// A watch for those of these rules that count otherwise, to be told of the past for [`Watch::take_up`]; in the room
    /// that this one leaves.
    #[must_use]
    pub fn beginning(&self, rules: &[Rule]) -> Self {
        let beside = self.of_project.iter().map(|(id, share)| (*id, (share.subjects, share.addresses)));
        let mut watch = Self { beside: beside.collect(), latest_us: self.latest_us, ..Self::default() };
        watch.replace_rules(rules.iter().filter(|rule| !self.counts(rule)).cloned().collect());
        watch
    }

    /// As [`Watch::replace_rules`], and rules of a watch that began beside this one with what that has seen.
    pub fn take_up(&mut self, rules: Vec<Rule>, begun: Self) {
        self.replace_rules(rules);
        let mut seen: HashMap<u64, _> =
            begun.rules.into_iter().map(|own| (own.rule.id, own.subjects)).collect();
        for own in &mut self.rules {
            own.subjects = seen.remove(&own.rule.id).unwrap_or_else(|| std::mem::take(&mut own.subjects));
        }
        self.left_out += begun.left_out;
        self.count_room();
    }

    /// Says what the present is, wall microseconds: requests count as made two seconds after it at most. Without it
    /// every request counts as made when it says.
    pub const fn set_present(&mut self, now_us: i64) {
        self.latest_us = Some(now_us.saturating_add(AHEAD_US));
    }

    /// Whether there is anything to watch.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// Requests that no room was left to watch for some rule, or to hold their address, over all time.
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
        let seen = &Seen { at_us: seen.at_us.min(self.latest_us.unwrap_or(i64::MAX)), ..*seen };
        self.make_room(seen, acts);
        let Self { rules, of_project, subjects, addresses, left_out, .. } = self;
        let Some(share) = of_project.get_mut(&seen.project) else { return };
        for index in &share.rules {
            let Some(watched) = rules.get_mut(*index) else { continue };
            let Some((subject, amount)) = watched.rule.counts(seen) else { continue };
            let is_new = !watched.subjects.contains_key(&subject.id);
            if is_new && !Share::has_room(share.subjects, *subjects, SUBJECTS_MAX) {
                *left_out += 1;
                continue;
            }
            let is_there = Share::has_room(share.addresses, *addresses, ADDRESSES_HELD_MAX);
            let mut room = Room { is_there, before: 0, after: 0, is_left_out: false };
            if let Some(firing) = watched.look(seen, (subject, amount, acts), &mut room) {
                act(firing);
            }
            *subjects += usize::from(is_new);
            share.subjects += usize::from(is_new);
            *addresses = (*addresses + room.after).saturating_sub(room.before);
            share.addresses = (share.addresses + room.after).saturating_sub(room.before);
            *left_out += u64::from(room.is_left_out);
        }
    }

    /// Forgets what is over of all rules when the project of a request has no room, at most once a second; while the
    /// past is counted, which goes quickly, at most once in a part of the longest window.
    fn make_room(&mut self, seen: &Seen, acts: bool) {
        let Some(share) = self.of_project.get(&seen.project) else { return };
        if Share::has_room(share.subjects, self.subjects, SUBJECTS_MAX)
            && Share::has_room(share.addresses, self.addresses, ADDRESSES_HELD_MAX)
        {
            return;
        }
        let longest_us = || self.rules.iter().map(|watched| watched.rule.window_us).max().unwrap_or(0);
        let every_us = if acts { CLEAN_EVERY_US } else { CLEAN_EVERY_US.max(longest_us() / STEPS as i64) };
        let is_due = |cleaned_us: i64| seen.at_us.abs_diff(cleaned_us) >= every_us.unsigned_abs();
        if self.cleaned_us.is_none_or(is_due) {
            self.cleaned_us = Some(seen.at_us);
            self.rules.iter_mut().for_each(|watched| watched.forget(seen.at_us));
            self.count_room();
        }
    }

    /// Counts anew what room is taken.
    fn count_room(&mut self) {
        (self.subjects, self.addresses) = (0, 0);
        for share in self.of_project.values_mut() {
            let own = || share.rules.iter().filter_map(|index| self.rules.get(*index));
            let subjects = own().map(|watched| watched.subjects.len()).sum();
            let addresses = own().flat_map(|watched| watched.subjects.values()).map(State::addresses).sum();
            (share.subjects, share.addresses) = (subjects, addresses);
            self.subjects += subjects;
            self.addresses += addresses;
        }
        for (project, (subjects, addresses)) in &self.beside {
            let share = self.of_project.entry(*project).or_default();
            share.subjects += subjects;
            share.addresses += addresses;
            self.subjects += subjects;
            self.addresses += addresses;
        }
    }

    /// A person took a block away at a moment: the rule begins anew with the subject, and what came before
    /// never counts again, however late it is seen.
    pub fn forget(&mut self, rule: u64, subject: Subject, at_us: i64) {
        for watched in self.rules.iter_mut().filter(|watched| watched.rule.id == rule) {
            let fresh = State { since_us: at_us, ..State::new(&watched.rule) };
            let before = watched.subjects.insert(subject.id, fresh);
            let Some(share) = self.of_project.get_mut(&watched.rule.project) else { continue };
            let (new, gone) = (usize::from(before.is_none()), before.map_or(0, |state| state.addresses()));
            self.subjects += new;
            share.subjects += new;
            self.addresses = self.addresses.saturating_sub(gone);
            share.addresses = share.addresses.saturating_sub(gone);
        }
    }

    /// A rule has acted upon a subject before this watch began: it does not act again before its block has
    /// ended, or for what only tells, before the metric was at or below the threshold.
    pub fn acted(&mut self, rule: u64, subject: Subject, until_us: Option<i64>) {
        for watched in self.rules.iter_mut().filter(|watched| watched.rule.id == rule) {
            let state = watched.subjects.entry(subject.id).or_insert_with(|| {
                self.subjects += 1;
                if let Some(share) = self.of_project.get_mut(&watched.rule.project) {
                    share.subjects += 1;
                }
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
        rules.iter().all(|rule| self.counts(rule))
    }

    /// Whether a rule counts as it does already.
    #[must_use]
    pub fn counts(&self, rule: &Rule) -> bool {
        let is_it = |watched: &&Watched| watched.rule.id == rule.id;
        self.rules.iter().find(is_it).is_some_and(|watched| counts_the_same(&watched.rule, rule))
    }
}

impl Watched {
    fn look(
        &mut self,
        seen: &Seen,
        (subject, amount, acts): (Subject, u64, bool),
        room: &mut Room,
    ) -> Option<Firing<'_>> {
        let Self { rule, subjects } = self;
        let state = subjects.entry(subject.id).or_insert_with(|| State::new(rule));
        if seen.at_us < state.since_us {
            return None;
        }
        let value = state.count(rule, (seen, amount), room);
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

    /// Forgets subjects of which nothing is in the window any more, and addresses that are not.
    fn forget(&mut self, at_us: i64) {
        let window_us = self.rule.window_us;
        self.subjects.retain(|_, state| {
            if let Counted::Set(set, newest_us) = &mut state.counted {
                set.forget(at_us.max(*newest_us), window_us);
            }
            at_us < state.quiet_until_us || !state.is_over(at_us, window_us)
        });
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
    fn count(&mut self, rule: &Rule, (seen, amount): (&Seen, u64), room: &mut Room) -> u64 {
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
                room.before = set.len();
                set.forget(*newest_us, rule.window_us);
                let network = network(seen.address);
                // Without room it is not held, unless there is enough for the rule to act.
                room.is_left_out = !room.is_there && set.len() <= most && !set.has(network);
                if !room.is_left_out {
                    set.add(network, *newest_us, most);
                }
                room.after = set.len();
                room.after as u64
            }
        }
    }

    /// Addresses that are held.
    fn addresses(&self) -> usize {
        match &self.counted {
            Counted::Set(set, _) => set.len(),
            Counted::Sum(_) | Counted::Share(..) => 0,
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

/// What counts as one address: an IPv4 address, of IPv6 a /64, out of which a client takes any it likes.
const fn network(address: u128) -> u128 {
    let is_v4 = address >> 32 == 0xFFFF;
    if is_v4 { address } else { address >> 64 << 64 }
}

#[cfg(test)]
mod tests;
