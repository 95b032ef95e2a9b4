//! Programs and packages of Python, each set in an environment of its own under `target/tools`.

use std::path::PathBuf;

use crate::command::{Outcome, in_root, show};
use crate::workspace;

/// The folder with the programs of an environment that has these packages (`name==version`); made on first use.
/// `name` and the packages name it, so that other versions get another one.
pub(crate) fn environment(name: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let versions: Vec<&str> =
        packages.iter().map(|package| package.rsplit("==").next().unwrap_or(package)).collect();
    let home = std::path::absolute(workspace::tools().join(format!("{name}-{}", versions.join("-"))))?;
    // Written last, so that an installation that was interrupted begins anew.
    let done = home.join("installed");
    if !done.exists() {
        println!("installing {} into {}", packages.join(", "), home.display());
        show(in_root("python3").args(["-m", "venv"]).arg(&home))?;
        show(in_root(home.join("bin/python")).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
        std::fs::write(done, packages.join("\n"))?;
    }
    Ok(home.join("bin"))
}
