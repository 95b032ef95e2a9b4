//! axe-core in a page: what stands in the way of people who do not see, point or hear as others do.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

use super::tab::{Screen, Tab};

/// Asks for everything of WCAG 2.2 AA and returns one line for each serious or critical problem and element. The page
/// is looked at from its top: further down its bar covers whatever happens to pass under it.
const RUN: &str = r#"
async () => {
  const [x, y] = [scrollX, scrollY];
  scrollTo({ left: 0, top: 0, behavior: "instant" });
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const result = await axe.run(document, {
    runOnly: { type: "tag", values: tags }, resultTypes: ["violations"],
    rules: { "target-size": { enabled: true } },
  });
  scrollTo({ left: x, top: y, behavior: "instant" });
  return result.violations
    .filter(found => found.impact === "serious" || found.impact === "critical")
    .flatMap(found => found.nodes.map(node => `${found.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}
"#;

/// What kind of page it is: numbers and ids of things are left away, what it says beside itself is not.
const KIND: &str = r#"
() => [
  location.pathname.replace(/[a-z]{3}_[0-9A-Za-z]{11}/g, "ID"), document.title.replace(/[0-9]+/g, ""),
  ...[...document.querySelectorAll("h1, h2, dialog[open], [role=alert], .error, .note")]
    .map(own => own.id || own.className || own.localName),
].join(" ")
"#;

impl Tab {
    /// Looks whether anything stands in people's way on the page as it stands: what axe-core finds, and whether it
    /// is wider than the window. Each kind of page is looked at once at each size and theme; what is found fails
    /// the test when it is done with the tab.
    pub fn examine(&mut self) {
        static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let at = self.text_of("() => location.href");
        if !self.screen.has_script || !at.starts_with(&self.home) {
            return;
        }
        let kind = self.text_of(KIND);
        let kind = format!("{} {} {kind}", self.screen.width, self.screen.is_dark);
        if !SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(kind) {
            return;
        }
        let found = self.accessibility_problems();
        let overflow = self.overflow();
        let Screen { width, is_dark, .. } = self.screen;
        let place = format!("{at} ({width} px{})", if is_dark { ", dark" } else { "" });
        self.watch.problems.extend(found.iter().map(|line| format!("{place}: {line}")));
        if overflow > 0 {
            self.watch.problems.push(format!("{place}: {overflow} px wider than the window"));
        }
    }

    /// Serious and critical problems of the page as it stands, one line each.
    ///
    /// # Panics
    /// When axe-core is not where `TOLLGATE_AXE` says, or fails.
    pub fn accessibility_problems(&mut self) -> Vec<String> {
        static SOURCE: OnceLock<String> = OnceLock::new();
        let source = SOURCE.get_or_init(|| {
            let path: PathBuf = std::env::var_os("TOLLGATE_AXE")
                .expect("TOLLGATE_AXE names axe.min.js; `cargo xtask test --only browser` sets it")
                .into();
            std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("cannot read axe-core at {}: {error}", path.display()))
        });
        // The page may have been left with it in earlier checks of the same document.
        let has_it = self.ask("() => typeof window.axe", &[]).unwrap_or_default() == "object";
        if !has_it {
            self.evaluate(source, false).unwrap_or_else(|error| panic!("axe-core does not load: {error}"));
        }
        let found = self.evaluate(&format!("({RUN})()"), true);
        let found = found.unwrap_or_else(|error| panic!("axe-core failed: {error}"));
        let lines = found.as_array().unwrap_or_else(|| panic!("axe-core said {found}"));
        lines.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}
