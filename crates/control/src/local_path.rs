//! Paths that somebody is led on to, after signing in or after a form: of this listener, or none.

/// The longest path that is led to, bytes.
const PATH_BYTES_MAX: usize = 2000;

/// A path of this listener, or the overview for everything that leads elsewhere.
pub(crate) fn local(path: &str) -> String {
    let good = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.chars().all(|sign| !sign.is_control() && sign.is_ascii())
        && path.len() <= PATH_BYTES_MAX;
    if good { path.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn nobody_is_led_elsewhere() {
        for path in
            ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "", "/a\r\nb"]
        {
            assert_eq!(local(path), "/", "{path}");
        }
        assert_eq!(local("/keys?project=maps"), "/keys?project=maps");
    }
}
