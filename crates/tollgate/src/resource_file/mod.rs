//! Reads a file of resources (CONTRACT §6) and remembers where everything stands.
//!
//! Each resource is read by itself, and reading goes on after an error: the wrong value is taken
//! out, noted with its place, and the rest is read again. So one run of `apply` shows everything
//! that is wrong in a file. Pure: `&str` in, values or located errors out.

mod mend;

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use tollgate_core::{field_error::FieldError, resource::Resources};
use toml::de::{DeTable, DeValue, ValueDeserializer};

use self::mend::{PLACEHOLDER, between_ticks, holder_of, in_words, placeholder, take_out};
use crate::{
    config::syntax_error,
    located::{Lines, Located, Place, nearest},
};

/// The largest file that is read.
pub const FILE_BYTES_MAX: usize = 64 << 20;
/// Errors reported of one resource.
const ERRORS_PER_RESOURCE_MAX: usize = 32;
/// The kinds of this version.
const KINDS: [&str; 12] = [
    "tenant",
    "project",
    "service",
    "policy",
    "consumer",
    "price",
    "budget",
    "event_type",
    "model",
    "meter",
    "webhook",
    "rule",
];

/// A file that was read.
#[derive(Debug)]
pub struct ResourceFile {
    /// What it says.
    pub resources: Resources,
    /// Where it says it.
    pub places: Places,
}

/// Where each value of a file stands, by its path: `policy[2].limit[0].amount`.
#[derive(Debug)]
pub struct Places {
    lines: Lines,
    bytes: HashMap<String, usize>,
}

impl Places {
    /// Puts a place to an error that names a field. A field that is not in the file gets the place
    /// of what should hold it.
    #[must_use]
    pub fn locate(&self, error: &FieldError) -> Located {
        let mut path = error.field.as_str();
        let byte = loop {
            if let Some(byte) = self.bytes.get(path) {
                break *byte;
            }
            match path.rfind(['.', '[']).and_then(|end| path.get(..end)) {
                Some(parent) => path = parent,
                None => break 0,
            }
        };
        Located { place: self.lines.place(byte), field: error.field.clone(), problem: error.problem.clone() }
    }

    /// The place of a path that is in the file.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<Place> {
        self.bytes.get(path).map(|byte| self.lines.place(*byte))
    }
}

/// Reads a file. `name` is what places are called by.
///
/// # Errors
/// Everything that is wrong, in the order of the file's kinds.
pub fn parse(name: &str, text: &str) -> Result<ResourceFile, Vec<Located>> {
    let lines = Lines::new(name, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| syntax_error(&lines, error)).collect());
    }
    let table = table.into_inner();
    let mut bytes = HashMap::new();
    note_table("", &table, &mut bytes);
    let mut reader = Reader { places: Places { lines, bytes }, errors: Vec::new() };
    reader.refuse_unknown_kinds(&table);
    let resources = Resources {
        tenants: reader.all(&table, "tenant"),
        projects: reader.all(&table, "project"),
        services: reader.all(&table, "service"),
        policies: reader.all(&table, "policy"),
        consumers: reader.all(&table, "consumer"),
        prices: reader.all(&table, "price"),
        budgets: reader.all(&table, "budget"),
        event_types: reader.all(&table, "event_type"),
        meters: reader.all(&table, "meter"),
        webhooks: reader.all(&table, "webhook"),
        models: reader.all(&table, "model"),
        rules: reader.all(&table, "rule"),
    };
    if reader.errors.is_empty() {
        Ok(ResourceFile { resources, places: reader.places })
    } else {
        reader.errors.sort();
        Err(reader.errors)
    }
}

fn note_table(prefix: &str, table: &DeTable<'_>, bytes: &mut HashMap<String, usize>) {
    for (key, value) in table.iter() {
        let path =
            if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        note(path, key.span().start, value, bytes);
    }
}

fn note(path: String, at: usize, value: &Spanned<DeValue<'_>>, bytes: &mut HashMap<String, usize>) {
    match value.get_ref() {
        DeValue::Table(table) => note_table(&path, table, bytes),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                note(format!("{path}[{index}]"), item.span().start, item, bytes);
            }
        }
        _ => {}
    }
    bytes.insert(path, at);
}

struct Reader {
    places: Places,
    errors: Vec<Located>,
}

impl Reader {
    fn wrong(&mut self, byte: usize, field: &str, problem: String) {
        self.errors.push(Located { place: self.places.lines.place(byte), field: field.to_owned(), problem });
    }

    fn refuse_unknown_kinds(&mut self, table: &DeTable<'_>) {
        for (key, _) in table.iter() {
            let kind: &str = key.get_ref();
            if KINDS.contains(&kind) {
                continue;
            }
            let problem = match nearest(kind, KINDS) {
                Some(near) => format!("there is no such kind of resource; did you mean `[[{near}]]`?"),
                None => {
                    format!(
                        "there is no such kind of resource in this version; kinds are {}",
                        KINDS.join(", ")
                    )
                }
            };
            self.wrong(key.span().start, kind, problem);
        }
    }

    fn all<T: DeserializeOwned>(&mut self, table: &DeTable<'_>, kind: &'static str) -> Vec<T> {
        let Some(value) = table.get(kind) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(
                value.span().start,
                kind,
                format!("resources stand in lists; write `[[{kind}]]` with two brackets"),
            );
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.one(item, &format!("{kind}[{index}]")))
            .collect()
    }

    /// Reads one resource; whatever cannot be read is noted, so that none is passed over in silence.
    fn one<T: DeserializeOwned>(&mut self, item: &Spanned<DeValue<'_>>, path: &str) -> Option<T> {
        let before = self.errors.len();
        let read = self.read(item, path);
        if read.is_none() && self.errors.len() == before {
            self.wrong(
                item.span().start,
                path,
                "it cannot be read; compare it with the reference".to_owned(),
            );
        }
        read
    }

    /// Notes an error whose place is not told more closely than the resource: a field that it names has one.
    fn wrong_somewhere(&mut self, (byte, path): (usize, &str), message: &str) {
        let named = between_ticks(message, "unknown field ").map(|field| format!("{path}.{field}"));
        let place = named.and_then(|path| Some((*self.places.bytes.get(&path)?, path)));
        match place {
            Some((byte, path)) => self.wrong(byte, &path, in_words(message)),
            None => self.wrong(byte, path, in_words(message)),
        }
    }

    /// Reads one resource; notes everything that is wrong with it.
    fn read<T: DeserializeOwned>(&mut self, item: &Spanned<DeValue<'_>>, path: &str) -> Option<T> {
        let mut rest = item.clone();
        let mut removed: Vec<String> = Vec::new();
        for _ in 0..ERRORS_PER_RESOURCE_MAX {
            let error = match T::deserialize(ValueDeserializer::from(rest.clone())) {
                Ok(value) => return removed.is_empty().then_some(value),
                Err(error) => error,
            };
            let span = error.span().filter(|span| *span != PLACEHOLDER)?;
            let message = error.message();
            if let Some(field) = between_ticks(message, "missing field ") {
                let holder = holder_of(&mut rest, path.to_owned(), &span)?;
                let (table, table_path) = holder;
                let field_path = format!("{table_path}.{field}");
                if !removed.contains(&field_path) {
                    self.wrong(span.start, &field_path, format!("it is missing; add `{field} = …`"));
                    removed.push(field_path);
                }
                let placeholder = placeholder(path, field)?;
                table.insert(
                    Spanned::new(PLACEHOLDER, field.to_owned().into()),
                    Spanned::new(PLACEHOLDER, placeholder),
                );
                continue;
            }
            let Some(field_path) = take_out(&mut rest, path, &span) else {
                self.wrong_somewhere((span.start, path), message);
                return None;
            };
            self.wrong(span.start, &field_path, in_words(message));
            removed.push(field_path);
        }
        None
    }
}
