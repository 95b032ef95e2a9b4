//! Benches inside one process: the examples of the crates themselves, which print their own figures.

use crate::command::{Outcome, cargo, show};

/// Digest, look-up and decision at the given number of keys.
pub(super) fn core(keys: usize) -> Outcome {
    let mut command = cargo();
    command.args(["run", "--release", "-q", "-p", "tollgate-core", "--example", "admit", "--"]);
    show(command.args(["--keys", &keys.to_string()]))
}

/// Append of a usage record.
pub(super) fn journal() -> Outcome {
    show(cargo().args(["run", "--release", "-q", "-p", "tollgate-journal", "--example", "append"]))
}
