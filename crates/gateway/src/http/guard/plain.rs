//! A field line about which nothing is odd, found in one pass over its bytes.
//!
//! Nearly every line of every head is one: a name, `: `, visible text, CRLF. What is not is left to whoever
//! judges the head, who looks at a line with more care and finds the words for what is wrong. Invariant: what
//! is found here the careful judge finds too, and the same (property tests of both kinds of heads).

use std::ops::Range;

use crate::http::raw::{FieldPlace, Kind, Span};
use crate::http::visible::visible_prefix;

use super::table;

/// Where the parts of a field line are, from its first byte on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct PlainLine {
    /// The length of the name.
    pub(in crate::http) name_len: usize,
    /// The name has a `_`.
    pub(in crate::http) has_underscore: bool,
    /// Without white space around it.
    pub(in crate::http) value: Range<usize>,
}

impl PlainLine {
    /// The line that `bytes` begin with; `None` when it is not whole, or anything about it is unusual.
    #[inline]
    pub(in crate::http) fn of(bytes: &[u8]) -> Option<Self> {
        let (name_len, has_underscore) = table::name(bytes);
        let start = name_len + 2;
        if name_len == 0 || bytes.get(name_len..start) != Some(b": ") {
            return None;
        }
        let rest = bytes.get(start..)?;
        let len = visible_prefix(rest);
        let is_trimmed = match rest.get(..len) {
            Some([b' ', ..] | [.., b' ']) | None => false,
            Some(_) => true,
        };
        let is_whole = is_trimmed && rest.get(len..len + 2) == Some(b"\r\n");
        is_whole.then_some(Self { name_len, has_underscore, value: start..start + len })
    }

    /// Its length, CRLF included.
    #[inline]
    pub(in crate::http) fn len(&self) -> usize {
        self.value.end + 2
    }

    /// Its place in a buffer in which it starts at `start`; its kind is not told apart yet, but for the `_`.
    #[inline]
    pub(in crate::http) fn place(&self, start: usize) -> FieldPlace {
        FieldPlace {
            name: Span::of(start..start + self.name_len),
            value: Span::of(start + self.value.start..start + self.value.end),
            kind: if self.has_underscore { Kind::Hidden } else { Kind::Plain },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_and_usual_line_is_found() {
        let line = |text: &str| PlainLine::of(text.as_bytes());
        let found = line("Host: a b\r\nX: 1\r\n").unwrap();
        assert_eq!(
            (found.name_len, found.has_underscore, found.value.clone(), found.len()),
            (4, false, 6..9, 11)
        );
        assert!(line("x_y: 1\r\n").unwrap().has_underscore);
        assert_eq!(line("X: 1234567890123456789\r\n").unwrap().value, 3..22);
        for odd in [
            "",
            "\r\n",
            ": 1\r\n",
            "X:1\r\n",
            "X : 1\r\n",
            "X:  1\r\n",
            "X: 1 \r\n",
            "X: 1\n",
            "X: 1\r",
            "X: 1",
            "X:",
            "X",
            "X: \t1\r\n",
            "X: 1\t2\r\n",
            "X: ü\r\n",
            "X: \u{7f}\r\n",
            "X: 1\rY: 2\r\n",
            "X: \0\r\n",
            "X(: 1\r\n",
        ] {
            assert_eq!(line(odd), None, "{odd:?}");
        }
        // An empty value is nothing odd.
        assert_eq!(line("X: \r\n").unwrap().value, 3..3);
    }
}
