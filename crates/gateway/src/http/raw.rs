//! Fields as they came over the wire: one buffer, and where each name and value stands in it.
//!
//! A head is read where it was received and written from there; nothing is copied into a map. What lives
//! here: the places, the kinds of names, looking up and taking out. What does not: judging bytes, which is
//! done before a value of these types is made. Names are lower-case in the buffer.

use std::ops::Range;

use bytes::BytesMut;
use http::header::{COOKIE, HeaderMap};

/// A part of a head's buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// The place of `range`. Heads are bounded far below 4 GiB; what is beyond reads as empty.
    pub(super) fn of(range: Range<usize>) -> Self {
        match (u32::try_from(range.start), u32::try_from(range.len())) {
            (Ok(start), Ok(len)) => Self { start, len },
            _ => Self::default(),
        }
    }

    pub(super) fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    pub(super) fn bytes(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.range()).unwrap_or_default()
    }

    /// Empty when it is not UTF-8; what is asked for as text was judged to be ASCII.
    pub(super) fn text(self, buffer: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(buffer)).unwrap_or_default()
    }
}

/// What a field is to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A field like any other.
    Plain,
    /// `Host`.
    Host,
    /// Of one connection, or about framing (RFC 9110 §7.6.1): never forwarded.
    Engine,
    /// With `_` in its name: CGI-style servers take it for `-`, so it counts as not sent.
    Hidden,
}

impl Kind {
    /// The kind of a name in lower case.
    pub(super) const fn of(name: &[u8]) -> Self {
        match Self::known(name) {
            Some(known) => known,
            None if has_underscore(name) => Self::Hidden,
            None => Self::Plain,
        }
    }

    /// The kind of a name that means something to the engine.
    const fn known(name: &[u8]) -> Option<Self> {
        // Most names are told apart from these by their first letter.
        let [b'c' | b'e' | b'h' | b'k' | b'p' | b't' | b'u', ..] = name else { return None };
        match name {
            b"host" => Some(Self::Host),
            b"connection"
            | b"content-length"
            | b"expect"
            | b"http2-settings"
            | b"keep-alive"
            | b"proxy-authenticate"
            | b"proxy-authorization"
            | b"proxy-connection"
            | b"te"
            | b"trailer"
            | b"transfer-encoding"
            | b"upgrade" => Some(Self::Engine),
            _ => None,
        }
    }
}

/// Names are short: looking at each byte is quicker than calling a search.
const fn has_underscore(mut name: &[u8]) -> bool {
    while let [byte, rest @ ..] = name {
        if *byte == b'_' {
            return true;
        }
        name = rest;
    }
    false
}

/// Where one field stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldPlace {
    pub(super) name: Span,
    pub(super) value: Span,
    pub(super) kind: Kind,
}

/// The fields of one head, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct RawFields {
    /// May hold more than the fields: a request line, for instance. Never shared, so that no references to it
    /// are counted.
    pub(super) buffer: BytesMut,
    places: Vec<FieldPlace>,
    /// What most questions are answered from: a head is asked for many names that few heads have.
    names: NameSieve,
}

/// One field of [`RawFields`].
#[derive(Clone, Copy, Debug)]
pub(super) struct RawField<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) kind: Kind,
}

impl RawFields {
    /// The fields of a head whose bytes were judged, and which of them are [`Kind::Hidden`]: names become
    /// lower-case where they stand.
    pub(super) fn received(mut head: BytesMut, mut places: Vec<FieldPlace>) -> Self {
        let mut names = NameSieve::default();
        for place in &mut places {
            if let Some(name) = head.get_mut(place.name.range()) {
                name.make_ascii_lowercase();
                names.add(name);
                place.kind = Kind::known(name).unwrap_or(place.kind);
            }
        }
        Self { buffer: head, places, names }
    }

    /// The fields at these places of `buffer`, their names in lower case already.
    fn of(buffer: BytesMut, places: Vec<FieldPlace>) -> Self {
        let mut names = NameSieve::default();
        places.iter().for_each(|place| names.add(place.name.bytes(&buffer)));
        Self { buffer, places, names }
    }

    /// Takes out every field that `stays` does not keep.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(RawField<'_>) -> bool) {
        let buffer = &self.buffer;
        self.places.retain(|place| stays(field(buffer, place)));
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = RawField<'_>> {
        self.places.iter().map(|place| self.field(place))
    }

    /// The fields under `name` (lower-case), in order.
    pub(super) fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = RawField<'a>> {
        let places: &[_] = if self.names.may_hold(name.as_bytes()) { &self.places } else { &[] };
        places.iter().map(|place| self.field(place)).filter(move |field| field.name == name.as_bytes())
    }

    fn field(&self, place: &FieldPlace) -> RawField<'_> {
        field(&self.buffer, place)
    }

    /// Writes the fields that `stays` keeps, each as a line. Lines that came as they go out, and next to each
    /// other, are copied as one piece.
    pub(super) fn push_lines(&self, out: &mut Vec<u8>, mut stays: impl FnMut(RawField<'_>) -> bool) {
        let between = |from: usize, to: usize| self.buffer.get(from..to).unwrap_or_default();
        let mut run = 0..0;
        for place in &self.places {
            let (name, value) = (place.name.range(), place.value.range());
            if !stays(self.field(place)) {
                continue;
            }
            debug_assert!(
                [place.name, place.value].iter().all(|part| memchr::memchr3(
                    b'\r',
                    b'\n',
                    0,
                    part.bytes(&self.buffer)
                )
                .is_none())
            );
            let came_so = between(name.end, value.start) == b": ";
            if came_so && !run.is_empty() && between(run.end, name.start) == b"\r\n" {
                run.end = value.end;
                continue;
            }
            push_run(out, between(run.start, run.end));
            run = 0..0;
            if came_so {
                run = name.start..value.end;
            } else {
                push_line(out, place.name.bytes(&self.buffer), place.value.bytes(&self.buffer));
            }
        }
        push_run(out, between(run.start, run.end));
    }

    /// Every value under `name` (lower-case), in order.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.named(name).map(|field| field.value)
    }

    /// The first value under `name` (lower-case).
    pub(super) fn first(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Takes out every field named `name` (lower-case).
    pub(super) fn remove(&mut self, name: &str) {
        if !self.names.may_hold(name.as_bytes()) {
            return;
        }
        let buffer = &self.buffer;
        self.places.retain(|place| place.name.bytes(buffer) != name.as_bytes());
    }

    /// The names that `Connection` lists as its own besides the well-known ones, in lower case.
    pub(super) fn named_by_connection(&self) -> Vec<Vec<u8>> {
        let is_well_known = |token: &[u8]| {
            token.is_empty()
                || [b"keep-alive".as_slice(), b"close", b"upgrade"]
                    .iter()
                    .any(|known| token.eq_ignore_ascii_case(known))
        };
        self.all("connection")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !is_well_known(token))
            .map(<[u8]>::to_ascii_lowercase)
            .collect()
    }
}

fn field<'a>(buffer: &'a [u8], place: &FieldPlace) -> RawField<'a> {
    RawField { name: place.name.bytes(buffer), value: place.value.bytes(buffer), kind: place.kind }
}

fn push_run(out: &mut Vec<u8>, run: &[u8]) {
    if !run.is_empty() {
        out.extend_from_slice(run);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes a field as a line of its own.
pub(super) fn push_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(!name.is_empty() && memchr::memchr3(b'\r', b'\n', 0, value).is_none());
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a head that did not come as HTTP/1 into the form of one that did.
#[derive(Debug, Default)]
pub(super) struct RawWriter {
    buffer: BytesMut,
    places: Vec<FieldPlace>,
}

impl RawWriter {
    pub(super) fn with_room(fields: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(512), places: Vec::with_capacity(fields) }
    }

    /// Copies `bytes` in and says where they stand.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Span {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        Span::of(start..self.buffer.len())
    }

    /// Copies all fields of a map in. Cookies, which HTTP/2 may cut into crumbs, become one field again
    /// (RFC 9113 §8.2.3).
    pub(super) fn put_map(&mut self, map: &HeaderMap) {
        for (name, value) in map.iter().filter(|(name, _)| **name != COOKIE) {
            let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
            let place = FieldPlace { name: self.put(name), value: self.put(value), kind: Kind::of(name) };
            self.places.push(place);
        }
        let crumbs: Vec<&[u8]> = map.get_all(COOKIE).iter().map(|crumb| crumb.as_bytes()).collect();
        if !crumbs.is_empty() {
            let (name, value) = (self.put(b"cookie"), self.put(&crumbs.join(&b"; "[..])));
            self.places.push(FieldPlace { name, value, kind: Kind::Plain });
        }
    }

    pub(super) fn done(self) -> RawFields {
        RawFields::of(self.buffer, self.places)
    }
}

/// A small set of names that says "certainly not in it" for most names without comparing any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameSieve(u64);

impl NameSieve {
    #[inline]
    pub(super) fn add(&mut self, name: &[u8]) {
        self.0 |= Self::bit(name);
    }

    pub(super) fn add_all(&mut self, others: Self) {
        self.0 |= others.0;
    }

    #[inline]
    pub(super) fn may_hold(self, name: &[u8]) -> bool {
        self.0 & Self::bit(name) != 0
    }

    #[inline]
    fn bit(name: &[u8]) -> u64 {
        let [first, .., last] = name else { return 1 };
        let mixed = name.len() + usize::from(*first) * 7 + usize::from(*last) * 31;
        1 << (mixed % 64)
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cookie_crumbs_become_one_field() {
        let mut map = HeaderMap::new();
        for crumb in ["a=1", "b=2", "c=3"] {
            map.append(COOKIE, HeaderValue::from_static(crumb));
        }
        map.insert("x-a", HeaderValue::from_static("1"));
        let mut writer = RawWriter::with_room(2);
        writer.put_map(&map);
        let mut lines = Vec::new();
        writer.done().push_lines(&mut lines, |_| true);
        assert_eq!(lines, b"x-a: 1\r\ncookie: a=1; b=2; c=3\r\n");
    }

    /// Fields of a head as it came, without its first line.
    fn received(head: &str) -> RawFields {
        let mut places = Vec::new();
        let mut start = 0;
        for line in head.split_inclusive("\r\n") {
            let (name, value) = line.trim_end().split_once(':').unwrap();
            let from = start + name.len() + 1 + (value.len() - value.trim_start().len());
            let kind = if name.contains('_') { Kind::Hidden } else { Kind::Plain };
            let value = Span::of(from..from + value.trim().len());
            places.push(FieldPlace { name: Span::of(start..start + name.len()), value, kind });
            start += line.len();
        }
        RawFields::received(BytesMut::from(head), places)
    }

    proptest! {
        /// No spelling of a name lets the sieve say that there is no such field.
        #[test]
        fn a_field_is_found_by_its_name_and_by_no_other(
            names in proptest::collection::vec("[a-cA-C_.-]{1,4}|[!-9;-~]{1,20}", 0..12),
            other in "[a-c_.-]{0,4}",
        ) {
            let head: String = names.iter().map(|name| format!("{name}: 1\r\n")).collect();
            let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
            let mut fields = received(&head);
            for asked in names.iter().chain([&other]) {
                let wanted = names.iter().filter(|name| *name == asked).count();
                prop_assert_eq!(fields.named(asked).count(), wanted, "{}", asked);
            }
            for gone in names.iter().chain([&other]) {
                fields.remove(gone);
                prop_assert_eq!(fields.iter().filter(|field| field.name == gone.as_bytes()).count(), 0);
            }
            prop_assert_eq!(fields.len(), 0);
        }
    }

    #[test]
    fn lines_are_copied_together_only_where_they_came_as_they_go_out() {
        let fields = received(
            "A: 1\r\nB: 2\r\nC:3\r\nD:  4\r\nE: 5 \r\nF:\r\nG: 7\r\nh_h: 8\r\nHost: a\r\nI:\t9\r\nJ: 10\r\n",
        );
        let mut all = Vec::new();
        fields.push_lines(&mut all, |_| true);
        let all = String::from_utf8(all).unwrap();
        assert_eq!(
            all,
            "a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\nf: \r\ng: 7\r\nh_h: 8\r\nhost: a\r\ni: 9\r\nj: 10\r\n"
        );
        // Whatever is left out, what stays is as it was.
        for left_out in 0..1_u32 << 11 {
            let mut some = Vec::new();
            let mut at = 0;
            fields.push_lines(&mut some, |_| {
                at += 1;
                left_out & (1 << (at - 1)) == 0
            });
            let wanted: String = (0..)
                .zip(all.split_inclusive("\r\n"))
                .filter(|(at, _)| left_out & (1 << at) == 0)
                .map(|(_, line)| line)
                .collect();
            assert_eq!(String::from_utf8(some).unwrap(), wanted);
        }
    }
}
