//! Fields of our own, written as they go out: one line behind the other.
//!
//! A head gets a dozen of them on every request. As lines they need one allocation, and go out as one piece.
//! What is the same on many heads is made ready once and added as a whole.
//! Invariant: every line is a name, `: `, a value without CR, LF or NUL, and CRLF.

use std::fmt;

use super::field::{FieldName, FieldValue};
use super::raw::{Kind, NameSieve};
use super::visible::is_visible;

/// Room for the lines of a usual head.
const LINES_BYTES_USUAL: usize = 512;

/// See the module. Fields of the engine are not added.
#[derive(Clone, Default)]
pub struct Lines {
    text: Vec<u8>,
    names: NameSieve,
}

/// Says only how much there is: a value may be a credential.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({} bytes)", self.text.len())
    }
}

impl Lines {
    /// Adds a field, whatever there is of this name.
    pub fn add(&mut self, name: &FieldName, value: &FieldValue) {
        if name.kind() == Kind::Engine {
            return;
        }
        debug_assert!(memchr::memchr3(b'\r', b'\n', 0, value.as_bytes()).is_none());
        self.begin(name);
        self.text.extend_from_slice(value.as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }

    /// Adds a field whose value is what `write` adds to what it is given. A value other than visible ASCII,
    /// spaces and tabs is not added.
    pub fn add_text(&mut self, name: &FieldName, write: impl FnOnce(&mut Vec<u8>)) {
        if name.kind() == Kind::Engine {
            return;
        }
        let line = self.text.len();
        self.begin(name);
        let value = self.text.len();
        write(&mut self.text);
        let value = self.text.get(value..).unwrap_or(b"\0");
        let is_odd = |byte: &u8| !(0x20..0x7f).contains(byte) && *byte != b'\t';
        if !is_visible(value) && value.iter().any(is_odd) {
            self.text.truncate(line);
        } else {
            self.text.extend_from_slice(b"\r\n");
        }
    }

    fn begin(&mut self, name: &FieldName) {
        if self.text.is_empty() {
            self.text.reserve(LINES_BYTES_USUAL);
        }
        let name = name.as_str().as_bytes();
        self.names.add(name);
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(b": ");
    }

    /// Adds all of `others`.
    pub fn add_all(&mut self, others: &Self) {
        if self.text.is_empty() {
            self.text.reserve(LINES_BYTES_USUAL);
        }
        self.names.add_all(others.names);
        self.text.extend_from_slice(&others.text);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes out every field named `name` (lower-case).
    pub(super) fn remove(&mut self, name: &[u8]) {
        if !self.names.may_hold(name) {
            return;
        }
        let mut start = 0;
        while let Some((end, there, _)) = line(&self.text, start) {
            if there == name {
                self.text.drain(start..end);
            } else {
                start = end;
            }
        }
    }

    /// The first value under `name` (lower-case).
    pub(super) fn first(&self, name: &[u8]) -> Option<&[u8]> {
        if !self.names.may_hold(name) {
            return None;
        }
        self.iter().find(|(there, _)| *there == name).map(|(_, value)| value)
    }

    /// The fields in order, names in lower case.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let (end, name, value) = line(&self.text, start)?;
            start = end;
            Some((name, value))
        })
    }

    /// All of them, each with its CRLF.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

/// Where the line that begins at `start` ends, its name and its value.
fn line(text: &[u8], start: usize) -> Option<(usize, &[u8], &[u8])> {
    let rest = text.get(start..)?;
    let len = memchr::memchr(b'\n', rest)?;
    let name_len = memchr::memchr(b':', rest)?;
    Some((start + len + 1, rest.get(..name_len)?, rest.get(name_len + 2..len.checked_sub(1)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FieldName = FieldName::of("x-a");
    const B: FieldName = FieldName::of("x-b");

    fn text(lines: &Lines) -> &str {
        std::str::from_utf8(lines.as_bytes()).unwrap()
    }

    #[test]
    fn fields_come_out_as_they_went_in() {
        let mut lines = Lines::default();
        lines.add(&A, &FieldValue::of("1: 2"));
        lines.add_text(&B, |_| {});
        lines.add_text(&A, |out| out.extend_from_slice(b"3"));
        assert_eq!(text(&lines), "x-a: 1: 2\r\nx-b: \r\nx-a: 3\r\n");
        let there: Vec<_> = lines.iter().collect();
        assert_eq!(there, [(&b"x-a"[..], &b"1: 2"[..]), (b"x-b", b""), (b"x-a", b"3")]);
        lines.remove(b"x-a");
        assert_eq!(text(&lines), "x-b: \r\n");
        lines.remove(b"x-c");
        lines.remove(b"x-b");
        assert_eq!(lines.iter().count(), 0);
    }

    #[test]
    fn lines_made_ready_are_found_and_taken_out_like_others() {
        let mut ready = Lines::default();
        ready.add(&A, &FieldValue::of("1"));
        ready.add(&FieldName::of("connection"), &FieldValue::of("close"));
        let mut lines = Lines::default();
        lines.add(&B, &FieldValue::of("2"));
        lines.add_all(&ready);
        assert_eq!(text(&lines), "x-b: 2\r\nx-a: 1\r\n");
        assert_eq!((lines.first(b"x-a"), lines.first(b"x-c")), (Some(&b"1"[..]), None));
        lines.remove(b"x-a");
        assert_eq!((text(&lines), lines.first(b"x-a")), ("x-b: 2\r\n", None));
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let mut lines = Lines::default();
        for odd in [&b"a\r\nx-evil: 1"[..], b"\n", b"\0", b"\x7f", "ü".as_bytes()] {
            lines.add_text(&A, |out| out.extend_from_slice(odd));
        }
        assert_eq!(text(&lines), "");
        lines.add_text(&A, |out| out.extend_from_slice(b"a\tb ~"));
        assert_eq!(text(&lines), "x-a: a\tb ~\r\n");
    }
}
