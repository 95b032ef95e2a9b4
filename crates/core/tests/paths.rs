//! The one spelling of a path: what is strange is refused, what is the same becomes the same.

use proptest::prelude::*;
use tollgate_core::path::{PathError, encode, normalise, wire, wire_part};

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

/// What an upstream gets for a raw path.
fn sent(raw: &str) -> String {
    wire(raw, &normalise(raw).unwrap()).into_owned()
}

#[test]
fn reserved_characters_go_upstream_as_the_client_wrote_them() {
    for (raw, upstream) in [
        ("/a%2bb+c", "/a%2Bb+c"),
        ("/%21%24%26%27%28%29%2a%2c%3d%3a%40", "/%21%24%26%27%28%29%2A%2C%3D%3A%40"),
        ("/!$&'()*,=:@", "/!$&'()*,=:@"),
        ("/%3f%23%5b%5d", "/%3F%23%5B%5D"),
        // No path may have these bare.
        ("/a[0]", "/a%5B0%5D"),
        ("/%41%7e%2d%5f%2E", "/A~-_."),
        ("/x/%2e%2e/a%2B", "/a%2B"),
        ("//a%40b//", "/a%40b/"),
        ("/100%25+%252b", "/100%25+%252b"),
        ("/%c3%a4%2c/\u{e4},", "/%C3%A4%2C/%C3%A4,"),
        ("/a b%20c", "/a%20b%20c"),
    ] {
        assert_eq!(sent(raw), upstream, "{raw}");
    }
}

#[test]
fn what_goes_upstream_is_never_another_path_than_was_decided_about() {
    assert_eq!(wire("/other%2B", "/tiles/+"), "/tiles/+");
    assert_eq!(wire("/bad%", "/tiles/ "), "/tiles/%20");
    assert_eq!(wire("/%2541", "/%2541"), "/%252541");
}

#[test]
fn a_part_of_a_path_is_found_in_its_spelling_on_the_wire() {
    let decoded = "/\u{e4}+/b";
    let on_wire = "/%C3%A4%2B/b";
    for (from, to, part) in
        [(0, 1, "/"), (1, 3, "%C3%A4"), (3, 4, "%2B"), (4, 6, "/b"), (2, 2, ""), (6, 6, "")]
    {
        assert_eq!(wire_part(on_wire, from, to), part, "{:?}", decoded.as_bytes().get(from..to));
    }
    assert_eq!(wire_part(on_wire, 5, 99), "b");
    assert_eq!(wire_part(on_wire, 99, 3), "");
}

#[test]
fn a_bare_semicolon_never_reaches_an_upstream() {
    assert_eq!(encode(&normalise("/admin;x/users").unwrap()), "/admin%3Bx/users");
    assert_eq!(encode(&normalise("/admin%3bx/users").unwrap()), "/admin%3Bx/users");
    assert_eq!(sent("/admin;x/users"), "/admin%3Bx/users");
    assert_eq!(sent("/admin%3bx/users"), "/admin%3Bx/users");
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
        Just("%2b"),
        Just("%2B"),
        Just("%40"),
        Just("@"),
        Just("["),
        Just("%5D"),
        Just("%61"),
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
    fn what_upstreams_decode_is_what_policies_saw(raw in pieces()) {
        if let Ok(path) = normalise(&raw) {
            let wire = wire(&raw, &path);
            prop_assert_eq!(percent_encoding::percent_decode_str(&wire).decode_utf8().unwrap(), &*path);
            let again = normalise(&wire);
            prop_assert_eq!(again.as_deref(), Ok(&*path));
            prop_assert_eq!(tollgate_core::path::wire(&wire, &path), &*wire);
            prop_assert!(wire.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\;?#[]\"<>".contains(&byte)));
        }
    }

    #[test]
    fn reserved_characters_stay_encoded_or_bare(parts in prop::collection::vec("[a-z!$&'()*+,=:@]|%[234][1-9]|%2[a-eA-E]|%3[ad]|%40", 1..12)) {
        let raw = format!("/x{}", parts.concat());
        if let Ok(path) = normalise(&raw) {
            let reserved = |text: &str| -> Vec<String> {
                let text = text.to_ascii_uppercase();
                let mut bytes = text.bytes();
                let mut found = Vec::new();
                while let Some(byte) = bytes.next() {
                    let written = match byte {
                        b'%' => format!("%{}{}", char::from(bytes.next().unwrap()), char::from(bytes.next().unwrap())),
                        byte => char::from(byte).to_string(),
                    };
                    let value = percent_encoding::percent_decode_str(&written).next().unwrap();
                    if b":/?#[]@!$&'()*+,;=".contains(&value) {
                        found.push(written);
                    }
                }
                found
            };
            prop_assert_eq!(reserved(&wire(&raw, &path)), reserved(&raw));
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
