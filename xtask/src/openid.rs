//! Sign-in at a real OpenID provider: npm's `oidc-provider`, installed into `target/tools` on first use.

use std::path::PathBuf;

use crate::command::{Outcome, cargo, in_root, show};
use crate::{needs, workspace};

/// The version whose login pages the test goes through.
const VERSION: &str = "9.13.3";

/// What tests call the folder of the package.
pub(crate) const FOLDER: &str = "TOLLGATE_OIDC_PROVIDER";

/// Runs the test that starts the provider.
pub(crate) fn run() -> Outcome {
    let home = install()?;
    let mut test = cargo();
    test.args(["test", "-p", "tollgate", "--test", "main", "--", "--ignored", "real_openid_provider"]);
    show(test.env(FOLDER, home))
}

/// Installs the provider where it is missing; the folder where it is.
pub(crate) fn install() -> Outcome<PathBuf> {
    needs::provide(needs::OPENID)?;
    let home = std::path::absolute(workspace::tools().join(format!("oidc-provider-{VERSION}")))?;
    // Written last, so that an installation that was interrupted begins anew.
    let done = home.join("installed");
    if !done.exists() {
        println!("installing oidc-provider {VERSION} into {}", home.display());
        std::fs::create_dir_all(&home)?;
        std::fs::write(home.join("package.json"), "{ \"private\": true }\n")?;
        let mut npm = in_root("npm");
        npm.arg("--prefix").arg(&home).args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
        ]);
        show(npm.arg(format!("oidc-provider@{VERSION}")))?;
        std::fs::write(done, VERSION)?;
    }
    Ok(home)
}
