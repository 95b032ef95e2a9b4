//! Thin words around sqlx: one kind of statement, rows read by position, values for bulk inserts.

use std::{borrow::Cow, sync::Arc};

use sqlx::{
    Any, AnyConnection, Arguments as _, AssertSqlSafe, Encode, Row as _, Type, any::AnyArguments,
    query::Query,
};

use crate::error::StoreError;

pub(crate) type Row = sqlx::any::AnyRow;

/// The parameters a bulk statement may have; both engines take at least 32766.
const PARAMETERS_MAX: usize = 4000;

/// A statement with its values.
pub(crate) struct Statement {
    text: Text,
    /// Whether the parameters stand in the text in their order, each once.
    ordered: bool,
    arguments: AnyArguments,
    error: Option<sqlx::error::BoxDynError>,
}

enum Text {
    Own(Cow<'static, str>),
    Shared(Arc<str>),
}

/// A statement as written.
pub(crate) fn sql(text: &'static str) -> Statement {
    with_text(Text::Own(Cow::Borrowed(text)))
}

fn with_text(text: Text) -> Statement {
    Statement { text, ordered: false, arguments: AnyArguments::default(), error: None }
}

/// A statement put together from texts of this crate; values only ever go in as parameters.
pub(crate) fn built(text: String) -> Statement {
    with_text(Text::Own(Cow::Owned(text)))
}

/// A statement with the [`places`] of many rows, and no parameter beside them.
pub(crate) fn bulk(text: String) -> Statement {
    Statement { ordered: true, ..built(text) }
}

/// The texts of one bulk statement: made once for each number of rows, of which there are two at most
/// when all but the last time as many rows come as fit.
pub(crate) struct Bulk {
    before: &'static str,
    columns: usize,
    after: &'static str,
    is_sqlite: bool,
    last: Option<(usize, Arc<str>)>,
}

impl Bulk {
    /// A statement that says `before`, then the places of its rows, then `after`.
    pub(crate) fn new(
        conn: &AnyConnection,
        before: &'static str,
        columns: usize,
        after: &'static str,
    ) -> Self {
        Self { before, columns, after, is_sqlite: is_sqlite(conn), last: None }
    }

    /// How many rows may go into one statement.
    pub(crate) const fn rows_max(&self) -> usize {
        rows_max(self.columns)
    }

    /// The statement for so many rows, to be bound in order.
    pub(crate) fn of(&mut self, rows: usize) -> Statement {
        let text = match &self.last {
            Some((known, text)) if *known == rows => Arc::clone(text),
            _ => {
                let text = format!("{}{}{}", self.before, places(rows, self.columns), self.after);
                let text: Arc<str> = if self.is_sqlite { nameless(&text) } else { text }.into();
                self.last = Some((rows, Arc::clone(&text)));
                text
            }
        };
        with_text(Text::Shared(text))
    }
}

impl Statement {
    /// Adds the next value.
    pub(crate) fn bind<T>(mut self, value: T) -> Self
    where
        T: Encode<'static, Any> + Type<Any>,
    {
        if let Err(error) = self.arguments.add(value) {
            self.error.get_or_insert(error);
        }
        self
    }

    fn query(self, conn: &AnyConnection) -> Result<Query<'static, Any, AnyArguments>, StoreError> {
        if let Some(error) = self.error {
            return Err(sqlx::Error::Encode(error).into());
        }
        // To SQLite `$n` is a name, and it looks every name up in a list: thousands of parameters
        // cost millions of steps. `?` has no name.
        Ok(match self.text {
            Text::Shared(text) => sqlx::query_with(AssertSqlSafe(text), self.arguments),
            Text::Own(text) if self.ordered && is_sqlite(conn) => {
                sqlx::query_with(AssertSqlSafe(nameless(&text)), self.arguments)
            }
            Text::Own(text) => sqlx::query_with(AssertSqlSafe(text), self.arguments),
        })
    }
}

fn is_sqlite(conn: &AnyConnection) -> bool {
    conn.backend_name() == "SQLite"
}

fn nameless(text: &str) -> String {
    let mut parts = text.split('$');
    let mut nameless = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        nameless.push('?');
        nameless.push_str(part.trim_start_matches(|sign: char| sign.is_ascii_digit()));
    }
    nameless
}

/// Runs it; says how many rows it touched.
pub(crate) async fn run(statement: Statement, conn: &mut AnyConnection) -> Result<u64, StoreError> {
    Ok(statement.query(conn)?.execute(conn).await?.rows_affected())
}

/// Its rows.
pub(crate) async fn all(statement: Statement, conn: &mut AnyConnection) -> Result<Vec<Row>, StoreError> {
    Ok(statement.query(conn)?.fetch_all(conn).await?)
}

/// Its first row, if there is one. To be used where there is at most one.
pub(crate) async fn one(statement: Statement, conn: &mut AnyConnection) -> Result<Option<Row>, StoreError> {
    Ok(statement.query(conn)?.fetch_optional(conn).await?)
}

/// Its only row.
pub(crate) async fn only(statement: Statement, conn: &mut AnyConnection) -> Result<Row, StoreError> {
    one(statement, conn).await?.ok_or_else(|| StoreError::corrupt("a row that is always there is missing"))
}

/// Columns by position.
pub(crate) trait Columns {
    fn int(&self, column: usize) -> Result<i64, StoreError>;
    fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError>;
    fn text(&self, column: usize) -> Result<&str, StoreError>;
    fn opt_text(&self, column: usize) -> Result<Option<&str>, StoreError>;
    fn blob(&self, column: usize) -> Result<&[u8], StoreError>;
    fn opt_blob(&self, column: usize) -> Result<Option<&[u8]>, StoreError>;

    /// A count or amount, which is never negative.
    fn count(&self, column: usize) -> Result<u64, StoreError> {
        Ok(self.int(column)?.max(0).unsigned_abs())
    }

    /// A SHA-256.
    fn hash(&self, column: usize) -> Result<[u8; 32], StoreError> {
        self.blob(column)?.try_into().map_err(|_| StoreError::corrupt("a hash is not 32 bytes long"))
    }
}

impl Columns for Row {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: usize) -> Result<&str, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn opt_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn blob(&self, column: usize) -> Result<&[u8], StoreError> {
        Ok(self.try_get(column)?)
    }

    fn opt_blob(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// `($1,$2),($3,$4)`: the places of `rows` rows of `columns` values.
pub(crate) fn places(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    let mut number = 0;
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            number += 1;
            if column > 0 {
                text.push(',');
            }
            text.push('$');
            text.push_str(&number.to_string());
        }
        text.push(')');
    }
    text
}

/// `$n,$n+1,…`: the places of a list that begins at parameter `first`.
pub(crate) fn list(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(",")
}

/// How many rows of so many columns go into one statement.
pub(crate) const fn rows_max(columns: usize) -> usize {
    PARAMETERS_MAX / columns
}
