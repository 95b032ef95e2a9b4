//! The admin API against its own OpenAPI document: schemathesis asks the running listener for what the document
//! does not say, and a client generated from the document does everything that keys need. Both are programs of
//! Python, installed into `target/tools` on first use.

use crate::command::{Outcome, ignored_tests, show};
use crate::python;

/// The version that the test's arguments are written for.
const SCHEMATHESIS: &str = "4.32.5";
/// The version whose generated names the test's script is written for.
const GENERATOR: &str = "0.29.1";

/// Asks the running listener, as each of the two does; tests start it and look what was found.
pub(crate) fn run() -> Outcome {
    let schemathesis =
        python::environment("schemathesis", &[&format!("schemathesis=={SCHEMATHESIS}")])?.join("st");
    show(ignored_tests("main", "schemathesis").env("TOLLGATE_SCHEMATHESIS", schemathesis))?;
    let generator =
        python::environment("openapi-python-client", &[&format!("openapi-python-client=={GENERATOR}")])?
            .join("openapi-python-client");
    show(ignored_tests("main", "generated_client").env("TOLLGATE_CLIENT_GENERATOR", generator))
}
