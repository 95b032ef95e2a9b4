//! Trees as flat arrays, and walking them.
//!
//! Keeps: every number in the arrays points into them and no branch leads back to where it came from (checked by
//! [`Ensemble::new`]), so that a walk ends and costs no more than [`Ensemble::visits`] says.

use super::{Reading, Refusal, real::Real};

/// The bit of a place that says that it is one of the leaves.
pub(super) const LEAF: u32 = 1 << 31;
/// Branches, leaves and votes of one model.
pub(super) const PARTS_MAX: usize = 1 << 24;
/// Targets or classes of one model.
pub(super) const TARGETS_MAX: usize = 1 << 12;

/// How a branch compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    Other,
}

/// A branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch<F> {
    pub(super) value: F,
    pub(super) feature: u32,
    /// Where it goes on when the comparison holds, and when not: another branch or a leaf ([`LEAF`]).
    pub(super) yes: u32,
    pub(super) no: u32,
    pub(super) mode: Mode,
    /// Whether what is missing (not a number) goes where the comparison holds.
    pub(super) takes_missing: bool,
}

/// What a leaf gives to one target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vote<F> {
    pub(super) target: u32,
    pub(super) weight: F,
}

/// How the votes for a target become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// The number of a target, while votes are counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Score<F> {
    pub(super) value: F,
    pub(super) has_votes: bool,
}

/// What an ensemble is made of.
pub(super) struct Parts<F> {
    pub(super) roots: Vec<u32>,
    pub(super) branches: Vec<Branch<F>>,
    /// Of each leaf, where its votes begin and end.
    pub(super) leaves: Vec<(u32, u32)>,
    pub(super) votes: Vec<Vote<F>>,
    pub(super) targets: usize,
    pub(super) aggregate: Aggregate,
}

/// Trees that were checked.
pub(super) struct Ensemble<F> {
    parts: Parts<F>,
    visits: u64,
    features: usize,
}

impl<F: Real> Ensemble<F> {
    /// Checks what it is made of.
    pub(super) fn new(parts: Parts<F>) -> Reading<Self> {
        let Parts { roots, branches, leaves, votes, targets, .. } = &parts;
        if roots.is_empty() || *targets == 0 {
            return Err(Refusal::broken("its trees are empty"));
        }
        if *targets > TARGETS_MAX
            || [branches.len(), leaves.len(), votes.len()].iter().any(|n| *n > PARTS_MAX)
        {
            return Err(Refusal::broken(format_args!(
                "its trees have over {PARTS_MAX} parts or over {TARGETS_MAX} targets"
            )));
        }
        let is_there = |place: u32| {
            let (length, index) =
                if place & LEAF == 0 { (branches.len(), place) } else { (leaves.len(), place & !LEAF) };
            (index as usize) < length
        };
        let ends = branches.iter().flat_map(|branch| [branch.yes, branch.no]);
        if !roots.iter().copied().chain(ends).all(is_there) {
            return Err(Refusal::broken("a branch of its trees leads to a node that does not exist"));
        }
        let are_whole = |(start, end): &(u32, u32)| start <= end && *end as usize <= votes.len();
        if !leaves.iter().all(are_whole) || votes.iter().any(|vote| vote.target as usize >= *targets) {
            return Err(Refusal::broken(
                "a leaf of its trees votes for a target or class that does not exist",
            ));
        }
        let features = branches.iter().map(|branch| branch.feature as usize + 1).max().unwrap_or(0);
        let most_votes = leaves.iter().map(|(start, end)| u64::from(end - start)).max().unwrap_or(0);
        let depths = depths(branches)?;
        let deep = |root: &u32| {
            let depth = depths.get(*root as usize).copied().filter(|_| root & LEAF == 0).unwrap_or(0);
            u64::from(depth) + 1 + most_votes
        };
        let visits = roots.iter().map(deep).sum::<u64>().saturating_add(*targets as u64);
        Ok(Self { visits, features, parts })
    }

    /// Nodes and votes that one row visits at most.
    pub(super) fn visits(&self) -> u64 {
        self.visits
    }

    /// How many features a row has at least.
    pub(super) fn features(&self) -> usize {
        self.features
    }

    pub(super) fn targets(&self) -> usize {
        self.parts.targets
    }

    pub(super) fn votes(&self) -> &[Vote<F>] {
        &self.parts.votes
    }

    /// Counts the votes for one row; `scores` has a place for each target.
    pub(super) fn score(&self, row: &[F], scores: &mut [Score<F>]) {
        scores.fill(Score::default());
        for root in &self.parts.roots {
            let Some((start, end)) = self.leaf(*root, row) else { continue };
            let votes = self.parts.votes.get(start as usize..end as usize).unwrap_or_default();
            for Vote { target, weight } in votes {
                if let Some(score) = scores.get_mut(*target as usize) {
                    score.add(*weight, self.parts.aggregate);
                }
            }
        }
        if self.parts.aggregate == Aggregate::Average {
            let trees = F::of_count(self.parts.roots.len());
            scores.iter_mut().for_each(|score| score.value = score.value / trees);
        }
    }

    fn leaf(&self, root: u32, row: &[F]) -> Option<(u32, u32)> {
        let mut place = root;
        while place & LEAF == 0 {
            let branch = self.parts.branches.get(place as usize)?;
            let found = *row.get(branch.feature as usize)?;
            place = if branch.holds(found) { branch.yes } else { branch.no };
        }
        self.parts.leaves.get((place & !LEAF) as usize).copied()
    }
}

impl<F: Real> Branch<F> {
    fn holds(&self, found: F) -> bool {
        match self.mode {
            _ if found.is_nan() => self.takes_missing,
            Mode::AtMost => found <= self.value,
            Mode::Below => found < self.value,
            Mode::AtLeast => found >= self.value,
            Mode::Above => found > self.value,
            Mode::Equal => found == self.value,
            Mode::Other => found != self.value,
        }
    }
}

impl<F: Real> Score<F> {
    fn add(&mut self, weight: F, aggregate: Aggregate) {
        match aggregate {
            Aggregate::Sum | Aggregate::Average => self.value += weight,
            Aggregate::Min if self.has_votes && self.value <= weight => {}
            Aggregate::Max if self.has_votes && self.value >= weight => {}
            Aggregate::Min | Aggregate::Max => self.value = weight,
        }
        self.has_votes = true;
    }
}

/// How far a branch is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Not,
    /// Somewhere below it we are now.
    Above,
    Whole,
}

/// How many branches lie on the longest way down from each, itself included. Two branches may lead to the same one
/// (exporters of LightGBM write sets so), none may lead back.
fn depths<F>(branches: &[Branch<F>]) -> Reading<Vec<u32>> {
    let mut depths = vec![0_u32; branches.len()];
    let mut seen = vec![Seen::Not; branches.len()];
    let mut path: Vec<usize> = Vec::new();
    for first in 0..branches.len() {
        if seen.get(first) == Some(&Seen::Not) {
            path.push(first);
        }
        while let Some(own) = path.last().copied() {
            let (Some(branch), Some(mark)) = (branches.get(own), seen.get_mut(own)) else { break };
            if *mark == Seen::Whole {
                path.pop();
                continue;
            }
            *mark = Seen::Above;
            let mut deepest = 0;
            let mut is_whole = true;
            for next in [branch.yes, branch.no].into_iter().filter(|place| place & LEAF == 0) {
                let next = next as usize;
                match seen.get(next) {
                    Some(Seen::Whole) => deepest = deepest.max(depths.get(next).copied().unwrap_or(0)),
                    Some(Seen::Not) => {
                        path.push(next);
                        is_whole = false;
                    }
                    _ => return Err(Refusal::broken("a branch of its trees leads back to itself")),
                }
            }
            if is_whole && let (Some(depth), Some(mark)) = (depths.get_mut(own), seen.get_mut(own)) {
                *depth = deepest + 1;
                *mark = Seen::Whole;
                path.pop();
            }
        }
    }
    Ok(depths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(ways: &[(u32, u32)]) -> Parts<f32> {
        let branch = |(yes, no): &(u32, u32)| Branch {
            value: 0.0,
            feature: 0,
            yes: *yes,
            no: *no,
            mode: Mode::AtMost,
            takes_missing: false,
        };
        Parts {
            roots: vec![0],
            branches: ways.iter().map(branch).collect(),
            leaves: vec![(0, 1), (1, 2)],
            votes: vec![Vote { target: 0, weight: 1.0 }, Vote { target: 0, weight: 2.0 }],
            targets: 1,
            aggregate: Aggregate::Sum,
        }
    }

    #[test]
    fn what_leads_back_or_to_nowhere_is_refused() {
        let (low, high) = (LEAF, LEAF + 1);
        for (ways, visits) in [
            (&[(low, high)][..], Some(4)),
            (&[(1, high), (low, high)], Some(5)),
            // Two branches that lead to the same one, of different depths.
            (&[(1, 2), (2, low), (low, high)], Some(6)),
            (&[(0, low)], None),
            (&[(1, low), (0, high)], None),
            (&[(1, low), (2, low), (1, low)], None),
            (&[(low, LEAF + 2)], None),
            (&[(low, 7)], None),
        ] {
            let made = Ensemble::new(parts(ways)).ok();
            assert_eq!(made.map(|made| made.visits()), visits, "{ways:?}");
        }
        let mut outside = parts(&[(low, high)]);
        outside.votes[1].target = 1;
        assert!(Ensemble::new(outside).is_err());
    }

    #[test]
    fn a_tree_as_deep_as_a_file_allows_is_read_without_running_out_of_stack() {
        let deep = 200_000;
        let ways: Vec<(u32, u32)> =
            (0..deep).map(|own| (if own + 1 == deep { LEAF } else { own + 1 }, LEAF)).collect();
        let made = Ensemble::new(parts(&ways)).ok().unwrap();
        let mut scores = [Score::default()];
        made.score(&[-1.0], &mut scores);
        assert_eq!(scores[0].value, 1.0);
    }
}
