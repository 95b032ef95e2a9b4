//! Sign-in at a real OpenID provider: npm's `oidc-provider`, installed into `target/tools` on first use.

use std::path::PathBuf;

use crate::command::{Outcome, ignored_tests, show};
use crate::{needs, npm};

/// The version whose login pages the test goes through.
const VERSION: &str = "9.13.3";

/// What tests call the folder of the package.
pub(crate) const FOLDER: &str = "TOLLGATE_OIDC_PROVIDER";

/// Runs the test that starts the provider.
pub(crate) fn run() -> Outcome {
    let home = install()?;
    show(ignored_tests("main", "real_openid_provider").env(FOLDER, home))
}

/// Installs the provider where it is missing; the folder where it is.
pub(crate) fn install() -> Outcome<PathBuf> {
    needs::provide(needs::OPENID)?;
    npm::folder("oidc-provider", VERSION)
}
