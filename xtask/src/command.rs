//! Running other programs: with their output shown, or with their output taken.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What every task returns: nothing, or a sentence for the person at the terminal.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A command in the root of the workspace.
pub(crate) fn in_root(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(crate::workspace::root());
    command
}

/// A cargo command in the root of the workspace. The flags that cargo set for this tool's own build are not
/// passed on.
pub(crate) fn cargo() -> Command {
    in_root(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The tests whose names hold `name` and that need what only this tool provides, in the test binaries called
/// `target` of all packages. With `--package`, cargo would choose other features for what the packages share and
/// build most of it again.
pub(crate) fn ignored_tests(target: &str, name: &str) -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--test", target, "--", "--ignored", name]);
    command
}

/// Runs with output shown as it comes; an error when the command fails.
pub(crate) fn show(command: &mut Command) -> Outcome {
    println!("$ {}", line(command));
    let status = command.status().map_err(|error| format!("cannot start `{}`: {error}", line(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", line(command)).into()) }
}

/// Runs with output taken; standard output is returned, standard error is part of the error.
pub(crate) fn take(command: &mut Command) -> Outcome<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", line(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`{}` failed ({}): {words}", line(command), output.status).into())
}

/// Finds a program in `PATH` and in the folders of administrators' programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(administrators)
        .map(|folder| folder.join(program))
        .find(|candidate| is_file(candidate))
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    command.get_args().fold(command.get_program().to_string_lossy().into_owned(), |line, argument| {
        format!("{line} {}", argument.to_string_lossy())
    })
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}
