//! Patterns of Referer and Origin: no spelling of a foreign site passes for an own one.

use proptest::prelude::*;
use tollgate_core::{pattern::PatternError, url_pattern::UrlPattern};

fn matches(pattern: &str, url: &str) -> bool {
    UrlPattern::parse(pattern).unwrap().matches(url)
}

#[test]
fn foreign_sites_do_not_pass_for_own_ones() {
    let pattern = "https://*.example.com/*";
    for url in [
        "https://app.example.com/",
        "https://app.example.com",
        "https://a.b.example.com/x/y?z#w",
        "HTTPS://APP.EXAMPLE.COM/x",
        "https://app.example.com:443/x",
    ] {
        assert!(matches(pattern, url), "{url}");
    }
    for url in [
        "https://evil/.example.com/",
        "https://evil.example/.example.com/",
        "https://evil?.example.com/",
        "https://evil#.example.com/",
        "https://evil\\.example.com/",
        "https://evil%2f.example.com/",
        "https://evil%00.example.com/",
        "https://evil;.example.com/",
        "https://evil .example.com/",
        "https://evil\t.example.com/",
        "https://evil@app.example.com/",
        "https://app.example.com@evil/",
        "https://app.example.com:443@evil/",
        "https://app.example.com:x.evil/",
        "https://evil:1.example.com/",
        "https://[.example.com/",
        "https://[evil].example.com/",
        "https://example.com/",
        "https://evilexample.com/",
        "https://app.example.com.evil/",
        "https://app.example.com./",
        "https://app.example.com:8443/",
        "http://app.example.com/",
        "ftp://app.example.com/",
        "javascript:x://app.example.com/",
        "javascript:alert(1)//https://app.example.com/",
        "https:app.example.com/",
        "//app.example.com/",
        "app.example.com",
        "https://",
        "https:///app.example.com",
        "null",
        "",
    ] {
        assert!(!matches(pattern, url), "{url:?}");
    }
}

#[test]
fn parts_that_are_not_said_are_open() {
    assert!(matches("*", "null"));
    assert!(matches("app.example.com", "http://app.example.com/x"));
    assert!(matches("app.example.com", "https://app.example.com/x"));
    assert!(!matches("app.example.com", "x:y://app.example.com/"));
    assert!(matches("*://app.example.com/*", "http://app.example.com/x"));
    assert!(matches("http://localhost:*", "http://localhost:5173"));
    assert!(!matches("http://localhost", "http://localhost:5173"));
    assert!(matches("http://localhost:5173", "http://localhost:5173"));
    assert!(matches("https://app.example.com:443", "https://app.example.com"));
    assert!(matches("https://[::1]:8080", "https://[::1]:8080"));
    assert!(matches("https://app.example.com/", "https://app.example.com"));
    assert!(matches("https://app.example.com/a/*", "https://app.example.com/a/b"));
    assert!(!matches("https://app.example.com/a/*", "https://app.example.com/b"));
    assert!(!matches("https://app.example.com/a/*", "https://app.example.com/A/b"));
}

#[test]
fn patterns_that_no_url_could_match_are_refused() {
    for text in
        ["", "https://", "https:///x", "ht tp://x", "://x", "https://a b", "https://ä.example", "https://a:b"]
    {
        assert!(matches!(UrlPattern::parse(text), Err(PatternError::Url(_))), "{text:?}");
    }
    assert_eq!(UrlPattern::parse(&"a".repeat(513)), Err(PatternError::TooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn only_hosts_below_the_domain_match(
        text in "(https://)?[a-z.:/?#@\\\\%;\\[\\] -]{0,16}(\\.example\\.com)?[a-z.:/?#@\\\\-]{0,8}",
    ) {
        if matches("https://*.example.com", &text) {
            let rest = text.strip_prefix("https://").unwrap_or_default();
            let end = rest.find(|sign: char| !(sign.is_ascii_alphanumeric() || "-._".contains(sign)));
            let (host, after) = rest.split_at(end.unwrap_or(rest.len()));
            // The host ends where a browser ends it, and is below the domain.
            prop_assert!(host.ends_with(".example.com"), "{} in {}", host, text);
            prop_assert!(after.is_empty() || after.starts_with(['/', '?', '#', '\\']) || after.starts_with(":443"));
        }
    }
}
