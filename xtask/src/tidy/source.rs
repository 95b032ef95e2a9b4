//! The files of the checkout, read once: Rust sources parsed, everything else as text.

use std::path::{Path, PathBuf};

use syn::spanned::Spanned;

use super::relative;
use crate::command::Outcome;

/// Files above this do not belong into the history of a repository.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Folders that hold no source of ours.
const SKIPPED: [&str; 5] = ["target", ".git", "artifacts", "corpus", "tollgate-data"];

/// All files of the checkout that are text.
pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) rust: Vec<Rust>,
    /// Everything else that is UTF-8: relative path and text.
    pub(super) other: Vec<(String, String)>,
    /// Files that are too large for a repository of text: relative path and bytes.
    pub(super) large: Vec<(String, u64)>,
}

/// One Rust source file.
pub(super) struct Rust {
    /// Relative to the root, e.g. `crates/core/src/key.rs`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) syntax: syn::File,
    /// Lines (1-based, inclusive) of items that are compiled for tests only.
    test_lines: Vec<(usize, usize)>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Outcome<Self> {
        let mut tree = Self { root: root.to_owned(), rust: Vec::new(), other: Vec::new(), large: Vec::new() };
        tree.walk(root)?;
        tree.rust.sort_by(|one, two| one.path.cmp(&two.path));
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path) -> Outcome {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                self.walk(&path)?;
                continue;
            }
            let bytes = path.metadata()?.len();
            if bytes > FILE_BYTES_MAX {
                self.large.push((relative(&self.root, &path), bytes));
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let path = relative(&self.root, &path);
                if Path::new(&path).extension().is_some_and(|end| end == "rs") {
                    self.rust.push(Rust::parse(path, text)?);
                } else {
                    self.other.push((path, text));
                }
            }
        }
        Ok(())
    }
}

impl Rust {
    pub(super) fn parse(path: String, text: String) -> Outcome<Self> {
        let syntax = syn::parse_file(&text).map_err(|error| format!("{path} is not Rust: {error}"))?;
        let test_lines = syntax.items.iter().filter(|item| for_tests_only(item)).map(lines_of).collect();
        Ok(Self { path, text, syntax, test_lines })
    }

    /// The name of the room: the folder under `crates`, or `xtask`, or `fuzz`.
    pub(super) fn room(&self) -> &str {
        let mut parts = self.path.split('/');
        match parts.next() {
            Some("crates") => parts.next().unwrap_or_default(),
            first => first.unwrap_or_default(),
        }
    }

    /// Whether the whole file is compiled for tests, benches, examples or fuzzing only.
    pub(super) fn is_test_file(&self) -> bool {
        let folders = ["/tests/", "/benches/", "/examples/"];
        let room = self.room();
        room == "testkit"
            || room == "fuzz"
            || self.path.ends_with("/tests.rs")
            || folders.iter().any(|folder| self.path.contains(folder))
    }

    /// Whether a line (1-based) belongs to tests.
    pub(super) fn is_test_line(&self, line: usize) -> bool {
        self.is_test_file() || self.test_lines.iter().any(|(first, last)| (*first..=*last).contains(&line))
    }

    /// How many lines of the file are not for tests.
    pub(super) fn product_lines(&self) -> usize {
        (1..=self.text.lines().count()).filter(|line| !self.is_test_line(*line)).count()
    }
}

/// Whether an item carries `#[cfg(test)]` or `#[cfg(all(test, …))]`.
pub(super) fn for_tests_only(item: &syn::Item) -> bool {
    attributes(item).iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let tokens = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (tokens == "test" || tokens.starts_with("all (test") || tokens.starts_with("all(test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn lines_of(item: &syn::Item) -> (usize, usize) {
    let span = item.span();
    (span.start().line, span.end().line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_are_told_from_the_others() {
        let text = "//! A file.\nfn one() {}\n#[cfg(test)]\nmod tests {\n    fn two() {}\n}\n";
        let file = Rust::parse("crates/core/src/one.rs".to_owned(), text.to_owned()).unwrap();
        assert_eq!((file.room(), file.product_lines()), ("core", 2));
        assert!(file.is_test_line(5) && !file.is_test_line(2));
    }
}
