//! Any bytes as what an upstream answers. What is read must not depend on how the bytes are cut into reads, takes no
//! byte that is not the answer's, and what is accepted is a head to `httparse` too, with one framing at most.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_gateway::http::upstream::{Dissected, Ending, dissect};

fuzz_target!(|data: &[u8]| {
    let Some((mode, bytes)) = data.split_first() else { return };
    let (is_head, size) = (mode % 2 == 1, usize::from(mode / 2) + 1);
    let whole = dissect([bytes], is_head);
    assert_eq!(whole, dissect(bytes.chunks(size), is_head), "cut into pieces it means something else");
    assert!(whole.body.len() <= bytes.len());
    for (name, value) in whole.fields.iter().chain(&whole.trailers) {
        let upper = name.iter().any(u8::is_ascii_uppercase);
        assert!(!name.is_empty() && !upper, "a name that is none");
        assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)), "a value that writes lines");
        let framing: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"connection"];
        assert!(!framing.contains(&name.as_slice()), "framing comes out");
    }
    if let Ending::Whole { len, .. } = whole.ending {
        assert!(len <= bytes.len());
        let alone = dissect([&bytes[..len]], is_head);
        assert_eq!(alone, whole, "what follows an answer changes it");
        another_parser_agrees(bytes, &whole);
    }
});

/// The last head, which is the final one.
fn another_parser_agrees(bytes: &[u8], whole: &Dissected) {
    let mut rest = bytes;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 101];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(rest);
        let Ok(httparse::Status::Complete(len)) = parsed else { panic!("another parser says {parsed:?}") };
        if response.code.is_some_and(|code| code < 200) {
            rest = &rest[len..];
            continue;
        }
        assert_eq!(response.code, whole.status);
        let named = |name: &str| {
            response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count()
        };
        assert!(named("content-length") + named("transfer-encoding") <= 1, "two framings");
        return;
    }
}
