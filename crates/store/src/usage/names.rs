//! The names behind the ids of usage. Usage outlives what it names; what is gone is called by its id.

use std::collections::{BTreeSet, HashMap};

use sqlx::AnyConnection;

use crate::{
    error::StoreError,
    named::Named,
    sql::{Columns as _, all, built, list},
};

/// Ids asked for in one statement.
const ASKED_MAX: usize = 500;

/// Names by id, of one kind of thing.
pub(super) struct Names(HashMap<i64, String>);

impl Names {
    /// Reads the names of these ids from `table`, one of this crate's own.
    pub(super) async fn load(
        conn: &mut AnyConnection,
        table: &'static str,
        ids: impl Iterator<Item = i64>,
    ) -> Result<Self, StoreError> {
        let ids: Vec<i64> = ids.filter(|id| *id != 0).collect::<BTreeSet<_>>().into_iter().collect();
        let mut names = HashMap::with_capacity(ids.len());
        for part in ids.chunks(ASKED_MAX) {
            let text = format!("SELECT id, name FROM {table} WHERE id IN ({})", list(1, part.len()));
            let statement = part.iter().fold(built(text), |statement, id| statement.bind(*id));
            for row in all(statement, conn).await? {
                names.insert(row.int(0)?, row.text(1)?.to_owned());
            }
        }
        Ok(Self(names))
    }

    /// The thing with this id; `None` for 0, which stands for none.
    pub(super) fn of<Id: Copy + std::fmt::Display>(
        &self,
        number: i64,
        from_sql: fn(i64) -> Id,
    ) -> Option<Named<Id>> {
        if number == 0 {
            return None;
        }
        let id = from_sql(number);
        let name = self.0.get(&number).cloned().unwrap_or_else(|| id.to_string());
        Some(Named { id, name })
    }
}
