//! Where the project is on this machine.

use std::path::{Path, PathBuf};

/// The root of the checkout that this tool was built from.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The folder of build results, as cargo would choose it.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where tools installed on demand go; removed by `cargo clean` like every other build result.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}
