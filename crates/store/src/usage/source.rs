//! The rows that a question about usage sums up, as one relation: from each table its part of the span.

use sqlx::AnyConnection;
use tollgate_core::id::{ConsumerId, KeyId, ProjectId, ServiceId, TenantId};

use super::{
    UsageBy, UsageFilter,
    cubes::{Cube, SUMS, Step},
    fold::Folds,
    plan::{Asked, Piece, pieces},
};
use crate::{
    error::StoreError,
    sql::{Statement, built},
};

/// A relation of columns `start_us`, those asked for, `code` and the sums, with its parameters.
pub(super) struct Source {
    /// In brackets, with its name.
    pub(super) relation: String,
    values: Vec<i64>,
}

impl Source {
    /// What a transaction sees of the tables that answer best.
    pub(super) async fn of(
        conn: &mut AnyConnection,
        by: &[UsageBy],
        filter: &UsageFilter,
    ) -> Result<Self, StoreError> {
        Self::of_parts(conn, by, Parts::new(by, filter), filter).await
    }

    /// By key, of these keys only, with a column `key`.
    pub(super) async fn of_keys(
        conn: &mut AnyConnection,
        filter: &UsageFilter,
        keys: &[i64],
    ) -> Result<Self, StoreError> {
        let by = [UsageBy::Key];
        let mut parts = Parts::new(&by, filter);
        let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
        // A list without any is refused by PostgreSQL.
        let keys = if keys.is_empty() { "NULL".to_owned() } else { keys.join(", ") };
        parts.wheres.push_str(&format!(" AND key IN ({keys})"));
        Self::of_parts(conn, &by, parts, filter).await
    }

    async fn of_parts(
        conn: &mut AnyConnection,
        by: &[UsageBy],
        mut parts: Parts,
        filter: &UsageFilter,
    ) -> Result<Self, StoreError> {
        let folds = Folds::read(conn).await?;
        let mut cube = Cube::of(by, filter);
        let mut folded_us = Some(folds.place.0);
        if cube == Cube::Service {
            if folds.has_services() {
                folded_us = None;
            } else {
                cube = Cube::Consumer;
            }
        }
        let coarsest = by.iter().find_map(|column| step(*column)).unwrap_or(Step::Day);
        let asked = Asked { from_us: filter.from_us, to_us: filter.to_us, coarsest, folded_us };
        for piece in pieces(&asked, &folds) {
            parts.add(cube, &piece, folds.place);
        }
        Ok(parts.into_source())
    }

    /// A statement about the relation, with its parameters bound.
    pub(super) fn ask(self, text: String) -> Statement {
        self.values.into_iter().fold(built(text), Statement::bind)
    }
}

/// Parts of a relation while it is put together.
struct Parts {
    columns: String,
    wheres: String,
    values: Vec<i64>,
    selects: Vec<String>,
}

impl Parts {
    fn new(by: &[UsageBy], filter: &UsageFilter) -> Self {
        let mut columns = String::new();
        for name in by.iter().filter_map(|column| name(*column)).filter(|name| *name != "code") {
            columns.push_str(name);
            columns.push_str(", ");
        }
        let mut parts = Self { columns, wheres: String::new(), values: Vec::new(), selects: Vec::new() };
        let asked = [
            ("key", filter.key.map(KeyId::to_sql)),
            ("consumer", filter.consumer.map(ConsumerId::to_sql)),
            ("service", filter.service.map(ServiceId::to_sql)),
            ("project", filter.project.map(ProjectId::to_sql)),
            ("tenant", filter.tenant.map(TenantId::to_sql)),
            ("code", filter.code.map(|code| i64::from(code.number()))),
        ];
        for (column, value) in asked {
            if let Some(value) = value {
                let place = parts.bind(value);
                parts.wheres.push_str(&format!(" AND {column} = {place}"));
            }
        }
        if let Some(own) = &filter.consumers {
            // No consumer has the id -1: of none of them is nothing.
            let ids = own.iter().map(|id| id.to_sql().to_string()).chain(["-1".to_owned()]);
            parts.wheres.push_str(&format!(" AND consumer IN ({})", ids.collect::<Vec<_>>().join(", ")));
        }
        parts
    }

    fn bind(&mut self, value: i64) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn add(&mut self, cube: Cube, piece: &Piece, folded: (i64, i64)) {
        let table = cube.table(piece.step);
        let (time, name) = (table.time, table.name);
        let (from, to) = (self.bind(piece.from_us), self.bind(piece.to_us));
        let mut unfolded = String::new();
        if piece.is_unfolded {
            let (minute, key) = (self.bind(folded.0), self.bind(folded.1));
            unfolded = format!(" AND ({time}, key) >= ({minute}, {key})");
        }
        let (columns, wheres) = (&self.columns, &self.wheres);
        self.selects.push(format!(
            "SELECT {time} AS start_us, {columns}code, {SUMS} FROM {name} \
             WHERE {time} >= {from} AND {time} < {to}{unfolded}{wheres}"
        ));
    }

    fn into_source(mut self) -> Source {
        if self.selects.is_empty() {
            // A span that ends before it begins.
            let columns = &self.columns;
            let table = Cube::Key.table(Step::Day).name;
            let nothing = format!("SELECT start_us, {columns}code, {SUMS} FROM {table} WHERE 1 = 0");
            self.values.clear();
            self.selects.push(nothing);
        }
        Source { relation: format!("({}) AS parts", self.selects.join(" UNION ALL ")), values: self.values }
    }
}

/// The length of a column of time.
pub(super) const fn step(column: UsageBy) -> Option<Step> {
    match column {
        UsageBy::Day => Some(Step::Day),
        UsageBy::Hour => Some(Step::Hour),
        UsageBy::Minute => Some(Step::Minute),
        _ => None,
    }
}

/// The column of a table; a column of time is none.
pub(super) const fn name(column: UsageBy) -> Option<&'static str> {
    match column {
        UsageBy::Key => Some("key"),
        UsageBy::Service => Some("service"),
        UsageBy::Code => Some("code"),
        UsageBy::Consumer => Some("consumer"),
        UsageBy::Project => Some("project"),
        UsageBy::Tenant => Some("tenant"),
        UsageBy::Day | UsageBy::Hour | UsageBy::Minute => None,
    }
}

/// What rows of a relation are grouped by.
pub(super) fn expression(column: UsageBy) -> String {
    match (step(column), name(column)) {
        (Some(step), _) => format!("(start_us / {0}) * {0}", step.length_us()),
        (None, name) => name.unwrap_or_default().to_owned(),
    }
}
