//! The figures of the style guide, printed with every run so that a drift is seen early.

use std::fmt::Write;

use super::source::{Rust, Tree};
use super::{cycles, length};

/// Counts of lines by kind.
#[derive(Default)]
struct Lines {
    code: usize,
    comment: usize,
    doc: usize,
    test_code: usize,
}

/// The figures as lines of text.
pub(super) fn of(tree: &Tree) -> String {
    let product: Vec<&Rust> = tree.rust.iter().filter(|file| !file.is_test_file()).collect();
    let mut lines = Lines::default();
    tree.rust.iter().for_each(|file| count(file, &mut lines));
    let files: Vec<usize> = product.iter().map(|file| file.product_lines()).collect();
    let functions: Vec<usize> =
        product.iter().flat_map(|file| length::functions(file)).map(|function| function.lines).collect();
    let exceptions = occurrences(&product, &[["#[exp", "ect("], ["#![exp", "ect("]]);
    let unwraps = occurrences(&product, &[[".unw", "rap()"], [".exp", "ect(\""]]);
    let tests: usize = tree.rust.iter().map(|file| tests_in(&file.text)).sum();
    let thousands = lines.code.max(1) as f64 / 1000.0;
    let percent = |part: usize| 100.0 * part as f64 / lines.code.max(1) as f64;

    let mut text = String::from("figure                        now    aim\n");
    let mut line = |name: &str, now: String, aim: &str| {
        let _ = writeln!(text, "{name:<22} {now:>11}    {aim}");
    };
    line("product code, kLOC", format!("{thousands:.1}"), "");
    line("file med/p90/max", spread(files), "120/350/500 lines");
    line("function med/p90/max", spread(functions), "10/35/70 lines");
    line("doc lines", format!("{:.0} %", percent(lines.doc)), "of code lines");
    line("comment lines", format!("{:.0} %", percent(lines.comment)), "of code lines");
    line("unwrap+expect", format!("{:.2}", unwraps as f64 / thousands), "0 per kLOC");
    line("lint exceptions", format!("{:.2}", exceptions as f64 / thousands), "0.3 per kLOC");
    line("test : code", format!("{:.2}", lines.test_code as f64 / lines.code.max(1) as f64), "1.2");
    line("tests", tests.to_string(), "");
    line("module cycles", cycles::count(tree).to_string(), "0");
    text
}

fn count(file: &Rust, lines: &mut Lines) {
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim_start();
        let test = file.is_test_line(index + 1);
        match line {
            "" => {}
            _ if line.starts_with("///") || line.starts_with("//!") => lines.doc += usize::from(!test),
            _ if line.starts_with("//") => lines.comment += usize::from(!test),
            _ if test => lines.test_code += 1,
            _ => lines.code += 1,
        }
    }
}

/// How often one of the words stands in product code, outside comments.
/// The words come in two pieces, so that this file does not count itself.
fn occurrences(files: &[&Rust], words: &[[&str; 2]; 2]) -> usize {
    let words = words.map(|pieces| pieces.concat());
    let counted = |file: &&Rust| {
        let lines = file.text.lines().enumerate();
        let code = lines
            .filter(|(index, line)| !file.is_test_line(index + 1) && !line.trim_start().starts_with("//"));
        code.filter(|(_, line)| words.iter().any(|word| line.contains(word.as_str()))).count()
    };
    files.iter().map(counted).sum()
}

fn tests_in(text: &str) -> usize {
    let marks = ["#[test]", "#[tokio::test"];
    text.lines().filter(|line| marks.iter().any(|mark| line.trim_start().starts_with(mark))).count()
}

/// Median, 90th percentile and maximum.
fn spread(mut values: Vec<usize>) -> String {
    values.sort_unstable();
    let at = |share: usize| values.get((values.len().saturating_sub(1)) * share / 100).copied().unwrap_or(0);
    format!("{}/{}/{}", at(50), at(90), at(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_median_p90_and_maximum() {
        assert_eq!(spread((1..=100).rev().collect()), "50/90/100");
        assert_eq!(spread(Vec::new()), "0/0/0");
    }
}
