//! Paths and links in the documentation lead somewhere. A page that names what is gone is worse than none.

use std::path::Path;

use super::Finding;
use super::source::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (page, text) in tree.other.iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        for (number, line) in outside_code_blocks(text) {
            for path in code_spans(line).into_iter().filter(|span| looks_like_path(&tree.root, span)) {
                if !exists(&tree.root, path) {
                    findings.push(dead(page, number, path));
                }
            }
            for target in links(line) {
                if !tree.root.join(folder).join(target).exists() {
                    findings.push(dead(page, number, target));
                }
            }
        }
    }
    findings
}

fn dead(page: &str, line: usize, path: &str) -> Finding {
    let remedy = "name what is there now";
    Finding::fault(format!("{page}:{line}"), format!("`{path}` does not exist"), remedy)
}

fn outside_code_blocks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            return None;
        }
        (!inside).then_some((index + 1, line))
    })
}

/// The texts between single backticks.
fn code_spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// The targets of relative links, without their anchors.
fn links(line: &str) -> Vec<&str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter_map(|target| target.split('#').next()).filter(|target| !target.is_empty());
    files.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// A slash inside, only characters of file names, and a first part that is a folder of ours: `crates/core/src`.
/// Request paths start with a slash, types have colons, patterns have stars.
fn looks_like_path(root: &Path, text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/".contains(letter);
    let first = text.split('/').next().unwrap_or_default();
    let known = !first.is_empty() && (root.join(first).is_dir() || root.join("crates").join(first).is_dir());
    text.contains('/') && text.chars().all(plain) && known
}

/// Paths may start at the root of the checkout or, as in the table of rooms, below `crates`.
fn exists(root: &Path, path: &str) -> bool {
    root.join(path).exists() || root.join("crates").join(path).exists()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("crates/core/src")).unwrap();
        std::fs::write(root.path().join("crates/core/src/lib.rs"), "").unwrap();
        let root: PathBuf = root.path().to_owned();
        let tree = Tree {
            root,
            rust: Vec::new(),
            other: vec![("README.md".to_owned(), text.to_owned())],
            large: Vec::new(),
        };
        check(&tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn dead_paths_and_links_are_found() {
        assert_eq!(found("see `crates/core/src/gone.rs`"), ["`crates/core/src/gone.rs` does not exist"]);
        assert_eq!(found("see [this](docs/gone.md#part)"), ["`docs/gone.md` does not exist"]);
    }

    #[test]
    fn what_exists_or_is_no_path_passes() {
        let text = "`crates/core/src/lib.rs` `core/src` `/v1/me` `GET /tiles/**` [x](https://example.com/a) [y](#z)\n\
                    ```\n`crates/core/gone`\n```\n";
        assert_eq!(found(text), Vec::<String>::new());
    }
}
