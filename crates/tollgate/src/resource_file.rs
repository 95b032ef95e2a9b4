//! Reads a file of resources (CONTRACT §6) and remembers where everything stands.
//!
//! Each resource is read by itself, and reading goes on after an error: the wrong value is taken
//! out, noted with its place, and the rest is read again. So one run of `apply` shows everything
//! that is wrong in a file. Pure: `&str` in, values or located errors out.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use tollgate_core::{policy::FieldError, resource::Resources};
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::{
    config::syntax_error,
    located::{Lines, Located, Place, nearest},
};

/// The largest file that is read.
pub const FILE_BYTES_MAX: usize = 64 << 20;
/// Errors reported of one resource.
const ERRORS_PER_RESOURCE_MAX: usize = 32;
/// The kinds of this version.
const KINDS: [&str; 5] = ["tenant", "project", "service", "policy", "consumer"];

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

    /// Reads one resource; notes everything that is wrong with it.
    fn one<T: DeserializeOwned>(&mut self, item: &Spanned<DeValue<'_>>, path: &str) -> Option<T> {
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
                let placeholder = placeholder(field)?;
                table.insert(
                    Spanned::new(PLACEHOLDER, field.to_owned().into()),
                    Spanned::new(PLACEHOLDER, placeholder),
                );
                continue;
            }
            let Some(field_path) = take_out(&mut rest, path, &span) else {
                self.wrong(span.start, path, in_words(message));
                return None;
            };
            self.wrong(span.start, &field_path, in_words(message));
            removed.push(field_path);
        }
        None
    }
}

/// The span of what stands in for a wrong value, so that the rest can be read.
const PLACEHOLDER: std::ops::Range<usize> = 0..0;

/// Something acceptable for a field that must be there.
fn placeholder(field: &str) -> Option<DeValue<'static>> {
    let text = match field {
        "tenant" | "project" | "name" | "path" | "from" | "to" => "x",
        "kind" => "proxy",
        "window" => "1s",
        "period" => "day",
        "amount" => return DeValue::parse("1").ok().map(Spanned::into_inner),
        "origins" => return DeValue::parse("[]").ok().map(Spanned::into_inner),
        _ => return None,
    };
    Some(DeValue::String(text.into()))
}

/// The table with this span, and its path.
fn holder_of<'t, 'i>(
    value: &'t mut Spanned<DeValue<'i>>,
    path: String,
    span: &std::ops::Range<usize>,
) -> Option<(&'t mut DeTable<'i>, String)> {
    let own = value.span();
    match value.get_mut() {
        DeValue::Table(table) => {
            if own == *span {
                return Some((table, path));
            }
            table
                .iter_mut()
                .find_map(|(key, value)| holder_of(value, format!("{path}.{}", key.get_ref()), span))
        }
        DeValue::Array(items) => items
            .iter_mut()
            .enumerate()
            .find_map(|(index, item)| holder_of(item, format!("{path}[{index}]"), span)),
        _ => None,
    }
}

/// Takes the key or value with this span out of a resource; gives its path. Items of a list are
/// replaced instead, so that the numbers of the others stay.
fn take_out(value: &mut Spanned<DeValue<'_>>, path: &str, span: &std::ops::Range<usize>) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => {
            let mut inner = None;
            let mut own = None;
            for (key, value) in table.iter_mut() {
                let path = format!("{path}.{}", key.get_ref());
                if key.span() == *span {
                    own = Some((key.get_ref().clone(), path));
                    break;
                }
                // The deepest value with the span is the wrong one: dotted keys share theirs.
                inner = take_out(value, &path, span);
                if inner.is_some() {
                    break;
                }
                if value.span() == *span {
                    own = Some((key.get_ref().clone(), path));
                    break;
                }
            }
            let Some((key, path)) = own else { return inner };
            table.remove(&*key);
            Some(path)
        }
        DeValue::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let path = format!("{path}[{index}]");
                let inner = take_out(item, &path, span);
                if inner.is_some() {
                    return inner;
                }
                if item.span() == *span {
                    *item = Spanned::new(PLACEHOLDER, DeValue::String("x".into()));
                    return Some(path);
                }
            }
            None
        }
        _ => None,
    }
}

fn between_ticks<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    message.strip_prefix(before)?.strip_prefix('`')?.split('`').next()
}

/// What serde says, as problem and remedy.
fn in_words(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join("; ");
    let quoted =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    if let Some(field) = between_ticks(&message, "unknown field ") {
        let known = quoted(&message).split_off(1);
        let names = known.iter().map(String::as_str);
        return match nearest(field, names) {
            Some(near) => format!("there is no such field; did you mean `{near}`?"),
            None => format!("there is no such field here; fields are {}", known.join(", ")),
        };
    }
    if let Some(value) = between_ticks(&message, "unknown variant ") {
        let known = quoted(&message).split_off(1);
        return format!("`{value}` is not a value for it; use {}", known.join(" or "));
    }
    let invalid = ["invalid type: ", "invalid value: "].iter().find_map(|kind| message.strip_prefix(kind));
    match invalid.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, wanted)) => format!("it is {found}, and must be {}", wanted_in_words(wanted)),
        None => message,
    }
}

/// A Rust type as TOML's users call it.
fn wanted_in_words(wanted: &str) -> &str {
    match wanted {
        "a sequence" => "a list in brackets",
        "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more",
        "a string" => "a text in quotes",
        "a map" => "a table in braces",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") => "a table in braces",
        other => other,
    }
}
