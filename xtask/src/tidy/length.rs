//! Files and functions short enough to be read in one go, and not too many parameters.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::source::{Rust, Tree};

/// From here on a file is looked at again.
const FILE_LINES_SOFT: usize = 300;
/// No product file is longer.
const FILE_LINES_MAX: usize = 500;
/// No product function is longer.
const FUNCTION_LINES_MAX: usize = 70;
/// More parameters ask for a struct with names.
const PARAMETERS_MAX: usize = 5;

/// One function outside tests.
pub(super) struct Function {
    pub(super) name: String,
    /// First line of its signature.
    pub(super) line: usize,
    /// From the signature to the closing brace.
    pub(super) lines: usize,
    parameters: usize,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust.iter().filter(|file| !file.is_test_file()) {
        let lines = file.product_lines();
        if lines > FILE_LINES_MAX {
            let what = format!("{lines} lines without tests, at most {FILE_LINES_MAX}");
            findings.push(Finding::fault(&file.path, what, "split it by ideas: one idea a file"));
        } else if lines > FILE_LINES_SOFT {
            let what = format!("{lines} lines without tests, aim below {FILE_LINES_SOFT}");
            findings.push(Finding::note(&file.path, what, "does it hold two ideas?"));
        }
        findings.extend(functions(file).into_iter().flat_map(|function| check_function(file, &function)));
    }
    findings
}

fn check_function(file: &Rust, function: &Function) -> Vec<Finding> {
    let place = format!("{}:{} {}", file.path, function.line, function.name);
    let mut findings = Vec::new();
    if function.lines > FUNCTION_LINES_MAX {
        let what = format!("{} lines, at most {FUNCTION_LINES_MAX}", function.lines);
        let remedy = "keep the decisions here and move straight-line work into functions below";
        findings.push(Finding::fault(&place, what, remedy));
    }
    if function.parameters > PARAMETERS_MAX {
        let what = format!("{} parameters, aim for {PARAMETERS_MAX}", function.parameters);
        findings.push(Finding::note(&place, what, "name them in a struct"));
    }
    findings
}

/// The functions of a file that are not for tests.
pub(super) fn functions(file: &Rust) -> Vec<Function> {
    let mut collector = Collector { functions: Vec::new() };
    collector.visit_file(&file.syntax);
    collector.functions.retain(|function| !file.is_test_line(function.line));
    collector.functions
}

struct Collector {
    functions: Vec<Function>,
}

impl Collector {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.span().start().line;
        let receiver = |argument: &&syn::FnArg| matches!(argument, syn::FnArg::Receiver(_));
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: block.span().end().line + 1 - line,
            parameters: signature.inputs.iter().filter(|argument| !receiver(argument)).count(),
        });
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: String) -> Rust {
        Rust::parse("crates/core/src/one.rs".to_owned(), text).unwrap()
    }

    #[test]
    fn a_function_of_seventy_lines_passes_and_one_more_does_not() {
        let text = |lines: usize| format!("/// Words.\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        let found = |lines: usize| {
            let file = file(text(lines));
            functions(&file).iter().flat_map(|function| check_function(&file, function)).count()
        };
        assert_eq!((found(70), found(71)), (0, 1));
    }

    #[test]
    fn methods_count_without_their_receiver_and_tests_do_not_count() {
        let text = "impl A { fn f(&self, a: u8, b: u8) {} }\n#[cfg(test)]\nmod tests { fn g() {} }\n";
        let file = file(text.to_owned());
        let found: Vec<(String, usize)> =
            functions(&file).into_iter().map(|function| (function.name, function.parameters)).collect();
        assert_eq!(found, [("f".to_owned(), 2)]);
    }
}
