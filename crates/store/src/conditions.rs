//! Conditions of a query that is put together from what was asked for.

use crate::sql::Statement;

/// A value that goes in as a parameter.
enum Value {
    Int(i64),
    Text(String),
}

/// Conditions that must all hold, with their values.
#[derive(Default)]
pub(crate) struct Conditions {
    texts: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds one; `?` in the text is the number.
    pub(crate) fn int(&mut self, text: &str, value: i64) {
        self.values.push(Value::Int(value));
        self.place(text);
    }

    /// Adds one; `?` in the text is the words.
    pub(crate) fn text(&mut self, text: &str, value: impl Into<String>) {
        self.values.push(Value::Text(value.into()));
        self.place(text);
    }

    /// Adds one without a value.
    pub(crate) fn plain(&mut self, text: &str) {
        self.texts.push(text.to_owned());
    }

    /// Rows that come after this number and id in an order of both.
    pub(crate) fn past(&mut self, columns: (&str, &str), comparison: &str, at: (i64, i64)) {
        self.values.extend([Value::Int(at.0), Value::Int(at.1)]);
        let last = self.values.len();
        self.texts.push(format!("({}, {}) {comparison} (${}, ${last})", columns.0, columns.1, last - 1));
    }

    /// Rows that come after this name and id in an order of both.
    pub(crate) fn past_name(&mut self, columns: (&str, &str), name: &str, id: i64) {
        self.values.extend([Value::Text(name.to_owned()), Value::Int(id)]);
        let last = self.values.len();
        self.texts.push(format!("({}, {}) > (${}, ${last})", columns.0, columns.1, last - 1));
    }

    /// ` WHERE …`, or nothing.
    pub(crate) fn clause(&self) -> String {
        if self.texts.is_empty() { String::new() } else { format!(" WHERE {}", self.texts.join(" AND ")) }
    }

    /// The statement with the values.
    pub(crate) fn bind(self, statement: Statement) -> Statement {
        self.values.into_iter().fold(statement, |statement, value| match value {
            Value::Int(value) => statement.bind(value),
            Value::Text(value) => statement.bind(value),
        })
    }

    fn place(&mut self, text: &str) {
        self.texts.push(text.replace('?', &format!("${}", self.values.len())));
    }
}

/// The pattern of `LIKE … ESCAPE '\'` for texts that hold this one.
pub(crate) fn contains(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for sign in text.chars() {
        if matches!(sign, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(sign);
    }
    pattern.push('%');
    pattern
}
