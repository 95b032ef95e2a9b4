//! Reading trees: `TreeEnsembleClassifier` and `TreeEnsembleRegressor` with nodes that have names, and `TreeEnsemble`
//! (`ai.onnx.ml` opset 5) with nodes that have places.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::NodeProto;

use super::{
    Reading, Refusal,
    attributes::{bytes_of, find, long, longs, reals, reals_of, word, words},
    real::Real,
    trees::{Aggregate, Branch, Ensemble, LEAF, Mode, PARTS_MAX, Parts, Vote},
};

/// A node is named by its tree and its number in it.
type Name = (i64, i64);

/// Reads trees whose nodes have names; leaves vote with `{prefix}_ids` and `{prefix}_weights`.
pub(super) fn read_named<F: Real>(
    node: &NodeProto,
    prefix: &str,
    (targets, aggregate): (usize, Aggregate),
) -> Reading<Ensemble<F>> {
    let trees = longs(node, "nodes_treeids");
    let numbers = longs(node, "nodes_nodeids");
    let named = Named::of(node, trees, numbers)?;
    let mut parts = Parts {
        roots: named.roots.clone(),
        branches: Vec::with_capacity(named.places.len() / 2),
        leaves: Vec::new(),
        votes: Vec::new(),
        targets,
        aggregate,
    };
    let values = reals::<F>(node, "nodes_values")?;
    let [features, yes, no] =
        ["nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids"].map(|name| longs(node, name));
    let modes = find(node, "nodes_modes").map_or(&[][..], |found| &found.strings);
    let tracks = longs(node, "nodes_missing_value_tracks_true");
    let lengths = [values.len(), features.len(), yes.len(), no.len(), modes.len()];
    let is_even = lengths.iter().all(|length| *length == trees.len());
    if !is_even || (!tracks.is_empty() && tracks.len() != trees.len()) {
        return Err(Refusal::broken("the lists of its nodes are not equally long"));
    }
    for (index, mode) in modes.iter().enumerate() {
        let Some(mode) = mode_of(mode)? else { continue };
        let at = |list: &[i64]| list.get(index).copied().unwrap_or(-1);
        let go = |number: i64| named.places.get(&(at(trees), number)).copied();
        let (Some(yes), Some(no), Ok(feature), Some(value)) =
            (go(at(yes)), go(at(no)), u32::try_from(at(features)), values.get(index).copied())
        else {
            return Err(Refusal::broken(
                "a branch of its trees leads to a node or feature that does not exist",
            ));
        };
        let takes_missing = tracks.get(index).is_some_and(|tracks| *tracks == 1);
        parts.branches.push(Branch { value, feature, yes, no, mode, takes_missing });
    }
    push_votes(&mut parts, node, prefix, &named)?;
    Ensemble::new(parts)
}

/// Refuses what [`read_named`] does, and what tract reads otherwise: nodes whose numbers are not their places, and a
/// mode that it takes for a leaf.
pub(super) fn check_named(node: &NodeProto, prefix: &str) -> Reading<()> {
    let labels = longs(node, "classlabels_int64s").len() + words(node, "classlabels_strings").len();
    let targets = usize::try_from(long(node, "n_targets", 1)).unwrap_or(0);
    let targets = if prefix == "class" { labels } else { targets };
    let _trees: Ensemble<f64> = read_named(node, prefix, (targets, Aggregate::Sum))?;
    let (mut tree, mut next) = (0, 0);
    for (own, number) in longs(node, "nodes_treeids").iter().zip(longs(node, "nodes_nodeids")) {
        if *own == tree + 1 && next > 0 {
            (tree, next) = (*own, 0);
        }
        if (*own, *number) != (tree, next) {
            return Err(Refusal::broken(
                "the numbers of its nodes are not their places, which is not known beside its other operators",
            ));
        }
        next += 1;
    }
    let modes = find(node, "nodes_modes").map_or(&[][..], |found| &found.strings);
    if modes.iter().any(|mode| mode == b"BRANCH_GTE") {
        return Err(Refusal::broken(
            "its trees have nodes of the mode `BRANCH_GTE`, which is not known beside its other operators",
        ));
    }
    Ok(())
}

/// Which node lies where.
struct Named {
    places: HashMap<Name, u32>,
    roots: Vec<u32>,
    leaves: usize,
}

impl Named {
    fn of(node: &NodeProto, trees: &[i64], numbers: &[i64]) -> Reading<Self> {
        let modes = find(node, "nodes_modes").map_or(&[][..], |found| &found.strings);
        if trees.len() > PARTS_MAX || numbers.len() != trees.len() || modes.len() != trees.len() {
            return Err(Refusal::broken("the lists of its nodes are not equally long, or too long"));
        }
        let mut named = Self { places: HashMap::with_capacity(trees.len()), roots: Vec::new(), leaves: 0 };
        let (mut before, mut begun) = (None, HashSet::new());
        let mut branches = 0_u32;
        for ((tree, number), mode) in trees.iter().zip(numbers).zip(modes) {
            let place = if mode_of(mode)?.is_some() {
                branches += 1;
                branches - 1
            } else {
                named.leaves += 1;
                LEAF | (named.leaves - 1) as u32
            };
            if named.places.insert((*tree, *number), place).is_some() {
                return Err(Refusal::broken(format_args!(
                    "its node {number} of tree {tree} stands there twice"
                )));
            }
            // The first node of a tree is its root, as onnxruntime has it.
            if before != Some(*tree) {
                if !begun.insert(*tree) {
                    return Err(Refusal::broken(format_args!("the nodes of its tree {tree} stand apart")));
                }
                named.roots.push(place);
                before = Some(*tree);
            }
        }
        Ok(named)
    }
}

/// Puts the votes of each leaf beside each other, in the order in which they are written.
fn push_votes<F: Real>(parts: &mut Parts<F>, node: &NodeProto, prefix: &str, named: &Named) -> Reading<()> {
    let [trees, numbers, ids] =
        ["treeids", "nodeids", "ids"].map(|name| longs(node, &format!("{prefix}_{name}")));
    let weights = reals::<F>(node, &format!("{prefix}_weights"))?;
    if ids.len() > PARTS_MAX || [trees.len(), numbers.len(), weights.len()].iter().any(|n| *n != ids.len()) {
        return Err(Refusal::broken("the lists of its leaves are not equally long, or too long"));
    }
    let mut all: Vec<(u32, Vote<F>)> = Vec::with_capacity(ids.len());
    for (((tree, number), id), weight) in trees.iter().zip(numbers).zip(ids).zip(weights) {
        let place = named.places.get(&(*tree, *number));
        let (Some(place), Ok(target)) = (place, u32::try_from(*id)) else {
            return Err(Refusal::broken(format_args!(
                "a vote names node {number} of tree {tree}, class {id}"
            )));
        };
        // What a branch would vote is never counted.
        if place & LEAF != 0 {
            all.push((place & !LEAF, Vote { target, weight }));
        }
    }
    all.sort_by_key(|(leaf, _)| *leaf);
    let mut votes = all.into_iter().peekable();
    for leaf in 0..named.leaves {
        let start = parts.votes.len();
        while let Some((_, vote)) = votes.next_if(|(own, _)| *own as usize == leaf) {
            parts.votes.push(vote);
        }
        parts.leaves.push((start as u32, parts.votes.len() as u32));
    }
    Ok(())
}

/// How a branch of this name compares; `None` for a leaf.
fn mode_of(name: &[u8]) -> Reading<Option<Mode>> {
    Ok(Some(match name {
        b"LEAF" => return Ok(None),
        b"BRANCH_LEQ" => Mode::AtMost,
        b"BRANCH_LT" => Mode::Below,
        b"BRANCH_GTE" => Mode::AtLeast,
        b"BRANCH_GT" => Mode::Above,
        b"BRANCH_EQ" => Mode::Equal,
        b"BRANCH_NEQ" => Mode::Other,
        other => {
            let shown: String = String::from_utf8_lossy(other).chars().take(40).collect();
            return Err(Refusal::broken(format_args!("its trees have nodes of the mode `{shown}`")));
        }
    }))
}

/// How votes are aggregated, by its name.
pub(super) fn aggregate_of(node: &NodeProto) -> Reading<Aggregate> {
    Ok(match word(node, "aggregate_function", "SUM") {
        b"SUM" => Aggregate::Sum,
        b"AVERAGE" => Aggregate::Average,
        b"MIN" => Aggregate::Min,
        b"MAX" => Aggregate::Max,
        _ => return Err(Refusal::Unknown),
    })
}

/// Reads a `TreeEnsemble`.
pub(super) fn read_placed<F: Real>(node: &NodeProto, targets: usize) -> Reading<Ensemble<F>> {
    let aggregate = match long(node, "aggregate_function", 1) {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        _ => return Err(Refusal::Unknown),
    };
    let [features, yes, yes_leaf, no, no_leaf, tracks, targets_of, starts] = [
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_trueleafs",
        "nodes_falsenodeids",
        "nodes_falseleafs",
        "nodes_missing_value_tracks_true",
        "leaf_targetids",
        "tree_roots",
    ]
    .map(|name| longs(node, name));
    let values = reals_of::<F>(node, "nodes_splits")?;
    let modes = bytes_of(node, "nodes_modes")?;
    let weights = reals_of::<F>(node, "leaf_weights")?;
    let lengths = [yes.len(), yes_leaf.len(), no.len(), no_leaf.len(), values.len(), modes.len()];
    let is_even = lengths.iter().all(|length| *length == features.len())
        && (tracks.is_empty() || tracks.len() == features.len())
        && weights.len() == targets_of.len();
    if !is_even || features.len() > PARTS_MAX || weights.len() > PARTS_MAX {
        return Err(Refusal::broken("the lists of its nodes are not equally long, or too long"));
    }
    let nowhere = || Refusal::broken("a branch of its trees leads to a node or feature that does not exist");
    let place = |number: i64, is_leaf: bool| {
        let place = u32::try_from(number).ok().filter(|place| place & LEAF == 0).ok_or_else(nowhere)?;
        Ok(if is_leaf { place | LEAF } else { place })
    };
    let mut branches = Vec::with_capacity(features.len());
    for (index, feature) in features.iter().enumerate() {
        let at = |list: &[i64]| list.get(index).copied().unwrap_or(-1);
        let value = values.get(index).copied().ok_or_else(nowhere)?;
        branches.push(Branch {
            value,
            feature: u32::try_from(*feature).map_err(|_| nowhere())?,
            yes: place(at(yes), at(yes_leaf) != 0)?,
            no: place(at(no), at(no_leaf) != 0)?,
            mode: mode_numbered(modes.get(index).copied())?,
            takes_missing: tracks.get(index).is_some_and(|tracks| *tracks != 0),
        });
    }
    let vote = |(target, weight): (&i64, F)| Some(Vote { target: u32::try_from(*target).ok()?, weight });
    let votes: Option<Vec<Vote<F>>> = targets_of.iter().zip(weights).map(vote).collect();
    let votes = votes.ok_or_else(|| Refusal::broken("a leaf of its trees votes for a target below 0"))?;
    let roots = starts.iter().map(|root| place(*root, false)).collect::<Reading<_>>()?;
    let leaves = (0..votes.len() as u32).map(|leaf| (leaf, leaf + 1)).collect();
    Ensemble::new(Parts { roots, branches, leaves, votes, targets, aggregate })
}

fn mode_numbered(number: Option<u8>) -> Reading<Mode> {
    Ok(match number {
        Some(0) => Mode::AtMost,
        Some(1) => Mode::Below,
        Some(2) => Mode::AtLeast,
        Some(3) => Mode::Above,
        Some(4) => Mode::Equal,
        Some(5) => Mode::Other,
        // Membership of a set.
        _ => return Err(Refusal::Unknown),
    })
}
