//! Reads a file of keys to import, row by row: CSV with a header, or JSON lines.
//!
//! A row that cannot be read is handed on with its line and the reason; reading goes on. Memory is
//! bounded by one row. Nothing read here is ever repeated in a message: it may be a credential.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
};

use serde_json::Value;
use tollgate_core::secret::Secret;
use tollgate_store::ImportRow;

use crate::cli::time::rfc3339_us;

/// The longest line of JSON that is read.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The longest row of CSV that is read.
const ROW_BYTES_MAX: usize = 64 * 1024;

/// One row of the file.
pub(crate) enum Row {
    /// It could be read.
    Good(Box<ImportRow>),
    /// It could not.
    Bad {
        /// Where it stands.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// The rows of a file.
///
/// # Errors
/// When the header of a CSV file cannot be used.
pub(crate) fn rows(
    input: impl Read + Send + 'static,
    json_lines: bool,
) -> Result<Box<dyn Iterator<Item = Row> + Send>, String> {
    if json_lines {
        return Ok(Box::new(JsonLines { input: BufReader::new(input), line: 0 }));
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(input);
    let header: Vec<String> = reader
        .headers()
        .map_err(|_| "the header line of the CSV file cannot be read; it must be UTF-8 text".to_owned())?
        .iter()
        .map(str::to_ascii_lowercase)
        .collect();
    if !header.iter().any(|name| SECRET_NAMES.contains(&name.as_str())) {
        return Err(
            "the CSV file needs a header line with a column `hash` (or `key` for --scheme plain)".to_owned()
        );
    }
    Ok(Box::new(Csv { reader, header }))
}

/// The columns that may hold the secret.
const SECRET_NAMES: [&str; 3] = ["hash", "key", "secret"];

struct Csv<R: Read> {
    reader: csv::Reader<R>,
    header: Vec<String>,
}

impl<R: Read> Iterator for Csv<R> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let mut record = csv::StringRecord::new();
        match self.reader.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => Some(self.row(&record)),
            Err(error) if error.is_io_error() => None,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                Some(Row::Bad { line, reason: "it is not UTF-8 text or not CSV".to_owned() })
            }
        }
    }
}

impl<R: Read> Csv<R> {
    fn row(&self, record: &csv::StringRecord) -> Row {
        let line = self.line(record);
        if record.len() > self.header.len() || record.as_slice().len() > ROW_BYTES_MAX {
            let reason = format!("it has {} fields, the header has {}", record.len(), self.header.len());
            return Row::Bad { line, reason };
        }
        let fields = self.header.iter().zip(record.iter());
        row(line, fields.map(|(name, value)| (name.clone(), value.to_owned())))
    }

    /// The line a record begins on. The reader counts empty lines before a record as part of it.
    fn line(&self, record: &csv::StringRecord) -> u64 {
        let start = record.position().map_or(0, csv::Position::line);
        let breaks = record.as_slice().bytes().filter(|byte| *byte == b'\n').count() as u64;
        start.max(self.reader.position().line().saturating_sub(1 + breaks))
    }
}

struct JsonLines<R: Read> {
    input: BufReader<R>,
    line: u64,
}

impl<R: Read> Iterator for JsonLines<R> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            let mut text = Vec::new();
            let limit = LINE_BYTES_MAX as u64 + 1;
            let read = Read::take(&mut self.input, limit).read_until(b'\n', &mut text).ok()?;
            if read == 0 {
                return None;
            }
            self.line += 1;
            if read > LINE_BYTES_MAX {
                let _rest = self.input.skip_until(b'\n');
                return Some(self.bad("the line is longer than 64 KiB"));
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return Some(match serde_json::from_slice::<BTreeMap<String, Value>>(&text) {
                Ok(fields) => json_row(self.line, fields),
                Err(_) => self.bad("it is not one JSON object"),
            });
        }
    }
}

impl<R: Read> JsonLines<R> {
    fn bad(&self, reason: &str) -> Row {
        Row::Bad { line: self.line, reason: reason.to_owned() }
    }
}

fn json_row(line: u64, mut fields: BTreeMap<String, Value>) -> Row {
    let metadata = fields.remove("metadata");
    let inner = match metadata {
        Some(Value::Object(inner)) => inner,
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(_) => return Row::Bad { line, reason: "`metadata` is not an object of texts".to_owned() },
    };
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    };
    let mut flat = Vec::new();
    for (name, value) in fields.into_iter().chain(inner) {
        match text(value) {
            Some(value) => flat.push((name, value)),
            None => return Row::Bad { line, reason: format!("`{name}` is neither a text nor a number") },
        }
    }
    row(line, flat.into_iter())
}

fn row(line: u64, fields: impl Iterator<Item = (String, String)>) -> Row {
    let mut row = ImportRow {
        line,
        secret: Secret::new(String::new()),
        prefix: None,
        last4: None,
        consumer: None,
        policy: None,
        environment: None,
        name: None,
        expires_us: None,
        metadata: BTreeMap::new(),
    };
    for (name, value) in fields.filter(|(_, value)| !value.is_empty()) {
        if let Err(reason) = put(&mut row, &name, value) {
            return Row::Bad { line, reason };
        }
    }
    if row.secret.expose().is_empty() {
        return Row::Bad { line, reason: "it has no `hash` (or `key`)".to_owned() };
    }
    Row::Good(Box::new(row))
}

fn put(row: &mut ImportRow, name: &str, value: String) -> Result<(), String> {
    match name {
        "hash" | "key" | "secret" => row.secret = Secret::new(value),
        "prefix" => row.prefix = Some(value),
        "last4" => row.last4 = Some(value),
        "consumer" => row.consumer = Some(value),
        "policy" => row.policy = Some(value),
        "name" => row.name = Some(value),
        "environment" => row.environment = Some(value.parse()?),
        "expires" | "expires_at" => {
            let at_us = rfc3339_us(&value);
            row.expires_us =
                Some(at_us.ok_or("`expires` is no time; write `2027-01-31T12:00:00Z` or `2027-01-31`")?);
        }
        other => {
            row.metadata.insert(other.strip_prefix("metadata.").unwrap_or(other).to_owned(), value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Row, rows};

    fn read(text: &'static str, json_lines: bool) -> Vec<String> {
        let rows = rows(text.as_bytes(), json_lines).expect("a header");
        rows.map(|row| match row {
            Row::Good(row) => format!(
                "{} {} {:?} {:?} {:?}",
                row.line,
                row.secret.expose(),
                row.consumer,
                row.expires_us,
                row.metadata
            ),
            Row::Bad { line, reason } => format!("{line} bad: {reason}"),
        })
        .collect()
    }

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let csv =
            "Hash,consumer,expires,team\nab,one,1970-01-02,blue\n\ncd,,,\n,two,,\nx,y,tomorrow,\na,b,c,d,e\n";
        let json = concat!(
            "{\"hash\":\"ab\",\"consumer\":\"one\",\"expires\":\"1970-01-02\",\"metadata\":{\"team\":\"blue\"}}\n",
            "\n",
            "{\"hash\":\"cd\",\"consumer\":null}\n",
            "{\"consumer\":\"two\"}\n",
            "{\"hash\":\"x\",\"expires\":\"tomorrow\"}\n",
            "[1]\n",
            "{\"hash\":\"x\",\"tags\":[]}\n",
        );
        insta::assert_debug_snapshot!((read(csv, false), read(json, true)));
    }

    #[test]
    fn a_csv_without_the_column_is_refused_at_once() {
        assert!(rows("consumer,name\na,b\n".as_bytes(), false).is_err());
    }
}
