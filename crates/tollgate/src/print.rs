//! Printing results: tables for people, JSON for programs; the one place that writes to stdout
//! and stderr.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, TableStyle};
use serde::Serialize;

use crate::{cli::OutputFormat, failure::Failure};

/// Columns of a table when the terminal does not say how wide it is.
const WIDTH_DEFAULT: u16 = 160;

/// Where and how a command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    format: OutputFormat,
    asked: bool,
}

impl Printer {
    /// Prints in the format asked for, or in the one that fits what stdout is.
    pub(crate) fn new(asked: Option<OutputFormat>) -> Self {
        let fitting = if std::io::stdout().is_terminal() { OutputFormat::Table } else { OutputFormat::Json };
        Self { format: asked.unwrap_or(fitting), asked: asked.is_some() }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == OutputFormat::Json
    }

    pub(crate) fn is_csv(self) -> bool {
        self.format == OutputFormat::Csv
    }

    /// Whether nobody said how to print.
    pub(crate) fn is_default(self) -> bool {
        !self.asked
    }

    /// Prints a result: the value as JSON, or what `human` makes of it.
    pub(crate) fn result<T: Serialize + ?Sized>(
        self,
        value: &T,
        human: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Json => self.json(value),
            OutputFormat::Table => self.text(&human()),
            OutputFormat::Csv => Err(Failure::Usage(
                "this result has no CSV; use `--output table` or `--output json`".to_owned(),
            )),
        }
    }

    /// Prints lines of fields as CSV (RFC 4180).
    pub(crate) fn csv(self, lines: &[Vec<String>]) -> Result<(), Failure> {
        let mut text = String::new();
        for line in lines {
            let fields: Vec<String> = line.iter().map(|field| csv_field(field)).collect();
            text.push_str(&fields.join(","));
            text.push_str("\r\n");
        }
        self.text(&text)
    }

    /// Prints a value as indented JSON.
    pub(crate) fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        self.text(&serde_json::to_string_pretty(value).map_err(Failure::failed)?)
    }

    /// Prints a value as one line of JSON.
    pub(crate) fn json_line<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        self.text(&serde_json::to_string(value).map_err(Failure::failed)?)
    }

    /// Prints a text and ends its last line.
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }
}

/// Says something beside the result: progress, warnings, errors. Nobody reading is no error.
pub(crate) fn say(text: &str) {
    let _ignored = writeln!(std::io::stderr().lock(), "{text}");
}

/// A field, in quotes where it needs them. What a spreadsheet would take for a formula gets a quote first.
fn csv_field(value: &str) -> String {
    let is_formula = value.starts_with(['=', '+', '@', '\t', '\r'])
        || (value.starts_with('-') && value.parse::<f64>().is_err());
    let value = if is_formula { format!("'{value}") } else { value.to_owned() };
    if value.contains(['"', ',', '\r', '\n']) {
        return format!("\"{}\"", value.replace('"', "\"\""));
    }
    value
}

/// A table of columns set apart by two spaces.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    columns(&header, rows.into_iter().map(Vec::from))
}

/// As [`table`], with columns that are known only at run time.
pub(crate) fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(terminal_width());
    table.set_header(header.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Fields of one thing, a line each; empty ones are left away.
pub(crate) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let shown = pairs.iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(name, value)| format!("{name:<width$}{value}\n")).collect()
}

/// How many columns the terminal has.
fn terminal_width() -> u16 {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| size.ws_col).filter(|columns| *columns >= 40).unwrap_or(WIDTH_DEFAULT)
}
