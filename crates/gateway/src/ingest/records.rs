//! Taking a body apart: where each record begins and ends, and what it says of itself.
//!
//! One pass, record by record, with a breath every so often: a large batch must not hold up the other
//! requests of its lane.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::de::{Deserializer, StrRead};
use tollgate_core::event::{Batch, Content, Record, Slice, moment_us};

use super::{cloud_event, form::Form, members::Members};

/// Records between two breaths, about half a millisecond.
const RECORDS_A_BREATH: usize = 256;

/// Bounds of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) records_max: u32,
    pub(super) record_bytes_max: u32,
}

/// Why a body is no batch.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// What stands around the records is wrong.
    Body(String),
    TooMany {
        records_max: u32,
    },
    /// A record is wrong: which, where in it (JSON pointer, RFC 6901), why.
    Record {
        index: usize,
        path: String,
        reason: String,
    },
}

impl Unreadable {
    pub(super) fn record(index: usize, reason: impl Into<String>) -> Self {
        Self::Record { index, path: String::new(), reason: reason.into() }
    }
}

/// Takes the buffer of a batch apart.
pub(super) async fn read(batch: &mut Batch, form: &Form, bounds: Bounds) -> Result<(), Unreadable> {
    let body = std::mem::take(&mut batch.buffer);
    if let Form::Binary(head) = form {
        let mut parts = Parts::of(batch, body.len(), bounds);
        cloud_event::read_binary(&mut parts, head, &body)?;
        let tail = parts.tail;
        batch.buffer = body;
        batch.buffer.extend_from_slice(&tail);
        return Ok(());
    }
    let text = match std::str::from_utf8(&body) {
        Ok(text) => text,
        Err(error) => {
            return Err(Unreadable::Body(format!("byte {} of the body is not UTF-8", error.valid_up_to())));
        }
    };
    let mut parts = Parts::of(batch, body.len(), bounds);
    read_text(&mut parts, form, text).await?;
    let tail = parts.tail;
    batch.buffer = body;
    batch.buffer.extend_from_slice(&tail);
    Ok(())
}

async fn read_text(parts: &mut Parts<'_>, form: &Form, text: &str) -> Result<(), Unreadable> {
    let mut cursor = Cursor { text, at: 0 };
    match form {
        Form::Json => read_json(parts, &mut cursor).await,
        Form::Lines => read_lines(parts, &mut cursor).await,
        Form::CloudEvents => {
            cursor.expect('[', "an array of CloudEvents")?;
            read_elements(parts, &mut cursor, true).await?;
            cursor.expect_end()
        }
        Form::CloudEvent | Form::Binary(_) => {
            cloud_event::read(parts, &mut cursor)?;
            cursor.expect_end()
        }
    }
}

async fn read_json(parts: &mut Parts<'_>, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
    if cursor.takes('[') {
        read_elements(parts, cursor, false).await?;
        return cursor.expect_end();
    }
    if !cursor.is_envelope() {
        let members = read_record(parts, cursor)?;
        if members {
            return Err(envelope());
        }
        return cursor.expect_end();
    }
    cursor.expect('{', "an object")?;
    // The name and the colon were looked at.
    let _name = cursor.value::<Cow<'_, str>>();
    cursor.expect(':', "`:`")?;
    cursor.expect('[', "an array of records")?;
    read_elements(parts, cursor, false).await?;
    if !cursor.takes('}') {
        return Err(envelope());
    }
    cursor.expect_end()
}

fn envelope() -> Unreadable {
    Unreadable::Body("an object with `records` has no other members: `{\"records\":[{…},…]}`".to_owned())
}

/// The elements of an array whose bracket was taken, and the bracket at its end.
async fn read_elements(
    parts: &mut Parts<'_>,
    cursor: &mut Cursor<'_>,
    events: bool,
) -> Result<(), Unreadable> {
    if cursor.takes(']') {
        return Ok(());
    }
    loop {
        if events {
            cloud_event::read(parts, cursor)?;
        } else {
            read_record(parts, cursor)?;
        }
        if cursor.takes(']') {
            return Ok(());
        }
        if !cursor.takes(',') {
            return Err(Unreadable::Body(format!(
                "byte {}: `,` or `]` must come behind a record",
                cursor.at
            )));
        }
        if parts.batch.records.len().is_multiple_of(RECORDS_A_BREATH) {
            tokio::task::yield_now().await;
        }
    }
}

/// Records one after another. A line break inside a record does no harm.
async fn read_lines(parts: &mut Parts<'_>, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
    while !cursor.is_at_end() {
        read_record(parts, cursor)?;
        if parts.batch.records.len().is_multiple_of(RECORDS_A_BREATH) {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// One plain record; whether it has a member `records`.
fn read_record(parts: &mut Parts<'_>, cursor: &mut Cursor<'_>) -> Result<bool, Unreadable> {
    let index = parts.next_index()?;
    cursor.skip_space();
    let start = cursor.at;
    let members: Members<'_> =
        cursor.value().map_err(|error| Unreadable::record(index, reason_of(&error)))?;
    let data = parts.data(index, start, cursor.at)?;
    let time_us = members.time.as_deref().map(|time| parts.time(index, time)).transpose()?;
    let text = cursor.text;
    let record = Record {
        id: members.id.map(|id| parts.place(text, &id)),
        kind: members.kind.map(|kind| parts.place(text, &kind)),
        source: None,
        version: members.version.map(|version| parts.place(text, &version)),
        time_us,
        data,
        content: Content::Json,
        attributes: (0, 0),
    };
    parts.batch.records.push(record);
    Ok(members.has_records)
}

/// What is wrong with a piece of JSON, without the place, which counts from the record's first byte.
pub(super) fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) if error.line() <= 1 => format!("{reason} (byte {} of the record)", error.column()),
        Some((reason, place)) => format!("{reason} (line {place} of the record)"),
        None => text,
    }
}

/// A place in the text of a body.
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn skip_space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.at += rest.len() - trimmed.len();
    }

    /// Takes a sign behind white space, if it is the next one.
    fn takes(&mut self, sign: char) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len_utf8();
        }
        is_next
    }

    fn expect(&mut self, sign: char, what: &str) -> Result<(), Unreadable> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(Unreadable::Body(format!("byte {}: {what} was expected", self.at)))
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    pub(super) fn expect_end(&mut self) -> Result<(), Unreadable> {
        if self.is_at_end() {
            return Ok(());
        }
        Err(Unreadable::Body(format!("byte {}: nothing may come behind the batch", self.at)))
    }

    /// Whether an object comes whose first member is an array `records`.
    fn is_envelope(&self) -> bool {
        let mut ahead = Cursor { text: self.text, at: self.at };
        ahead.takes('{')
            && ahead.rest().trim_start_matches([' ', '\t', '\r', '\n']).starts_with("\"records\"")
            && ahead.value::<Cow<'_, str>>().is_ok()
            && ahead.takes(':')
            && ahead.takes('[')
    }

    /// One JSON value.
    pub(super) fn value<T: Deserialize<'t>>(&mut self) -> serde_json::Result<T> {
        let mut json = Deserializer::<StrRead<'t>>::from_str(self.rest());
        let value = T::deserialize(&mut json)?;
        // Made only to be asked where the value ended.
        self.at += json.into_iter::<serde::de::IgnoredAny>().byte_offset();
        Ok(value)
    }
}

/// A batch while it is put together.
pub(super) struct Parts<'b> {
    pub(super) batch: &'b mut Batch,
    /// Text that does not stand in the body as it is meant; comes behind the body.
    pub(super) tail: Vec<u8>,
    body_len: usize,
    bounds: Bounds,
}

impl<'b> Parts<'b> {
    fn of(batch: &'b mut Batch, body_len: usize, bounds: Bounds) -> Self {
        Self { batch, tail: Vec::new(), body_len, bounds }
    }

    /// The index of the record that comes next.
    pub(super) fn next_index(&self) -> Result<usize, Unreadable> {
        let index = self.batch.records.len();
        let records_max = self.bounds.records_max;
        if index >= records_max as usize { Err(Unreadable::TooMany { records_max }) } else { Ok(index) }
    }

    /// The data of a record, within its bound.
    pub(super) fn data(&self, index: usize, start: usize, end: usize) -> Result<Slice, Unreadable> {
        let (bytes, most) = (end.saturating_sub(start), self.bounds.record_bytes_max);
        if bytes > most as usize {
            return Err(Unreadable::record(index, format!("{bytes} bytes are over the bound of {most}")));
        }
        Ok(slice(start, end))
    }

    pub(super) fn time(&self, index: usize, text: &str) -> Result<i64, Unreadable> {
        moment_us(text).ok_or_else(|| Unreadable::Record {
            index,
            path: "/time".to_owned(),
            reason: "it is not a time of RFC 3339 such as `2026-01-31T12:00:00Z`".to_owned(),
        })
    }

    /// Where a text is: in the body when it was borrowed from there, else behind it.
    pub(super) fn place(&mut self, body: &str, text: &str) -> Slice {
        let start = (text.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
        if start.checked_add(text.len()).is_some_and(|end| end <= body.len()) {
            return slice(start, start + text.len());
        }
        self.keep(text)
    }

    /// Keeps a text behind the body.
    pub(super) fn keep(&mut self, text: &str) -> Slice {
        let start = self.body_len + self.tail.len();
        self.tail.extend_from_slice(text.as_bytes());
        slice(start, start + text.len())
    }

    /// Keeps bytes behind the body.
    pub(super) fn keep_bytes(&mut self, bytes: &[u8]) -> Slice {
        let start = self.body_len + self.tail.len();
        self.tail.extend_from_slice(bytes);
        slice(start, start + bytes.len())
    }
}

/// Bodies are bounded far below 4 GiB, and what is kept behind them is never longer than they are.
fn slice(start: usize, end: usize) -> Slice {
    Slice { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
}
