//! HTTP/2 written by hand, frame by frame: what a well-behaved client library would not send.

use super::support::{Client, Rig};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A client that writes frames by hand.
/// The second value: the other side has said that it ends the connection.
pub(crate) struct Frames(pub(crate) Client, pub(crate) bool);

#[derive(Debug)]
pub(crate) struct RawFrame {
    pub(crate) kind: u8,
    stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frames {
    pub(crate) fn new(rig: &Rig) -> Self {
        Self::with_settings(rig, &[])
    }

    fn with_settings(rig: &Rig, settings: &[u8]) -> Self {
        let mut client = rig.client();
        client.send_bytes(PREFACE);
        let mut frames = Self(client, false);
        frames.write(SETTINGS, 0, 0, settings);
        frames
    }

    pub(crate) fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.send_bytes(&frame(kind, flags, stream, payload));
    }

    pub(crate) fn read(&mut self) -> RawFrame {
        let head = self.0.exactly(9);
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        RawFrame { kind: head[3], stream, payload: self.0.exactly(len) }
    }

    /// Reads until the answer on `stream`: its status, or 0 for a reset of the stream or connection.
    pub(crate) fn status(&mut self, stream: u32) -> u16 {
        loop {
            let frame = self.read();
            match frame.kind {
                GOAWAY => {
                    self.1 = true;
                    return 0;
                }
                RST_STREAM if frame.stream == stream => return 0,
                HEADERS if frame.stream == stream => return status(&frame.payload),
                _ => {}
            }
        }
    }

    /// Whether the other side ends the connection, with or without saying so.
    pub(crate) fn ends(mut self) -> bool {
        let mut rest = Vec::new();
        rest.append(&mut std::mem::take(&mut self.0.exactly(0)));
        rest.extend(self.0.rest());
        rest.windows(4).any(|at| at[0] == 0 && at[3] == GOAWAY)
    }
}

/// One frame (RFC 9113 §4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![len[1], len[2], len[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Fields as HPACK literals that are not indexed.
pub(crate) fn hpack(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            match text.len() {
                len @ 0..127 => block.push(u8::try_from(len).unwrap()),
                len => {
                    block.push(127);
                    let mut rest = len - 127;
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).unwrap() | 128);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).unwrap());
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The status as this server's encoder writes it first: from the static table, or as three digits.
pub(crate) fn status(block: &[u8]) -> u16 {
    let mut decoder = block;
    // Changes of the table's size may come first.
    while decoder[0] & 0xe0 == 0x20 {
        decoder = &decoder[1..];
    }
    match decoder[0] {
        0x88 => 200,
        0x89 => 204,
        0x8c => 400,
        0x8d => 404,
        0x48 if decoder[1] == 3 => std::str::from_utf8(&decoder[2..5]).unwrap().parse().unwrap(),
        // Huffman: `431` is 5 + 5 + 5 bits and padding; digits have the codes 0..=2 in 5 bits, 3..=9 in 6.
        0x48 => huffman(&decoder[2..2 + usize::from(decoder[1] & 0x7f)]),
        other => panic!("unknown field {other:#x}"),
    }
}

fn huffman(bytes: &[u8]) -> u16 {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut at, mut number) = (0, 0);
    while number < 100 {
        let five = u16::from_str_radix(&bits[at..at + 5], 2).unwrap();
        if five < 3 {
            number = number * 10 + five;
            at += 5;
        } else {
            number = number * 10 + u16::from_str_radix(&bits[at..at + 6], 2).unwrap() - 0b011001 + 3;
            at += 6;
        }
    }
    number
}

/// The fields of a GET.
pub(crate) fn get(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")]
}
