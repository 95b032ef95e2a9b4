//! The few members of JSON documents that metering is after, read as the documents stream by.
//!
//! A document may be of any size (a page of embeddings is tens of megabytes); what is kept is the
//! captured members, each within a bound, and a key. Documents come one after another, alone or as the
//! elements of one array. This is no validating parser: what it captures is parsed by one.

use memchr::memchr2;

/// The most that is kept of one captured member. The usage of a call takes some hundred bytes, and as
/// many for each of its samplings.
pub(super) const MEMBER_BYTES_MAX: usize = 64 * 1024;
/// The longest key that means anything.
const KEY_LEN_MAX: usize = 24;

/// Keys whose strings are what a model produced.
const TEXT_KEYS: [&[u8]; 10] = [
    b"content",
    b"text",
    b"reasoning",
    b"reasoning_content",
    b"refusal",
    b"arguments",
    b"thinking",
    b"partial_json",
    b"delta",
    b"transcript",
];
/// Keys whose string says that an answer came to its end.
const END_KEYS: [&[u8]; 4] = [b"finish_reason", b"finishReason", b"stop_reason", b"blockReason"];

/// Which members are captured: those of these names, at the top of a document and inside one of its
/// members `parent`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) parent: &'static [u8],
    pub(super) names: [&'static [u8]; NAMES],
}

/// Members that are captured of a document at most.
pub(super) const NAMES: usize = 4;

/// What was captured of one document, by the order of [`Wanted::names`]. The last member of a name wins.
#[derive(Debug, Default)]
pub(super) struct Captured {
    slots: [Slot; NAMES],
    /// Whether the answer says that it came to its end.
    pub(super) ended: bool,
    /// Bytes of what the model produced, as JSON has them.
    pub(super) text_bytes: u64,
}

#[derive(Debug, Default)]
struct Slot {
    bytes: Vec<u8>,
    is_there: bool,
    is_over: bool,
}

/// A captured member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member<'a> {
    Absent,
    /// Longer than what is kept.
    TooLong,
    Json(&'a [u8]),
}

impl Captured {
    pub(super) fn member(&self, name: usize) -> Member<'_> {
        match self.slots.get(name) {
            Some(slot) if slot.is_over => Member::TooLong,
            Some(slot) if slot.is_there => Member::Json(&slot.bytes),
            _ => Member::Absent,
        }
    }

    fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.bytes.clear();
            (slot.is_there, slot.is_over) = (false, false);
        }
        self.ended = false;
        self.text_bytes = 0;
    }
}

/// Where in the documents one is.
#[derive(Debug)]
pub(super) struct Members {
    wanted: Wanted,
    captured: Captured,
    /// The depth that documents stand at: 0, or 1 inside an array of them.
    base: u32,
    depth: u32,
    begun: bool,
    token: Token,
    /// The string that was just read, and may turn out to be a key.
    string: Short,
    string_len: u64,
    /// The last key, at whatever depth.
    key: Short,
    in_parent: bool,
    /// The member whose value comes next.
    expected: Option<usize>,
    capture: Option<Capture>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Between,
    /// A string was read; a colon next makes it a key.
    AfterString,
    String {
        escaped: bool,
    },
}

/// A member that is being captured.
#[derive(Clone, Copy, Debug)]
struct Capture {
    slot: usize,
    /// The depth that its container is at.
    depth: u32,
}

/// The beginning of a string.
#[derive(Clone, Copy, Debug, Default)]
struct Short {
    bytes: [u8; KEY_LEN_MAX],
    len: usize,
    /// Longer than what is kept: equal to nothing.
    is_over: bool,
}

impl Short {
    fn push(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(part);
                self.len = end;
            }
            None => self.is_over = true,
        }
    }

    fn is(&self, name: &[u8]) -> bool {
        !self.is_over && self.bytes.get(..self.len) == Some(name)
    }
}

impl Members {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            captured: Captured::default(),
            base: 0,
            depth: 0,
            begun: false,
            token: Token::Between,
            string: Short::default(),
            string_len: 0,
            key: Short::default(),
            in_parent: false,
            expected: None,
            capture: None,
        }
    }

    /// Forgets everything: a new document begins.
    pub(super) fn reset(&mut self) {
        self.captured.clear();
        (self.base, self.depth, self.begun) = (0, 0, false);
        (self.token, self.in_parent, self.expected, self.capture) = (Token::Between, false, None, None);
        (self.string, self.key) = (Short::default(), Short::default());
    }

    /// Whether all that was begun is ended.
    pub(super) fn is_whole(&self) -> bool {
        self.depth == 0 && !matches!(self.token, Token::String { .. })
    }

    /// Whether anything but white space came.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the documents stand in an array.
    pub(super) fn is_list(&self) -> bool {
        self.base == 1
    }

    /// What is known of a document that has not ended.
    pub(super) fn unfinished(&self) -> &Captured {
        &self.captured
    }

    /// Takes the next bytes; says every document that ends in them.
    pub(super) fn feed(&mut self, bytes: &[u8], mut document: impl FnMut(&Captured)) {
        let mut at = 0;
        // Where the part of `bytes` begins that is captured and not yet kept.
        let mut from = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Token::String { escaped } = self.token {
                at = self.in_string(bytes, at, escaped);
                continue;
            }
            let ends = self.capture.is_some_and(|capture| self.ends_value(byte, capture));
            if ends {
                self.keep(bytes.get(from..at).unwrap_or_default());
                self.capture = None;
            }
            if let Some(slot) = self.begins_value(byte) {
                self.begin_capture(slot);
                from = at;
            }
            self.structure(byte, &mut document);
            at += 1;
        }
        if self.capture.is_some() {
            self.keep(bytes.get(from..).unwrap_or_default());
        }
    }

    /// Goes through a string as far as it is there; returns the place behind what was taken.
    fn in_string(&mut self, bytes: &[u8], at: usize, escaped: bool) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        if escaped {
            self.take_string(rest.get(..1).unwrap_or_default());
            self.token = Token::String { escaped: false };
            return at + 1;
        }
        let Some(end) = memchr2(b'"', b'\\', rest) else {
            self.take_string(rest);
            return bytes.len();
        };
        self.take_string(rest.get(..end).unwrap_or_default());
        if rest.get(end) == Some(&b'\\') {
            self.take_string(b"\\");
            self.token = Token::String { escaped: true };
        } else {
            self.token = Token::AfterString;
        }
        at + end + 1
    }

    fn take_string(&mut self, part: &[u8]) {
        self.string_len = self.string_len.saturating_add(part.len() as u64);
        self.string.push(part);
    }

    /// Whether a byte that is in no string ends the captured value before it.
    fn ends_value(&self, byte: u8, capture: Capture) -> bool {
        self.depth == capture.depth && matches!(byte, b',' | b'}' | b']')
    }

    /// The slot of the value that begins with this byte, if it is to be captured.
    fn begins_value(&mut self, byte: u8) -> Option<usize> {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b':') {
            return None;
        }
        self.expected.take()
    }

    fn begin_capture(&mut self, slot: usize) {
        self.capture = Some(Capture { slot, depth: self.depth });
        if let Some(slot) = self.captured.slots.get_mut(slot) {
            slot.bytes.clear();
            (slot.is_there, slot.is_over) = (true, false);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let slot = self.capture.and_then(|capture| self.captured.slots.get_mut(capture.slot));
        if let Some(slot) = slot {
            if slot.bytes.len() + part.len() > MEMBER_BYTES_MAX {
                slot.is_over = true;
                slot.bytes.clear();
            } else if !slot.is_over {
                slot.bytes.extend_from_slice(part);
            }
        }
    }

    fn structure(&mut self, byte: u8, document: &mut impl FnMut(&Captured)) {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            return;
        }
        if self.token == Token::AfterString {
            self.token = Token::Between;
            if byte == b':' { self.string_was_key() } else { self.string_was_value() }
        }
        if !std::mem::replace(&mut self.begun, true) && byte == b'[' {
            self.base = 1;
        }
        match byte {
            b'"' => {
                self.token = Token::String { escaped: false };
                (self.string, self.string_len) = (Short::default(), 0);
            }
            b'{' | b'[' => {
                if self.depth == self.base + 1 {
                    self.in_parent = byte == b'{' && self.key.is(self.wanted.parent);
                }
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == self.base && byte == b'}' {
                    document(&self.captured);
                    self.captured.clear();
                    self.capture = None;
                }
            }
            _ => {}
        }
    }

    fn string_was_key(&mut self) {
        self.key = self.string;
        let here = self.depth == self.base + 1 || (self.depth == self.base + 2 && self.in_parent);
        if here && self.capture.is_none() {
            self.expected = self.wanted.names.iter().position(|name| self.key.is(name));
        }
    }

    fn string_was_value(&mut self) {
        if TEXT_KEYS.iter().any(|key| self.key.is(key)) {
            self.captured.text_bytes = self.captured.text_bytes.saturating_add(self.string_len);
        }
        if END_KEYS.iter().any(|key| self.key.is(key)) {
            self.captured.ended = true;
        }
    }
}
