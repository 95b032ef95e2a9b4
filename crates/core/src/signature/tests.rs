//! Signatures against the examples of those who make them, and what must not pass as one.

use proptest::prelude::*;

use super::{
    SignatureFact, Signed, SigningSecret,
    spec::{SignatureScheme, SignatureSpec, TextForm},
};

fn spec(text: &str) -> SignatureSpec {
    toml::from_str(&format!("secret = {{ secret = \"s\" }}\n{text}")).unwrap()
}

fn secrets(spec: &SignatureSpec, texts: &[&str]) -> Vec<SigningSecret> {
    texts.iter().map(|text| SigningSecret::parse(spec.scheme, text).unwrap()).collect()
}

/// One of the Standard Webhooks libraries' tests.
const STANDARD: (&str, &str, &str, &str, &str) = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "1614265330",
    r#"{"test": 2432232314}"#,
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
);
/// Svix's page on verifying by hand.
const SVIX: (&str, &str, &str, &str, &str) = (
    "whsec_plJ3nmyCDGBKInavdOK15jsl",
    "msg_loFOjxBNrRLzqYUf",
    "1731705121",
    r#"{"event_type":"ping","data":{"success":true}}"#,
    "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
);

fn us(seconds: i64) -> i64 {
    seconds * 1_000_000
}

#[test]
fn published_vectors_of_standard_webhooks_are_right() {
    let spec = spec("scheme = \"standard-webhooks\"");
    for (secret, id, timestamp, body, signature) in [STANDARD, SVIX] {
        let own = secrets(&spec, &[secret]);
        let signed = Signed { signature: Some(signature), timestamp: Some(timestamp), id: Some(id) };
        let at: i64 = timestamp.parse().unwrap();
        let verify = |signed: &Signed<'_>, body: &str, seconds: i64| {
            spec.verify(&own, signed, body.as_bytes(), us(seconds)).map(|proof| proof.nonce.is_some())
        };
        assert_eq!(verify(&signed, body, at), Ok(true));
        // Within five minutes in both directions, and no second longer.
        assert_eq!((verify(&signed, body, at + 300), verify(&signed, body, at - 300)), (Ok(true), Ok(true)));
        for seconds in [at + 301, at - 301] {
            assert_eq!(verify(&signed, body, seconds), Err(SignatureFact::Expired));
            assert_eq!(spec.screen(&signed, us(seconds)), SignatureFact::Expired);
        }
        assert_eq!(spec.screen(&signed, us(at)), SignatureFact::Unread);
        assert_eq!(verify(&signed, "{}", at), Err(SignatureFact::Invalid));
        let later = (at + 1).to_string();
        for (changed, fact) in [
            (Signed { id: Some("msg_other"), ..signed }, SignatureFact::Invalid),
            (Signed { timestamp: Some(&later), ..signed }, SignatureFact::Invalid),
            (Signed { signature: Some("v1a,AAAA"), ..signed }, SignatureFact::Missing),
            (Signed { signature: Some("v1,"), ..signed }, SignatureFact::Invalid),
            (Signed { id: None, ..signed }, SignatureFact::Missing),
            (Signed { timestamp: None, ..signed }, SignatureFact::Missing),
            (Signed { timestamp: Some("+1614265330"), ..signed }, SignatureFact::Missing),
            (Signed { signature: None, ..signed }, SignatureFact::Missing),
        ] {
            assert_eq!(verify(&changed, body, at), Err(fact), "{changed:?}");
        }
        // A sender that changes its secret signs with both, or with the old one for a while.
        let both = format!("v1,AAAA v1a,BBBB {signature}");
        assert_eq!(verify(&Signed { signature: Some(&both), ..signed }, body, at), Ok(true));
        let turning = secrets(&spec, &["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", secret]);
        assert!(spec.verify(&turning, &signed, body.as_bytes(), us(at)).is_ok());
        assert!(spec.verify(&[], &signed, body.as_bytes(), us(at)).is_err());
    }
}

#[test]
fn the_vector_of_github_s_documentation_is_right() {
    let spec = spec("scheme = \"github\"");
    let own = secrets(&spec, &["It's a Secret to Everybody"]);
    let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let verify = |signature: &str, body: &str| {
        spec.verify(&own, &Signed { signature: Some(signature), ..Signed::default() }, body.as_bytes(), 0)
    };
    assert_eq!(verify(&format!("sha256={digits}"), "Hello, World!").map(|proof| proof.nonce), Ok(None));
    assert!(verify(&format!("sha256={}", digits.to_uppercase()), "Hello, World!").is_ok());
    assert_eq!(verify(&format!("sha256={digits}"), "Hello, World"), Err(SignatureFact::Invalid));
    assert_eq!(verify(digits, "Hello, World!"), Err(SignatureFact::Missing));
    assert_eq!(
        verify("sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59", "Hello, World!"),
        Err(SignatureFact::Missing)
    );
}

#[test]
fn stripe_s_header_may_have_several_signatures_and_one_moment() {
    let spec = spec("scheme = \"stripe\"\ntolerance = \"10m\"");
    let own = secrets(&spec, &["whsec_test_secret"]);
    // As Stripe's page on verifying by hand says, computed with Python's `hmac`.
    let digits = "654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543";
    let (body, at) = (r#"{"id":"evt_1","object":"event"}"#, 1_492_774_577);
    let verify = |header: &str, seconds: i64| {
        let signed = Signed { signature: Some(header), ..Signed::default() };
        spec.verify(&own, &signed, body.as_bytes(), us(seconds)).map(|proof| proof.until_us)
    };
    assert_eq!(verify(&format!("t={at},v1={digits},v0=6ffbb59b"), at), Ok(us(at + 600)));
    assert!(verify(&format!("t={at}, v1=00ff, v1={digits}"), at + 600).is_ok());
    for (header, seconds, fact) in [
        (format!("t={at},v1={digits}"), at + 601, SignatureFact::Expired),
        (format!("t={},v1={digits}", at + 1), at, SignatureFact::Invalid),
        (format!("t={at},t={at},v1={digits}"), at, SignatureFact::Missing),
        (format!("t={at},v0={digits}"), at, SignatureFact::Missing),
        (format!("v1={digits}"), at, SignatureFact::Missing),
        (format!("t=-1,v1={digits}"), at, SignatureFact::Missing),
    ] {
        assert_eq!(verify(&header, seconds), Err(fact), "{header}");
    }
}

#[test]
fn an_hmac_stands_in_a_header_of_one_s_own() {
    let hex = spec("scheme = \"hmac\"\nheader = \"x-hub\"\nprefix = \"sha256=\"");
    assert_eq!(hex.fields().signature, "x-hub");
    let own = secrets(&hex, &["It's a Secret to Everybody"]);
    let signed = Signed {
        signature: Some("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
        ..Signed::default()
    };
    assert!(hex.verify(&own, &signed, b"Hello, World!", 0).is_ok());
    let base64 = spec("scheme = \"hmac\"\nencoding = \"base64\"");
    assert_eq!((base64.fields().signature, base64.encoding), ("x-signature", TextForm::Base64));
    let signed =
        Signed { signature: Some("dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc="), ..Signed::default() };
    assert!(base64.verify(&own, &signed, b"Hello, World!", 0).is_ok());
    let lower =
        Signed { signature: Some("dxeh6g6yuj/cesiczphlijdxc211hsisrvq3nisephc="), ..Signed::default() };
    assert_eq!(base64.verify(&own, &lower, b"Hello, World!", 0), Err(SignatureFact::Invalid));
}

#[test]
fn a_secret_that_cannot_be_one_is_refused() {
    for text in ["whsec_", "whsec_AAAA", "not base64!", ""] {
        assert!(SigningSecret::parse(SignatureScheme::StandardWebhooks, text).is_err(), "{text}");
    }
    assert!(SigningSecret::parse(SignatureScheme::Github, " \n").is_err());
}

proptest! {
    #[test]
    fn no_other_body_header_or_secret_passes(
        body in prop::collection::vec(any::<u8>(), 0..64),
        header in "[ -~]{0,80}",
        at in 0i64..4_000_000_000,
        scheme in prop::sample::select(vec!["standard-webhooks", "github", "stripe", "hmac"]),
    ) {
        let spec = spec(&format!("scheme = \"{scheme}\""));
        let own = secrets(&spec, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let timestamp = at.to_string();
        let signed = Signed { signature: Some(&header), timestamp: Some(&timestamp), id: Some("msg") };
        prop_assert!(spec.verify(&own, &signed, &body, us(at)).is_err());
    }
}
