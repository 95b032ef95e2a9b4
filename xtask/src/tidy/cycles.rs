//! No two modules of a crate need each other: modules can then be read, tested and moved one at a time.
//!
//! Checked among the modules of one parent, at every level. A module and its own children may use each other, for
//! they are one room with inner walls. Cycles among top-level modules are faults, deeper ones are notes.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::{Modules, Path};
use super::source::Tree;
use super::{Finding, Weight};

/// For each module: the modules it mentions, each with one such mention.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in crates(tree) {
        for (parent, graph) in graphs(&Modules::of(tree, &folder)) {
            for knot in knots(&graph) {
                findings.push(finding(&folder, &parent, &knot, &graph));
            }
        }
    }
    findings
}

/// How many knots of modules there are, and the folders of all crates, for the figures.
pub(super) fn count(tree: &Tree) -> usize {
    check(tree).iter().filter(|finding| finding.weight == Weight::Fault).count()
}

fn finding(folder: &str, parent: &[String], knot: &[String], graph: &Graph) -> Finding {
    let place = if parent.is_empty() { folder.to_owned() } else { format!("{folder} {}", parent.join("::")) };
    let mention = |pair: &[String]| graph.get(pair.first()?)?.get(pair.get(1)?).map(String::as_str);
    let mentions: Vec<&str> = knot.windows(2).filter_map(mention).collect();
    Finding {
        weight: if parent.is_empty() { Weight::Fault } else { Weight::Note },
        place,
        what: format!("modules need each other: {} ({})", knot.join(" → "), mentions.join(", ")),
        remedy: "move what both need into a module below them",
    }
}

fn crates(tree: &Tree) -> BTreeSet<String> {
    let folder = |path: &str| path.split_once("/src/").map(|(folder, _)| folder.to_owned());
    tree.rust.iter().filter_map(|file| folder(&file.path)).collect()
}

/// For each module with children: which child mentions which.
fn graphs(modules: &Modules) -> BTreeMap<Path, Graph> {
    let mut graphs: BTreeMap<Path, Graph> = BTreeMap::new();
    for (from, mentions) in &modules.mentions {
        for mention in mentions {
            let to = modules.target(mention);
            let common = from.iter().zip(&to).take_while(|(one, two)| one == two).count();
            if let (Some(one), Some(two)) = (from.get(common), to.get(common)) {
                let graph = graphs.entry(from[..common].to_vec()).or_default();
                let words = format!("{} names {}", from.join("::"), mention.join("::"));
                graph.entry(one.clone()).or_default().entry(two.clone()).or_insert(words);
            }
        }
    }
    graphs
}

/// One cycle for each group of nodes that reach each other, written as a round trip.
fn knots(graph: &Graph) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for node in graph.keys() {
        if seen.contains(node) {
            continue;
        }
        if let Some(cycle) = shortest_cycle(graph, node) {
            seen.extend(cycle.iter().cloned());
            found.push(cycle);
        }
    }
    found
}

fn shortest_cycle(graph: &Graph, start: &String) -> Option<Vec<String>> {
    let mut queue = vec![vec![start.clone()]];
    let mut visited = BTreeSet::new();
    let mut next = 0;
    while let Some(trail) = queue.get(next).cloned() {
        next += 1;
        let last = trail.last()?;
        for neighbour in graph.get(last).into_iter().flat_map(BTreeMap::keys) {
            let longer = [trail.as_slice(), std::slice::from_ref(neighbour)].concat();
            if neighbour == start {
                return Some(longer);
            }
            if visited.insert(neighbour.clone()) {
                queue.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::source::Rust;
    use super::*;

    fn whats(files: &[(&str, &str)]) -> Vec<String> {
        let rust = files
            .iter()
            .map(|(path, text)| Rust::parse(format!("crates/a/src/{path}"), (*text).to_owned()).unwrap())
            .collect();
        let tree = Tree { root: PathBuf::new(), rust, other: Vec::new(), large: Vec::new() };
        check(&tree).iter().map(|finding| finding.what.clone()).collect()
    }

    #[test]
    fn two_modules_that_use_each_other_are_found() {
        let files =
            [("lib.rs", ""), ("one.rs", "use crate::two::B;"), ("two.rs", "fn f() { crate::one::a() }")];
        assert_eq!(
            whats(&files),
            ["modules need each other: one → two → one (one names two::B, two names one::a)"]
        );
    }

    #[test]
    fn a_re_export_does_not_hide_a_cycle() {
        let files = [
            ("lib.rs", "pub use two::B;"),
            ("one.rs", "pub struct A; use crate::B;"),
            ("two.rs", "use super::one::A; pub struct B;"),
        ];
        assert!(whats(&files).concat().starts_with("modules need each other: one → two → one"));
    }

    #[test]
    fn paths_inside_macro_calls_count() {
        let files = [
            ("one.rs", "fn f() { assert!(crate::two::b()) }"),
            ("two.rs", "use crate::one::f;"),
            ("lib.rs", ""),
        ];
        assert_eq!(whats(&files).len(), 1);
    }

    #[test]
    fn children_and_tests_do_not_count() {
        let files = [
            ("lib.rs", ""),
            ("one/mod.rs", "mod inner; use inner::X;"),
            ("one/inner.rs", "use super::Y; pub struct X;"),
            ("two.rs", "use crate::one::Y; #[cfg(test)] mod tests { use crate::three::Z; }"),
            ("three.rs", "use crate::two::W;"),
        ];
        assert_eq!(whats(&files), Vec::<String>::new());
    }

    #[test]
    fn siblings_below_the_top_are_noted() {
        let files = [
            ("lib.rs", ""),
            ("top/mod.rs", ""),
            ("top/one.rs", "use super::two::B;"),
            ("top/two.rs", "use crate::top::one::A;"),
        ];
        assert!(whats(&files).concat().starts_with("modules need each other: one → two → one"));
    }
}
