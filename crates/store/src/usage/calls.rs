//! What single decisions used of models, for as long as raw decisions are kept: a row beside the block,
//! because calls of models are few beside other requests.

use std::collections::HashMap;

use sqlx::AnyConnection;
use tollgate_core::{
    id::DecisionId,
    money::amount::{Amount, Currency},
};
use tollgate_journal::{LentRecord, Tokens};

use crate::{
    error::StoreError,
    open::Store,
    sql::{Bulk, Columns as _, all, built, places, rows_max, run},
};

const INSERT: &str = "INSERT INTO decision_calls (boot, lane, number, at_us, model, currency, input, \
     cached_input, cache_write, output, reasoning, cost) VALUES ";
const AGAIN: &str = " ON CONFLICT (boot, lane, number) DO NOTHING";
const COLUMNS: usize = 12;

/// What one call counts at most, in tokens and in atoms of its cost: a million units of money. So far off
/// is only what is wrong, and it must not fill up the sums.
const CALL_MAX: i64 = 1_000_000_000_000_000;

/// A number of a call as it is counted.
pub(super) fn bounded(number: u64) -> i64 {
    i64::try_from(number).map_or(CALL_MAX, |number| number.min(CALL_MAX))
}

/// Words of a record as every database takes them: PostgreSQL refuses a NUL, and with it the shipment.
/// Clients choose them, so no control character is kept.
pub(super) fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.chars().any(char::is_control) {
        return text.replace(char::is_control, "\u{fffd}");
    }
    text.into_owned()
}

/// What a decision used of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallDetail {
    /// The model.
    pub model: String,
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
    /// What it cost, as a decimal in the currency; `None` without a price.
    pub cost: Option<String>,
    /// The currency; `None` without a price.
    pub currency: Option<String>,
}

/// Calls of some records.
#[derive(Default)]
pub(super) struct Calls(Vec<(DecisionId, i64, [String; 2], [i64; 6])>);

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a record, if it is one of a model that counts tokens or costs something. Predictions do neither: a row
    /// with nothing but the model for each would say no more than their sums do.
    pub(super) fn add(&mut self, boot: u64, lane: u16, record: &LentRecord<'_>) {
        let has_used = record.tokens != Tokens::default() || record.cost != 0 || record.currency != [0; 8];
        if record.model.is_empty() || !has_used {
            return;
        }
        let currency = record.currency.split(|byte| *byte == 0).next().unwrap_or_default();
        let tokens = record.tokens;
        let numbers =
            [tokens.input, tokens.cached_input, tokens.cache_write, tokens.output, tokens.reasoning];
        let mut sums = [0; 6];
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum = bounded(number);
        }
        if let Some(cost) = sums.last_mut() {
            *cost = bounded(record.cost.max(0).unsigned_abs());
        }
        let id = DecisionId { boot, lane, number: record.decision };
        self.0.push((id, record.entry.at_us, [text(record.model), text(currency)], sums));
    }

    pub(super) async fn write(&self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let mut insert = Bulk::new(conn, INSERT, COLUMNS, AGAIN);
        for part in self.0.chunks(insert.rows_max()) {
            let mut statement = insert.of(part.len());
            for (id, at_us, texts, numbers) in part {
                statement = statement.bind(id.boot as i64).bind(i64::from(id.lane)).bind(id.number as i64);
                statement = statement.bind(*at_us);
                statement = texts.iter().fold(statement, |statement, text| statement.bind(text.clone()));
                statement = numbers.iter().fold(statement, |statement, number| statement.bind(*number));
            }
            run(statement, conn).await?;
        }
        Ok(())
    }
}

/// What some decisions used of models; those that used none are not there.
pub(super) async fn of(
    conn: &mut AnyConnection,
    ids: impl Iterator<Item = DecisionId>,
) -> Result<HashMap<DecisionId, CallDetail>, StoreError> {
    let ids: Vec<DecisionId> = ids.collect();
    let mut found = HashMap::new();
    for part in ids.chunks(rows_max(3)) {
        let text = format!(
            "SELECT boot, lane, number, model, currency, input, cached_input, cache_write, output, reasoning, cost \
             FROM decision_calls WHERE (boot, lane, number) IN (VALUES {})",
            places(part.len(), 3)
        );
        let ask = part.iter().fold(built(text), |ask, id| {
            ask.bind(id.boot as i64).bind(i64::from(id.lane)).bind(id.number as i64)
        });
        for row in all(ask, conn).await? {
            let id = DecisionId {
                boot: row.count(0)?,
                lane: crate::keys::small(row.int(1)?),
                number: row.count(2)?,
            };
            let currency: Option<Currency> = row.text(4)?.parse().ok();
            let cost = Amount::from_atoms(row.int(10)?);
            let call = CallDetail {
                model: row.text(3)?.to_owned(),
                tokens_in: row.count(5)?,
                cached_input: row.count(6)?,
                cache_write: row.count(7)?,
                tokens_out: row.count(8)?,
                reasoning: row.count(9)?,
                cost: currency.zip(cost).map(|(currency, cost)| cost.to_text(currency)),
                currency: currency.map(|currency| currency.to_string()),
            };
            found.insert(id, call);
        }
    }
    Ok(found)
}

impl Store {
    /// Forgets what decisions made before a moment used of models, at most 5,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_calls_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let text = "DELETE FROM decision_calls WHERE (boot, lane, number) IN (SELECT boot, lane, number \
                    FROM decision_calls WHERE at_us < $1 ORDER BY at_us LIMIT 5000)";
        let mut tx = self.begin_write().await?;
        let rows = run(built(text.to_owned()).bind(before_us), &mut tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}
