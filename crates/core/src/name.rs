//! The names of resources.

/// Checks the name of a resource.
///
/// # Errors
/// When it is empty, longer than 64, or has other characters than letters, digits, `-`, `_`, `.`,
/// or does not begin with a letter or digit.
pub fn check_name(name: &str) -> Result<(), String> {
    let good = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if good {
        Ok(())
    } else {
        let shown: String = name.chars().take(64).collect();
        Err(format!(
            "`{shown}` is not a name; use 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit"
        ))
    }
}
