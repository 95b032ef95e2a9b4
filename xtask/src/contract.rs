//! The admin API against its own OpenAPI document, by schemathesis. It is a program of Python, installed into
//! `target/tools` on first use.

use crate::command::{Outcome, cargo, in_root, show};
use crate::workspace;

/// The version that the test's arguments are written for.
const VERSION: &str = "4.32.5";

/// Asks the running listener; a test starts it and looks what was found.
pub(crate) fn run() -> Outcome {
    let home = workspace::tools().join(format!("schemathesis-{VERSION}"));
    let program = home.join("bin/st");
    if !program.exists() {
        println!("installing schemathesis {VERSION} into {}", home.display());
        show(in_root("python3").args(["-m", "venv"]).arg(&home))?;
        let wanted = format!("schemathesis=={VERSION}");
        show(in_root(home.join("bin/python")).args(["-m", "pip", "install", "--quiet", &wanted]))?;
    }
    let mut test = cargo();
    test.args(["test", "-p", "tollgate-control", "--test", "main", "--", "--ignored", "schemathesis"]);
    show(test.env("TOLLGATE_SCHEMATHESIS", program))
}
