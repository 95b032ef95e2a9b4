//! Renders `docs/generated/configuration.md` from the declarations.

use std::fmt::Write as _;

use super::settings::SETTINGS;

const HEAD: &str = "\
# Configuration

Generated from the declarations of the settings; do not edit. `UPDATE_DOCS=1 cargo test -p tollgate` rewrites it.

Settings come from `tollgate.toml` (or `--config FILE`), are overridden by environment variables, and these by
`--set section.name=value`. Unknown settings are errors. Everything that is wrong is reported at once, with file,
line and column. In the environment, lists are written with commas: `10.0.0.0/8,192.168.1.7`.

Lengths of time are a whole number and a unit: `250ms`, `2s`, `5m`, `12h`, `90d`, `4w`. Bytes are a whole number, or
one with a unit in quotes: `65536`, `\"64KiB\"`, `\"2GiB\"`.
";

/// The page.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for setting in SETTINGS {
        let own = setting.path.split('.').next().unwrap_or("");
        if own != section {
            section = own;
            // Writing to a String cannot fail.
            let _infallible = write!(page, "\n## `[{section}]`\n");
        }
        let default =
            if setting.default.is_empty() { "not set".to_owned() } else { format!("`{}`", setting.default) };
        let _infallible = write!(
            page,
            "\n### `{}`\n\n{}\n\n- value: {}\n- default: {default}\n- environment: `{}`\n",
            setting.path,
            setting.doc,
            setting.shape,
            setting.environment_name()
        );
    }
    page
}
