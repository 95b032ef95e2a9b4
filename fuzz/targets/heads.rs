//! Any bytes as a connection. The scan must not depend on how the bytes are cut into reads, and what it accepts must
//! mean the same to another parser: the first head accepted is, byte for byte, a head to `httparse` too (I17).

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_gateway::http::guard::{HeadBounds, Next, Scanner, Step, scan};

fuzz_target!(|data: &[u8]| {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = scan(bytes);
    assert!(whole.accepted <= bytes.len());
    assert_eq!(whole, in_pieces(bytes, usize::from(*cut) + 1), "cut into pieces it means something else");
    another_parser_agrees(bytes);
});

/// Feeds the bytes as reads of at most `size` bytes, keeping what was not accepted, as the gateway does.
fn in_pieces(bytes: &[u8], size: usize) -> Step {
    let mut scanner = Scanner::new(HeadBounds::default());
    let mut total = Step { accepted: 0, heads: 0, next: Next::More };
    for end in (0..bytes.len()).step_by(size).map(|start| (start + size).min(bytes.len())) {
        let step = scanner.advance(&bytes[total.accepted..end]);
        total.accepted += step.accepted;
        total.heads += step.heads;
        total.next = step.next;
        if step.next != Next::More {
            break;
        }
    }
    total
}

fn another_parser_agrees(bytes: &[u8]) {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) else {
        return;
    };
    let head = &bytes[..end];
    let step = scan(head);
    if step.heads == 0 {
        return;
    }
    assert_eq!((step.heads, step.accepted), (1, end), "an accepted head ends at its blank line");
    let mut fields = [httparse::EMPTY_HEADER; 101];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(end)));
    let named =
        |name: &str| request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count();
    assert!(named("host") <= 1 && named("content-length") <= 1 && named("transfer-encoding") <= 1);
    assert!(named("content-length") + named("transfer-encoding") <= 1, "two framings");
    assert!(request.headers.iter().all(|field| !field.name.is_empty()));
}
