//! Any text as a path. What is accepted has one spelling: encoded again and normalised again it stays the same, it
//! holds no dot segment, no empty segment and no control character, and what goes upstream reads as the same path, so
//! that no policy can be walked around.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::path::{normalise, wire};

fuzz_target!(|text: &str| {
    let Ok(path) = normalise(text) else { return };
    assert!(path.starts_with('/'), "{path:?}");
    assert!(!path.contains("//"), "{path:?}");
    assert!(!path.contains('\\'), "{path:?}");
    assert!(!path.chars().any(char::is_control), "{path:?}");
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{path:?}");
    assert_eq!(normalise(&encode_all(&path)).as_deref(), Ok(&*path), "a second spelling");
    let sent = wire(text, &path);
    assert_eq!(normalise(&sent).as_deref(), Ok(&*path), "the upstream reads another path: {sent:?}");
    assert_eq!(wire(&sent, &path), sent, "a second spelling on the wire");
});

/// Every byte but the slashes percent-encoded: the spelling farthest from the plain one.
fn encode_all(path: &str) -> String {
    path.bytes().fold(
        String::new(),
        |text, byte| {
            if byte == b'/' { text + "/" } else { text + &format!("%{byte:02x}") }
        },
    )
}
