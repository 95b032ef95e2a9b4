//! Packages of npm, each set in a folder of its own under `target/tools`.

use std::path::PathBuf;

use crate::command::{Outcome, in_root, show};
use crate::workspace;

/// The folder with the `node_modules` of a package in one version; made on first use. No script of a package runs.
pub(crate) fn folder(package: &str, version: &str) -> Outcome<PathBuf> {
    let name = package.rsplit('/').next().unwrap_or(package);
    let home = std::path::absolute(workspace::tools().join(format!("{name}-{version}")))?;
    // Written last, so that an installation that was interrupted begins anew.
    let done = home.join("installed");
    if !done.exists() {
        println!("installing {package} {version} into {}", home.display());
        std::fs::create_dir_all(&home)?;
        std::fs::write(home.join("package.json"), "{ \"private\": true }\n")?;
        let mut npm = in_root("npm");
        npm.arg("--prefix").arg(&home);
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
        show(npm.arg(format!("{package}@{version}")))?;
        std::fs::write(done, version)?;
    }
    Ok(home)
}
