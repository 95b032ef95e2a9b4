//! The one spelling of a path: what is strange is refused, what is the same becomes the same.

use proptest::prelude::*;
use tollgate_core::path::{PathError, encode, normalise};

#[test]
fn evil_spellings_are_refused() {
    use PathError::{AboveRoot, AmbiguousSeparator, BadEscape, Control, DotParameters, NotAbsolute, NotUtf8};
    for (raw, error) in [
        ("", NotAbsolute),
        ("tiles", NotAbsolute),
        ("http://example.com/", NotAbsolute),
        ("*", NotAbsolute),
        ("/a%2fb", AmbiguousSeparator),
        ("/a%2Fb", AmbiguousSeparator),
        ("/a%5cb", AmbiguousSeparator),
        ("/a\\b", AmbiguousSeparator),
        ("/..%5c..%5c", AmbiguousSeparator),
        ("/tiles/..%2f..%2fadmin", AmbiguousSeparator),
        ("/a%00", Control),
        ("/a%0a", Control),
        ("/a%7f", Control),
        ("/a\u{0}", Control),
        ("/a\r\n", Control),
        ("/a\u{85}b", Control),
        ("/a%c2%85b", Control),
        ("/a%", BadEscape),
        ("/a%2", BadEscape),
        ("/a%zz", BadEscape),
        ("/a%+1", BadEscape),
        ("/a%u002e", BadEscape),
        ("/%ff", NotUtf8),
        ("/%c0%ae%c0%ae/admin", NotUtf8),
        ("/%e0%80%ae", NotUtf8),
        ("/%ed%a0%80", NotUtf8),
        ("/..", AboveRoot),
        ("/../admin", AboveRoot),
        ("/tiles/../../admin", AboveRoot),
        ("/%2e%2e/admin", AboveRoot),
        ("/.%2e/admin", AboveRoot),
        ("//..", AboveRoot),
        ("/./..", AboveRoot),
        ("/tiles/..;/admin", DotParameters),
        ("/tiles/..;x=1/admin", DotParameters),
        ("/tiles/.;/admin", DotParameters),
        ("/tiles/..%3b/admin", DotParameters),
        ("/tiles/%2e%2e%3B/admin", DotParameters),
    ] {
        assert_eq!(normalise(raw), Err(error), "{raw:?}");
    }
}

#[test]
fn spellings_of_one_path_become_one() {
    for (raw, path) in [
        ("/", "/"),
        ("//", "/"),
        ("/.", "/"),
        ("/./", "/"),
        ("/a/..", "/"),
        ("/tiles", "/tiles"),
        ("/tiles/", "/tiles/"),
        ("/tiles//", "/tiles/"),
        ("//tiles", "/tiles"),
        ("/tiles//1", "/tiles/1"),
        ("/./tiles", "/tiles"),
        ("/tiles/.", "/tiles/"),
        ("/tiles/./1", "/tiles/1"),
        ("/x/../tiles/1", "/tiles/1"),
        ("/x/%2e%2e/tiles/1", "/tiles/1"),
        ("/x/.%2E/tiles/1", "/tiles/1"),
        ("/%74iles/1", "/tiles/1"),
        ("/tiles/a/b/../../1", "/tiles/1"),
        ("/tiles/1/..", "/tiles/"),
        ("/a%20b", "/a b"),
        ("/a b", "/a b"),
        ("/%C3%A4", "/ä"),
        ("/ä", "/ä"),
        ("/a%3fb", "/a?b"),
        ("/a%23b", "/a#b"),
        ("/100%25", "/100%"),
        // Encoded twice is decoded once.
        ("/%252e%252e/admin", "/%2e%2e/admin"),
        ("/a%252fb", "/a%2fb"),
        // Dots that are no dot segment are names.
        ("/...", "/..."),
        ("/a..b", "/a..b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/..a", "/..a"),
        ("/a;b=c", "/a;b=c"),
        ("/a+b&c=d,e!$'()*~_-:@", "/a+b&c=d,e!$'()*~_-:@"),
    ] {
        assert_eq!(normalise(raw).as_deref(), Ok(path), "{raw:?}");
    }
}

#[test]
fn the_common_case_borrows() {
    for raw in ["/", "/tiles/8/132/87.png", "/a/b.c/d~e_f-g", "/v1/models/m:generate"] {
        assert!(matches!(normalise(raw), Ok(std::borrow::Cow::Borrowed(_))), "{raw}");
        assert!(matches!(encode(raw), std::borrow::Cow::Borrowed(_)), "{raw}");
    }
}

#[test]
fn a_bare_semicolon_never_reaches_an_upstream() {
    assert_eq!(encode(&normalise("/admin;x/users").unwrap()), "/admin%3Bx/users");
    assert_eq!(encode(&normalise("/admin%3bx/users").unwrap()), "/admin%3Bx/users");
}

/// Pieces that paths are attacked with.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("//"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("%2E%2e"),
        Just("%2f"),
        Just("%5c"),
        Just("\\"),
        Just("%00"),
        Just("%25"),
        Just("%252e"),
        Just("%ff"),
        Just("%c3%a4"),
        Just("ä"),
        Just(";"),
        Just("%3b"),
        Just("a"),
        Just("tiles"),
        Just(" "),
        Just("%20"),
        Just("%"),
        Just("?"),
        Just("#"),
        Just("\u{85}"),
        Just("~"),
        Just("+"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_upstreams_get_is_what_policies_saw(raw in pieces()) {
        if let Ok(path) = normalise(&raw) {
            let wire = encode(&path);
            let again = normalise(&wire);
            prop_assert_eq!(again.as_deref(), Ok(&*path));
            prop_assert!(wire.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\;?#\"<>".contains(&byte)));
        }
    }

    #[test]
    fn no_normal_path_has_anything_to_remove(raw in pieces()) {
        if let Ok(path) = normalise(&raw) {
            prop_assert!(path.starts_with('/'));
            prop_assert!(!path.contains("//"));
            prop_assert!(!path.chars().any(char::is_control));
            prop_assert!(!path.contains('\\'));
            for segment in path.split('/') {
                let bare = segment.split(';').next().unwrap_or("");
                prop_assert!(!matches!(bare, "." | ".."), "{} from {}", path, raw);
            }
        }
    }

    #[test]
    fn any_text_is_answered(raw in "\\PC{0,64}") {
        let _answer = normalise(&raw);
    }
}
