//! The official SDKs of the model providers through the gateway, and the official library of Standard Webhooks. They
//! are Python's, installed into `target/tools` on first use.

use crate::command::{Outcome, ignored_tests, show};
use crate::python;

/// The versions whose behaviour the test's script is written for.
const PACKAGES: &[&str] =
    &["openai==3.54.0", "anthropic==2.12.0", "google-genai==3.4.0", "standardwebhooks==1.1.0"];

/// Runs the test that starts them.
pub(crate) fn run() -> Outcome {
    let programs = python::environment("model-sdks", PACKAGES)?;
    show(ignored_tests("main", "official_sdks").env("TOLLGATE_SDK_PYTHON", programs.join("python")))
}
