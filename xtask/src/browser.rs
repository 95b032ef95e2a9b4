//! The console in a real Chromium. axe-core, which looks for what stands in people's way, and the OpenID provider
//! whose pages people sign in at are packages of npm, installed into `target/tools` on first use.

use crate::command::{Outcome, ignored_tests, in_root, show};
use crate::{needs, openid, workspace};

/// The version whose rules the console meets.
const AXE: &str = "4.14.1";

/// Runs the tests that need a browser. With `UPDATE_DOCS=1` they make the pictures of the documentation.
pub(crate) fn run() -> Outcome {
    needs::provide(&[needs::BROWSER, needs::TESTS].concat())?;
    let provider = openid::install()?;
    let home = std::path::absolute(workspace::tools().join(format!("axe-core-{AXE}")))?;
    let axe = home.join("node_modules/axe-core/axe.min.js");
    if !axe.exists() {
        println!("installing axe-core {AXE} into {}", home.display());
        std::fs::create_dir_all(&home)?;
        let wanted = format!("axe-core@{AXE}");
        let quiet = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"];
        show(in_root("npm").args(quiet).arg("--prefix").arg(&home).arg(&wanted))?;
    }
    show(ignored_tests("browser", "").env("TOLLGATE_AXE", axe).env(openid::FOLDER, provider))
}
