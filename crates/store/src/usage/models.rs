//! Reports of the usage of models: tokens and costs by key, service and model, of sums by minute and by day. How those
//! are summed up is in `model_sums`.
//!
//! Days are kept as long as sums of days are, for bills; minutes for the edges of a span and for the
//! hours of a day. Costs are summed up by currency and never across.

use std::collections::{BTreeMap, HashMap};

use tollgate_core::{
    code::Code,
    id::{ConsumerId, KeyId, ProjectId, ServiceId, TenantId},
    money::amount::{Amount, Currency},
};

use super::{
    UsageBy, UsageFilter, UsageReport, UsageRow, UsageSums,
    cubes::{DAY_US, HOUR_US, MINUTE_US},
    fold::Folds,
    model_sums::{IDS, SUMS},
    plan::{down, edges},
    report::named,
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, Row, Statement, all, built, run},
};

/// Sums over calls of models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallSums {
    /// How many calls.
    pub calls: u64,
    /// Of these: with tokens or cost that were counted or bounded here.
    pub estimated: u64,
    /// Tokens read, cached ones too.
    pub tokens_in: u64,
    /// Of these: read from a cache.
    pub cached_input: u64,
    /// Of these: written to a cache.
    pub cache_write: u64,
    /// Tokens produced, thoughts too.
    pub tokens_out: u64,
    /// Of these: thoughts.
    pub reasoning: u64,
    /// What they cost, by currency.
    pub costs: BTreeMap<String, i64>,
}

impl CallSums {
    /// What they cost in each currency, exactly, as decimals.
    #[must_use]
    pub fn costs_text(&self) -> BTreeMap<String, String> {
        let text = |(currency, atoms): (&String, &i64)| {
            let amount = Amount::from_atoms(*atoms).unwrap_or(Amount::MAX);
            let parsed: Option<Currency> = currency.parse().ok();
            (currency.clone(), parsed.map_or_else(|| atoms.to_string(), |parsed| amount.to_text(parsed)))
        };
        self.costs.iter().map(text).collect()
    }

    /// The one currency and what they cost in it: `0` without any, nothing when there are several.
    #[must_use]
    pub fn cost_text(&self) -> Option<(Option<String>, String)> {
        let mut costs = self.costs_text().into_iter();
        match (costs.next(), costs.next()) {
            (None, _) => Some((None, "0".to_owned())),
            (Some((currency, cost)), None) => Some((Some(currency), cost)),
            _ => None,
        }
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.estimated += other.estimated;
        self.tokens_in = self.tokens_in.saturating_add(other.tokens_in);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.tokens_out = self.tokens_out.saturating_add(other.tokens_out);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        for (currency, cost) in &other.costs {
            let sum = self.costs.entry(currency.clone()).or_default();
            *sum = sum.saturating_add(*cost);
        }
    }
}

/// Usage of one group with its calls of models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRow {
    /// The group and its requests.
    pub usage: UsageRow,
    /// Whether only requests and denied ones of the group are known: by model there are no sums of units, bytes and
    /// times.
    pub is_partial: bool,
    /// The model, where it was grouped by models; `None` is what called none.
    pub model: Option<String>,
    /// Its calls.
    pub calls: CallSums,
}

/// Usage by group with calls of models, and in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallReport {
    /// By group.
    pub rows: Vec<CallRow>,
    /// In all.
    pub total: UsageSums,
    /// The calls in all.
    pub calls: CallSums,
}

impl Store {
    /// Sums usage as [`Store::usage`] does, with tokens and costs; grouped by model too when `by_model`
    /// is set.
    ///
    /// # Errors
    /// As [`Store::usage`].
    pub async fn usage_with_calls(
        &self,
        by: &[UsageBy],
        by_model: bool,
        filter: &UsageFilter,
    ) -> Result<CallReport, StoreError> {
        let UsageReport { rows, total } = self.usage(by, filter).await?;
        // What may be forgotten and what is there are of one state.
        let mut tx = self.begin_read().await?;
        let kept_us = Folds::read(&mut tx).await?.minutes_from_us;
        let asked = Asked::new(by, by_model, (filter, kept_us));
        let found = all(asked.statement, &mut tx).await?;
        let named = named(&mut tx, by, &found).await?;
        tx.rollback().await?;
        let mut report = CallReport { total, ..CallReport::default() };
        let mut groups: HashMap<Place, Vec<CallRow>> = HashMap::new();
        for (row, usage) in found.iter().zip(named) {
            let (model, calls) = call(row, by.len(), by_model)?;
            report.calls.add(&calls);
            let rows = groups.entry(place(&usage)).or_default();
            match rows.iter_mut().find(|known| known.model == model) {
                Some(known) => {
                    known.calls.add(&calls);
                    known.usage.sums.requests += usage.sums.requests;
                    known.usage.sums.denied += usage.sums.denied;
                }
                None => rows.push(CallRow { usage, is_partial: true, model, calls }),
            }
        }
        if by.is_empty() && by_model {
            report.rows = groups.remove(&Place::default()).unwrap_or_default();
            report.rows.extend(rest(UsageRow { sums: total, ..UsageRow::default() }, &report.rows));
            return Ok(report);
        }
        for usage in rows {
            let calls = groups.remove(&place(&usage)).unwrap_or_default();
            if by_model {
                let rest = rest(usage, &calls);
                report.rows.extend(calls);
                report.rows.extend(rest);
            } else {
                let calls = calls.into_iter().next().map(|row| row.calls).unwrap_or_default();
                report.rows.push(CallRow { usage, calls, ..CallRow::default() });
            }
        }
        // What was shipped between the two questions.
        report.rows.extend(groups.into_values().flatten());
        Ok(report)
    }

    /// Forgets usage of models of minutes, or of days, that began before a moment; of minutes as
    /// [`Store::forget_minutes_before`] does, up to the same hour.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_models_before(&self, days: bool, before_us: i64) -> Result<u64, StoreError> {
        let table = if days { "usage_models_day" } else { "usage_models_minute" };
        let text = format!(
            "DELETE FROM {table} WHERE start_us IN \
             (SELECT start_us FROM {table} WHERE start_us < $1 ORDER BY start_us LIMIT 500)"
        );
        // Told before they go, so that whoever reads takes the day instead.
        let before_us = match days {
            true => before_us,
            false => self.note_forgotten("minutes_from_us", down(before_us, HOUR_US)).await?,
        };
        let mut tx = self.begin_write().await?;
        let rows = run(built(text).bind(before_us), &mut tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

/// What of a group called no model; `None` when nothing did.
fn rest(mut usage: UsageRow, calls: &[CallRow]) -> Option<CallRow> {
    for row in calls {
        usage.sums.requests = usage.sums.requests.saturating_sub(row.usage.sums.requests);
        usage.sums.denied = usage.sums.denied.saturating_sub(row.usage.sums.denied);
    }
    let is_partial = !calls.is_empty();
    (usage.sums.requests > 0).then(|| CallRow { usage, is_partial, ..CallRow::default() })
}

/// What a group is known by: key, service, code, consumer, project, tenant, time.
type Place = [Option<u64>; IDS];

fn place(row: &UsageRow) -> Place {
    [
        row.key.map(|id| id.0),
        row.service.as_ref().map(|named| named.id.0),
        row.code.map(|code| u64::from(code.number())),
        row.consumer.as_ref().map(|named| named.id.0),
        row.project.as_ref().map(|named| named.id.0),
        row.tenant.as_ref().map(|named| named.id.0),
        row.time_us.map(|at_us| at_us as u64),
    ]
}

/// A question about calls: by columns, then the seven sums of usage of which two are known, then the
/// others, the currency and the model.
struct Asked {
    statement: Statement,
}

impl Asked {
    fn new(by: &[UsageBy], by_model: bool, (filter, kept_us): (&UsageFilter, i64)) -> Self {
        let mut values: Vec<i64> = Vec::new();
        let mut bind = |value: i64| {
            values.push(value);
            format!("${}", values.len())
        };
        let parts: Vec<String> = pieces(by, (filter, kept_us))
            .into_iter()
            .map(|(table, from_us, to_us)| {
                let (from, to) = (bind(from_us), bind(to_us));
                format!("SELECT * FROM {table} WHERE start_us >= {from} AND start_us < {to}")
            })
            .collect();
        let mut wheres = vec!["1 = 1".to_owned()];
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
                wheres.push(format!("{column} = {}", bind(value)));
            }
        }
        if let Some(own) = &filter.consumers {
            // No consumer has the id -1: of none of them is nothing.
            let ids = own.iter().map(|id| id.to_sql().to_string()).chain(["-1".to_owned()]);
            wheres.push(format!("consumer IN ({})", ids.collect::<Vec<_>>().join(", ")));
        }
        let columns: String = by.iter().map(|column| format!("{}, ", expression(*column))).collect();
        let model = if by_model { ", model" } else { "" };
        let valid = Code::Valid.number();
        let sum = |column: &str| format!("CAST(SUM({column}) AS BIGINT)");
        let sums: Vec<String> =
            ["requests", "estimated", "input", "cached_input", "cache_write", "output", "reasoning", "cost"]
                .into_iter()
                .map(sum)
                .collect();
        let zero = "CAST(0 AS BIGINT)";
        let numbers: Vec<String> = (1..=by.len()).map(|number| number.to_string()).collect();
        let groups =
            numbers.into_iter().chain(["currency".to_owned()]).chain(by_model.then(|| "model".to_owned()));
        let groups = groups.collect::<Vec<_>>().join(", ");
        let text = format!(
            "SELECT {columns}CAST(SUM(requests) AS BIGINT), \
             CAST(SUM(CASE WHEN code = {valid} THEN 0 ELSE requests END) AS BIGINT), \
             {zero}, {zero}, {zero}, {zero}, {zero}, {}, currency{model} FROM ({}) AS parts WHERE {} \
             GROUP BY {groups} ORDER BY {groups}",
            sums.join(", "),
            parts.join(" UNION ALL "),
            wheres.join(" AND "),
        );
        Self { statement: values.into_iter().fold(built(text), Statement::bind) }
    }
}

/// From which table which span: days where the span holds whole ones, and where minutes before `kept_us`,
/// which may be forgotten, would be needed. Such an edge is as wide as its day.
fn pieces(by: &[UsageBy], (filter, kept_us): (&UsageFilter, i64)) -> Vec<(&'static str, i64, i64)> {
    const MINUTE: &str = "usage_models_minute";
    let from = filter.from_us.map_or(i64::MIN, |from| down(from, MINUTE_US));
    let to = filter.to_us.unwrap_or(i64::MAX);
    let (from_day, to_day) = edges((from, to), DAY_US, kept_us, to == i64::MAX);
    if by.iter().any(|column| matches!(column, UsageBy::Hour | UsageBy::Minute)) || from_day >= to_day {
        return vec![(MINUTE, from, to)];
    }
    vec![(MINUTE, from, from_day), ("usage_models_day", from_day, to_day), (MINUTE, to_day, to)]
}

fn expression(column: UsageBy) -> String {
    let step = |step: i64| format!("(start_us / {step}) * {step}");
    match column {
        UsageBy::Key => "key".to_owned(),
        UsageBy::Service => "service".to_owned(),
        UsageBy::Code => "code".to_owned(),
        UsageBy::Consumer => "consumer".to_owned(),
        UsageBy::Project => "project".to_owned(),
        UsageBy::Tenant => "tenant".to_owned(),
        UsageBy::Day => step(DAY_US),
        UsageBy::Hour => step(HOUR_US),
        UsageBy::Minute => step(MINUTE_US),
    }
}

/// The model and the sums of a row behind `columns` columns.
fn call(row: &Row, columns: usize, by_model: bool) -> Result<(Option<String>, CallSums), StoreError> {
    let first = columns + 7;
    let currency = row.text(first + SUMS)?.to_owned();
    let model = if by_model { Some(row.text(first + SUMS + 1)?.to_owned()) } else { None };
    let mut costs = BTreeMap::new();
    if !currency.is_empty() {
        costs.insert(currency, row.int(first + 7)?);
    }
    let calls = CallSums {
        calls: row.count(first)?,
        estimated: row.count(first + 1)?,
        tokens_in: row.count(first + 2)?,
        cached_input: row.count(first + 3)?,
        cache_write: row.count(first + 4)?,
        tokens_out: row.count(first + 5)?,
        reasoning: row.count(first + 6)?,
        costs,
    };
    Ok((model, calls))
}
