//! Event streams by the rules of the WHATWG (HTML, "Server-sent events"): lines end with CR, LF or
//! CRLF, a byte order mark may come first, an event's data may have many lines, and a line that begins
//! with a colon is a comment.
//!
//! Fed in any pieces, with the same result. No data is kept: it is handed on as it comes. What is kept
//! is the beginning of one field's name and of one event's name.

use memchr::memchr2;

/// The longest field name that means anything is `event`; one byte more tells others apart.
const FIELD_LEN_MAX: usize = 6;
/// Bytes that are kept of an event's name.
const NAME_LEN_MAX: usize = 64;
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Who is told what an event stream says.
pub(super) trait Events {
    /// A piece of the present event's data.
    fn data(&mut self, piece: &[u8]);
    /// The present event is whole. Its name is empty when it has none, and cut after 64 bytes.
    fn end(&mut self, name: &[u8]);
}

/// Where in a stream one is.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    place: Place,
    /// The beginning of the present line's field name.
    field: Vec<u8>,
    /// The name of the present event.
    name: Vec<u8>,
    has_data: bool,
    /// The last line ended with CR: an LF that comes next belongs to it.
    after_cr: bool,
    /// How much of the byte order mark was seen; 3 when it is past.
    mark: usize,
}

/// Where in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    Field,
    /// Behind the colon, where one space is left out.
    Colon(Field),
    Value(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Other,
}

impl EventStream {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8], events: &mut impl Events) {
        bytes = self.past_mark(bytes);
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', bytes) else {
                self.part_of_line(bytes, events);
                return;
            };
            let (line, rest) = bytes.split_at(end);
            self.part_of_line(line, events);
            self.end_of_line(events);
            self.after_cr = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
        }
    }

    /// The stream is over. An event whose blank line never came is handed on all the same: whether it
    /// is whole, its JSON tells.
    pub(super) fn finish(&mut self, events: &mut impl Events) {
        if self.place != Place::Start {
            self.end_of_line(events);
        }
        if self.has_data {
            self.end_of_line(events);
        }
    }

    fn past_mark<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        while let (Some(wanted), Some(byte)) = (BYTE_ORDER_MARK.get(self.mark), bytes.first()) {
            if byte != wanted {
                if self.mark > 0 {
                    // Part of a mark is no field that means anything.
                    self.place = Place::Value(Field::Other);
                }
                self.mark = BYTE_ORDER_MARK.len();
                break;
            }
            self.mark += 1;
            bytes = bytes.get(1..).unwrap_or_default();
        }
        bytes
    }

    fn part_of_line(&mut self, mut part: &[u8], events: &mut impl Events) {
        if part.is_empty() {
            return;
        }
        if matches!(self.place, Place::Start | Place::Field) {
            self.place = Place::Field;
            let colon = part.iter().position(|byte| *byte == b':');
            let name = part.get(..colon.unwrap_or(part.len())).unwrap_or_default();
            let room = FIELD_LEN_MAX.saturating_sub(self.field.len()).min(name.len());
            self.field.extend_from_slice(name.get(..room).unwrap_or_default());
            let Some(colon) = colon else { return };
            self.place = Place::Colon(self.field_named());
            part = part.get(colon + 1..).unwrap_or_default();
        }
        if let Place::Colon(field) = self.place {
            let Some(first) = part.first() else { return };
            self.begin_value(field, events);
            if *first == b' ' {
                part = part.get(1..).unwrap_or_default();
            }
        }
        match self.place {
            Place::Value(Field::Data) if !part.is_empty() => events.data(part),
            Place::Value(Field::Event) => {
                let room = NAME_LEN_MAX.saturating_sub(self.name.len()).min(part.len());
                self.name.extend_from_slice(part.get(..room).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// A line that begins with a colon has an empty field name: a comment.
    fn field_named(&self) -> Field {
        match self.field.as_slice() {
            b"data" => Field::Data,
            b"event" => Field::Event,
            _ => Field::Other,
        }
    }

    fn begin_value(&mut self, field: Field, events: &mut impl Events) {
        self.place = Place::Value(field);
        match field {
            Field::Data if std::mem::replace(&mut self.has_data, true) => events.data(b"\n"),
            Field::Event => self.name.clear(),
            Field::Data | Field::Other => {}
        }
    }

    fn end_of_line(&mut self, events: &mut impl Events) {
        match self.place {
            Place::Start => {
                if std::mem::take(&mut self.has_data) {
                    events.end(&self.name);
                }
                self.name.clear();
            }
            // A field without a colon has an empty value.
            Place::Field => self.begin_value(self.field_named(), events),
            Place::Colon(field) => self.begin_value(field, events),
            Place::Value(_) => {}
        }
        self.place = Place::Start;
        self.field.clear();
    }
}
