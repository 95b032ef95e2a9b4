//! The admin API against its own OpenAPI document: schemathesis asks the running listener for what the document
//! does not say, and a client generated from the document does everything that keys need. Both are programs of
//! Python, installed into `target/tools` on first use.

use std::path::PathBuf;

use crate::command::{Outcome, cargo, in_root, show};
use crate::workspace;

/// The version that the test's arguments are written for.
const SCHEMATHESIS: &str = "4.32.5";
/// The version whose generated names the test's script is written for.
const GENERATOR: &str = "0.29.1";

/// Asks the running listener, as each of the two does; tests start it and look what was found.
pub(crate) fn run() -> Outcome {
    let schemathesis = installed("schemathesis", SCHEMATHESIS)?.join("st");
    let mut test = cargo();
    test.args(["test", "-p", "tollgate-control", "--test", "main", "--", "--ignored", "schemathesis"]);
    show(test.env("TOLLGATE_SCHEMATHESIS", schemathesis))?;
    let generator = installed("openapi-python-client", GENERATOR)?.join("openapi-python-client");
    let mut test = cargo();
    test.args(["test", "-p", "tollgate", "--test", "main", "--", "--ignored", "generated_client"]);
    show(test.env("TOLLGATE_CLIENT_GENERATOR", generator))
}

/// The programs of a package, in an environment of its own.
fn installed(package: &str, version: &str) -> Outcome<PathBuf> {
    let home = workspace::tools().join(format!("{package}-{version}"));
    // Written last, so that an installation that was interrupted begins anew.
    let done = home.join("installed");
    if !done.exists() {
        println!("installing {package} {version} into {}", home.display());
        show(in_root("python3").args(["-m", "venv"]).arg(&home))?;
        let wanted = format!("{package}=={version}");
        show(in_root(home.join("bin/python")).args(["-m", "pip", "install", "--quiet", &wanted]))?;
        std::fs::write(done, version)?;
    }
    Ok(home.join("bin"))
}
