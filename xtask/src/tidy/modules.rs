//! The modules of one crate and which names each of them mentions, from the syntax of its files.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

use super::source::{Rust, Tree, for_tests_only};

/// A module's path inside its crate; empty for the crate itself.
pub(super) type Path = Vec<String>;

/// The modules of one crate.
#[derive(Default)]
pub(super) struct Modules {
    /// Per module: the paths it mentions, resolved to start at the crate.
    pub(super) mentions: BTreeMap<Path, BTreeSet<Path>>,
    /// Per module: names it brings in or re-exports, and where they come from.
    names: BTreeMap<Path, BTreeMap<String, Path>>,
}

impl Modules {
    /// Reads the library or binary of one crate given by its folder, e.g. `crates/core`.
    pub(super) fn of(tree: &Tree, folder: &str) -> Self {
        let source = format!("{folder}/src/");
        let mut modules = Self::default();
        for file in tree.rust.iter().filter(|file| file.path.starts_with(&source)) {
            if let Some(path) = path_of(file.path.trim_start_matches(&source)) {
                modules.add(path, file);
            }
        }
        modules
    }

    fn add(&mut self, path: Path, file: &Rust) {
        self.mentions.entry(path.clone()).or_default();
        for item in file.syntax.items.iter().filter(|item| !for_tests_only(item)) {
            if let syn::Item::Use(item) = item {
                let mut prefix = Vec::new();
                self.add_use(&path, &item.tree, &mut prefix);
            } else {
                self.add_tokens(&path, item.to_token_stream());
            }
        }
    }

    fn add_use(&mut self, module: &Path, tree: &syn::UseTree, prefix: &mut Path) {
        match tree {
            syn::UseTree::Path(inner) => {
                prefix.push(inner.ident.to_string());
                self.add_use(module, &inner.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|inner| self.add_use(module, inner, prefix));
            }
            syn::UseTree::Name(name) => self.add_name(module, prefix, &name.ident.to_string(), None),
            syn::UseTree::Rename(name) => {
                self.add_name(module, prefix, &name.ident.to_string(), Some(name.rename.to_string()));
            }
            syn::UseTree::Glob(_) => self.add_mention(module, prefix.clone()),
        }
    }

    fn add_name(&mut self, module: &Path, prefix: &[String], name: &str, rename: Option<String>) {
        let mut full = prefix.to_vec();
        if name != "self" {
            full.push(name.to_owned());
        }
        let known = rename.or_else(|| full.last().cloned()).unwrap_or_default();
        if let Some(target) = self.absolute(module, &full) {
            self.names.entry(module.clone()).or_default().insert(known, target);
        }
        self.add_mention(module, full);
    }

    /// Paths written out in code, also inside macro calls, which the syntax tree does not open.
    fn add_tokens(&mut self, module: &Path, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.add_tokens(module, group.stream()),
                TokenTree::Ident(word) if *word == "crate" || *word == "super" => {
                    let path = path_at(&tokens, index);
                    self.add_mention(module, path);
                }
                _ => {}
            }
        }
    }

    fn add_mention(&mut self, module: &Path, path: Path) {
        if let Some(target) = self.absolute(module, &path) {
            self.mentions.entry(module.clone()).or_default().insert(target);
        }
    }

    /// `crate::…`, `super::…`, `self::…` as a path from the crate; nothing for paths into other crates. A path that
    /// starts with a plain name is taken as one of the module's own children, as `pub use child::Name` is.
    fn absolute(&self, module: &Path, path: &[String]) -> Option<Path> {
        let mut base = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "super" | "self" => module.clone(),
            _ => return Some([module.as_slice(), path].concat()),
        };
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => {
                    base.pop()?;
                }
                _ => break,
            }
            rest = after;
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module that a mentioned path leads to, through re-exports.
    pub(super) fn target(&self, path: &[String]) -> Path {
        let mut path = path.to_vec();
        // A chain of re-exports is short; the bound only guards against names that refer to each other.
        for _ in 0..8 {
            let module = self.longest_module(&path);
            let Some(name) = path.get(module.len()) else { return module };
            match self.names.get(&module).and_then(|names| names.get(name)) {
                Some(next) if *next != path => path.clone_from(next),
                _ => return module,
            }
        }
        self.longest_module(&path)
    }

    fn longest_module(&self, path: &[String]) -> Path {
        let known = |length: &usize| self.mentions.contains_key(&path[..*length]);
        let length = (0..=path.len()).rev().find(known).unwrap_or(0);
        path[..length].to_vec()
    }
}

/// The module path of a file relative to `src`; nothing for what is not part of the library or binary.
fn path_of(file: &str) -> Option<Path> {
    let name = file.strip_suffix(".rs")?;
    let mut path: Path = name.split('/').map(str::to_owned).collect();
    match path.last()?.as_str() {
        "lib" | "main" if path.len() == 1 => path.clear(),
        "mod" => {
            path.pop();
        }
        "tests" => return None,
        _ => {}
    }
    Some(path)
}

/// The path that starts at a token: names joined by `::`.
fn path_at(tokens: &[TokenTree], start: usize) -> Path {
    let mut path = Vec::new();
    let mut index = start;
    while let Some(TokenTree::Ident(word)) = tokens.get(index) {
        path.push(word.to_string());
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(one)) if one.as_char() == ':');
        if !(colon(index + 1) && colon(index + 2)) {
            break;
        }
        index += 3;
    }
    path
}
