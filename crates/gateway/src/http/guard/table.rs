//! Which byte may stand where: the alphabet of every part of a head, as one table of bits.
//!
//! Narrower than RFC 9110 where servers disagree, never wider than what the codec behind the guard accepts.

/// Token characters: field names (RFC 9110 §5.6.2).
pub(super) const TOKEN: u8 = 1;
/// Methods: upper-case letters and `-`.
pub(super) const METHOD: u8 = 1 << 1;
/// Path characters: `pchar` and `/` of RFC 3986, and `[ ] |` as browsers send them.
pub(super) const PATH: u8 = 1 << 2;
/// Query characters: path characters, `?`, and ``{ } ^ ` \`` as browsers send them.
pub(super) const QUERY: u8 = 1 << 3;
/// Host names and IPv4 addresses.
pub(super) const HOST: u8 = 1 << 4;
/// Hexadecimal digits.
pub(super) const HEX: u8 = 1 << 5;

/// Bytes other than `_`.
const NO_UNDERSCORE: u8 = 1 << 6;

static CLASS: [u8; 256] = classes();

/// Whether `byte` belongs to `class`.
#[inline]
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// Whether every byte belongs to `class`. These texts are short: not to stop early is quicker.
#[inline]
pub(super) fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().fold(class, |left, &byte| left & CLASS[byte as usize]) != 0
}

/// The length of the field name that `line` begins with, and whether it has a `_`.
#[inline]
pub(super) fn name(line: &[u8]) -> (usize, bool) {
    let (mut len, mut classes) = (0, TOKEN | NO_UNDERSCORE);
    for &byte in line {
        let own = CLASS[byte as usize];
        if own & TOKEN == 0 {
            break;
        }
        classes &= own;
        len += 1;
    }
    (len, classes & NO_UNDERSCORE == 0)
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        let alphanumeric = byte.is_ascii_alphanumeric();
        let mut class = 0;
        if alphanumeric || has(b"!#$%&'*+-.^_`|~", byte) {
            class |= TOKEN;
        }
        if byte.is_ascii_uppercase() || byte == b'-' {
            class |= METHOD;
        }
        if alphanumeric || has(b"-._~!$&'()*+,;=:@%/[]|", byte) {
            class |= PATH | QUERY;
        }
        if has(b"?{}^`\\", byte) {
            class |= QUERY;
        }
        if alphanumeric || has(b"-._~", byte) {
            class |= HOST;
        }
        if byte.is_ascii_hexdigit() {
            class |= HEX;
        }
        if byte != b'_' {
            class |= NO_UNDERSCORE;
        }
        table[byte as usize] = class;
        byte += 1;
    }
    table
}

const fn has(set: &[u8], byte: u8) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}
