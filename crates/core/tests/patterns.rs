//! Patterns against matchers that are too simple to be wrong.

use proptest::prelude::*;
use tollgate_core::pattern::{
    Endpoint, PATTERN_LEN_MAX, PathPattern, PatternError, TEXT_LEN_MAX, TextPattern,
};

fn naive_text(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|cut| naive_text(rest, &text[cut..])),
        Some((own, rest)) => {
            text.split_first().is_some_and(|(byte, text)| own == byte && naive_text(rest, text))
        }
    }
}

fn naive_path(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (Some((&"**", [])), _) | (None, None) => true,
        (Some((&"*", rest)), Some((part, path))) => !part.is_empty() && naive_path(rest, path),
        (Some((own, rest)), Some((part, path))) => own == part && naive_path(rest, path),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn text_patterns_match_as_the_naive_matcher(pattern in "[ab*]{0,8}", text in "[abc]{0,12}") {
        let ours = TextPattern::parse(&pattern).unwrap().matches(&text);
        prop_assert_eq!(ours, naive_text(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn folded_patterns_match_either_case(pattern in "[aB*]{0,6}", text in "[aAbB]{0,8}") {
        let ours = TextPattern::parse_folded(&pattern).unwrap().matches(&text);
        let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
        prop_assert_eq!(ours, naive_text(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn path_patterns_match_as_the_naive_matcher(
        pattern in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("*")], 0..4),
        end in prop_oneof![Just(None), Just(Some("**")), Just(Some(""))],
        path in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 0..5),
        slash: bool,
    ) {
        let mut pattern = pattern;
        pattern.extend(end);
        let mut path = path;
        if slash || path.is_empty() {
            path.push("");
        }
        let pattern = if pattern.is_empty() { vec![""] } else { pattern };
        let ours = PathPattern::parse(&format!("/{}", pattern.join("/"))).unwrap();
        prop_assert_eq!(ours.matches(&format!("/{}", path.join("/"))), naive_path(&pattern, &path));
    }

    #[test]
    fn reading_a_pattern_never_fails_otherwise_than_by_an_error(text in "\\PC{0,40}") {
        let _pattern = PathPattern::parse(&text);
        let _endpoint = Endpoint::parse(&text);
    }
}

#[test]
fn endpoints_match_method_and_path() {
    let endpoint = Endpoint::parse("GET /tiles/**").unwrap();
    for path in ["/tiles", "/tiles/", "/tiles/1", "/tiles/1/2"] {
        assert!(endpoint.matches("GET", path), "{path}");
        assert!(!endpoint.matches("POST", path), "{path}");
        assert!(!endpoint.matches("get", path), "{path}");
    }
    for path in ["/", "/tilesets", "/tile", "/Tiles/1", "/x/tiles"] {
        assert!(!endpoint.matches("GET", path), "{path}");
    }
    let one = Endpoint::parse("* /tiles/*/meta").unwrap();
    assert!(one.matches("DELETE", "/tiles/7/meta"));
    for path in ["/tiles//meta", "/tiles/meta", "/tiles/7/8/meta", "/tiles/7/meta/", "/tiles/7/meta/x"] {
        assert!(!one.matches("GET", path), "{path}");
    }
    assert_eq!(endpoint.to_string(), "GET /tiles/**");
    assert_eq!(one.to_string(), "* /tiles/*/meta");
}

#[test]
fn an_endpoint_that_cannot_be_told_apart_could_match() {
    let endpoint = Endpoint::parse("POST /refunds/**").unwrap();
    assert!(endpoint.could_match(None, None));
    assert!(endpoint.could_match(Some("POST"), None));
    assert!(endpoint.could_match(None, Some("/refunds/1")));
    assert!(!endpoint.could_match(Some("GET"), None));
    assert!(!endpoint.could_match(None, Some("/tiles")));
}

#[test]
fn wildcards_hand_over_what_they_matched() {
    let pattern = PathPattern::parse("/v1/*/items/**").unwrap();
    for (path, matched) in [("/v1/shop/items/a/b", ["shop", "a/b"]), ("/v1/shop/items", ["shop", ""])] {
        let mut captured = Vec::new();
        assert!(pattern.captures(path, |bytes| captured.push(path.get(bytes).unwrap())));
        assert_eq!(captured, matched);
    }
}

#[test]
fn patterns_that_mean_nothing_are_refused_with_the_remedy() {
    let error = |text: &str| Endpoint::parse(text).unwrap_err();
    assert!(matches!(error("/tiles"), PatternError::Endpoint(_)));
    assert!(matches!(error("get /tiles"), PatternError::Endpoint(_)));
    assert!(matches!(error(" /tiles"), PatternError::Endpoint(_)));
    assert!(matches!(error("GET tiles"), PatternError::NotAbsolute(_)));
    assert!(matches!(error("GET /**/x"), PatternError::DeepNotLast(_)));
    assert!(matches!(error("GET /**/"), PatternError::DeepNotLast(_)));
    assert!(matches!(error("GET /a*"), PatternError::PartialSegment(_)));
    assert!(matches!(error("GET /***"), PatternError::PartialSegment(_)));
    assert!(matches!(error("GET /a//b"), PatternError::NeverMatches(_)));
    assert!(matches!(error("GET /a/../b"), PatternError::NeverMatches(_)));
    assert!(matches!(error("GET /."), PatternError::NeverMatches(_)));
    assert!(matches!(error(&format!("GET /{}", "a".repeat(PATTERN_LEN_MAX))), PatternError::TooLong));
}

#[test]
fn a_client_cannot_choose_how_long_matching_takes() {
    let (most, long) = ("a".repeat(TEXT_LEN_MAX), "a".repeat(TEXT_LEN_MAX + 1));
    assert!(TextPattern::parse("*").unwrap().matches(&long));
    assert!(!TextPattern::parse("a*").unwrap().matches(&long));
    assert!(!TextPattern::parse("").unwrap().matches(&long));
    // The worst pair within the bounds is answered at once.
    let pattern = format!("{}b", "*a".repeat(PATTERN_LEN_MAX / 2 - 1));
    assert!(!TextPattern::parse(&pattern).unwrap().matches(&most));
}
