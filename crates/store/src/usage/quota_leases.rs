//! Parts of quotas that are set aside for nodes, each of which uses its part without asking anybody.
//!
//! Invariant: over all nodes, `used + leased` never passes the amount of a quota, but for what calls used
//! beyond what they took (I22). A quota has one row, which every lease takes from by one guarded statement,
//! and one row for each node that used it. What a node was granted stays leased until its journal shows what
//! it used: unknown counts as used. Quotas are held in the order of their keys, and before the nodes' rows.

use sqlx::AnyConnection;
use tollgate_core::{counters::RuleId, period::Window};

use crate::{
    dialect::Engine,
    error::StoreError,
    ledger::{Lessee, has_holes},
    open::Store,
    sql::{Columns as _, Row, Statement, all, built, bulk, places, run, sql},
};

/// Quotas in one round: one transaction of a few statements, whatever their number.
pub const QUOTAS_ROUND_MAX: usize = 256;

/// A quota of somebody in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaKey {
    /// The quota.
    pub rule: u64,
    /// Whose count.
    pub subject: u64,
    /// The start of the period, wall microseconds.
    pub start_us: i64,
}

/// What a node wants of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaWant {
    /// The quota.
    pub rule: RuleId,
    /// Whose count.
    pub subject: u64,
    /// The period.
    pub window: Window,
    /// The amount of the quota.
    pub amount: u64,
    /// How much is wanted, if it is there; 0 only asks what there is.
    pub wish: u64,
}

impl QuotaWant {
    /// Its key.
    #[must_use]
    pub const fn key(&self) -> QuotaKey {
        QuotaKey { rule: self.rule.0, subject: self.subject, start_us: self.window.start_us }
    }
}

/// What a want was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLeased {
    /// How much; as much as there was.
    pub given: u64,
    /// What is left that is set aside for nobody.
    pub rest: u64,
    /// What is set aside for all nodes together, used or not.
    pub leased: u64,
}

impl Store {
    /// Sets parts of quotas aside for a node, for each want as much as is left and wanted; the answers stand
    /// in the order of the wants. No key may be there twice. At most [`QUOTAS_ROUND_MAX`] at once.
    ///
    /// # Errors
    /// When the database cannot be written; whether it took effect is not known then: ask
    /// [`Store::quota_grants`].
    pub async fn lease_quotas(
        &self,
        lessee: Lessee,
        wants: &[QuotaWant],
    ) -> Result<Vec<QuotaLeased>, StoreError> {
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        let mut sorted: Vec<&QuotaWant> = wants.iter().collect();
        sorted.sort_unstable_by_key(|want| place_of(want.key()));
        let mut tx = self.begin_write().await?;
        let rows = all(take(&sorted), &mut tx).await?;
        let mut found = std::collections::BTreeMap::new();
        for row in &rows {
            let (amount, used, leased) = (row.int(4)?, row.int(5)?, row.int(6)?);
            let rest = amount.saturating_sub(used).saturating_sub(leased).max(0).unsigned_abs();
            let leased = leased.max(0).unsigned_abs();
            found.insert(key_of(row)?, QuotaLeased { given: row.count(3)?, rest, leased });
        }
        let given: Vec<(&QuotaWant, u64)> = sorted
            .iter()
            .filter_map(|want| found.get(&want.key()).map(|leased| (*want, leased.given)))
            .filter(|(_, given)| *given > 0)
            .collect();
        if !given.is_empty() {
            run(grant(lessee, &given), &mut tx).await?;
        }
        tx.commit().await?;
        let answer = |want: &QuotaWant| found.get(&want.key()).copied();
        let answers: Option<Vec<QuotaLeased>> = wants.iter().map(answer).collect();
        answers.ok_or_else(|| StoreError::corrupt("a quota that was asked for is missing"))
    }

    /// Gives parts of quotas back that the node has taken out of what it can use. `false` when one of them is
    /// not set aside for it any more: nothing was given back then. No key may be there twice. At most
    /// [`QUOTAS_ROUND_MAX`] at once.
    ///
    /// # Errors
    /// When the database cannot be written; whether it took effect is not known then: ask
    /// [`Store::quota_grants`].
    pub async fn give_quotas_back(&self, node: u64, parts: &[(QuotaKey, u64)]) -> Result<bool, StoreError> {
        if parts.is_empty() {
            return Ok(true);
        }
        let mut tx = self.begin_write().await?;
        let keys: Vec<QuotaKey> = parts.iter().map(|(key, _)| *key).collect();
        hold_quotas(&keys, &mut tx).await?;
        let node = node as i64;
        let lower = format!(
            "UPDATE quota_leases SET granted = granted - v.column4 FROM (VALUES {}) AS v \
             WHERE node = {node} AND rule = v.column1 AND subject = v.column2 \
             AND period_start_us = v.column3 AND granted >= v.column4 AND granted + beyond - used >= v.column4",
            places(parts.len(), 4)
        );
        let free = format!(
            "UPDATE quota_usage SET leased = leased - v.column4 FROM (VALUES {}) AS v \
             WHERE rule = v.column1 AND subject = v.column2 AND period_start_us = v.column3 \
             AND leased >= v.column4",
            places(parts.len(), 4)
        );
        let count = parts.len() as u64;
        for text in [lower, free] {
            if run(with_parts(text, parts), &mut tx).await? != count {
                tx.rollback().await?;
                return Ok(false);
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// What of some quotas is granted to a node, as far as anything is. At most [`QUOTAS_ROUND_MAX`] at once.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn quota_grants(
        &self,
        node: u64,
        keys: &[QuotaKey],
    ) -> Result<Vec<(QuotaKey, u64)>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let node = node as i64;
        let text = format!(
            "SELECT rule, subject, period_start_us, granted FROM quota_leases \
             WHERE node = {node} AND (rule, subject, period_start_us) IN (VALUES {})",
            places(keys.len(), 3)
        );
        // Held, so that what is on its way into the database is waited for.
        let mut tx = self.begin_write().await?;
        hold_quotas(keys, &mut tx).await?;
        let rows = all(with_keys(text, keys), &mut tx).await?;
        tx.rollback().await?;
        rows.iter().map(|row| Ok((key_of(row)?, row.count(3)?))).collect()
    }

    /// Ends what earlier runs of a node were granted, whose journals were shipped: what they used is used, the
    /// rest is left again; all of it is used where the journal has holes. At most [`QUOTAS_ROUND_MAX`] a call:
    /// call again until it says 0.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_quota_leases(&self, lessee: Lessee) -> Result<u64, StoreError> {
        self.end_some(lessee.node, &format!("boot <> {}", lessee.boot as i64)).await
    }

    /// Ends what a node was granted of periods that ended before a moment, as [`Store::end_quota_leases`]
    /// does.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_quota_periods(&self, node: u64, before_us: i64) -> Result<u64, StoreError> {
        self.end_some(node, &format!("period_end_us < {before_us}")).await
    }

    /// Ends some of what a node was granted; `which` says what of it, in words of this file alone.
    async fn end_some(&self, node: u64, which: &str) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        let ask = built(format!(
            "SELECT rule, subject, period_start_us FROM quota_leases WHERE node = $1 AND {which} \
             ORDER BY rule, subject, period_start_us LIMIT $2"
        ));
        let rows = all(ask.bind(node as i64).bind(QUOTAS_ROUND_MAX as i64), &mut tx).await?;
        let keys: Vec<QuotaKey> = rows.iter().map(key_of).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        hold_quotas(&keys, &mut tx).await?;
        end_held(node, &keys, which, &mut tx).await?;
        tx.commit().await?;
        Ok(keys.len() as u64)
    }
}

/// What a shipment says of a quota: (rule, subject, start), (end, used).
pub(super) type QuotaUse = ((i64, i64, i64), (i64, i64));

/// When what a node was granted ends: an edit of a quota may move the end of a period that has begun, and what
/// was granted in it is in use until the later one.
const END: &str = "CASE WHEN quota_leases.period_end_us < excluded.period_end_us \
                   THEN excluded.period_end_us ELSE quota_leases.period_end_us END";

/// Adds what a shipment says to what a node used; what it was not granted is leased to it now, whether there is
/// room or not, so that nothing that was used is left for others.
pub(super) async fn add_used(
    lessee: Lessee,
    rows: &[QuotaUse],
    conn: &mut AnyConnection,
) -> Result<(), StoreError> {
    const BEYOND: &str = "CASE WHEN quota_leases.used + excluded.used > quota_leases.granted + quota_leases.beyond \
                          THEN quota_leases.used + excluded.used - quota_leases.granted - quota_leases.beyond \
                          ELSE 0 END";
    for part in rows.chunks(QUOTAS_ROUND_MAX) {
        // Quotas before the nodes' rows, as everybody else does.
        let keys: Vec<QuotaKey> = part.iter().map(|(key, _)| *key).map(key_at).collect();
        hold_quotas(&keys, conn).await?;
        let text = format!(
            "INSERT INTO quota_leases (rule, subject, period_start_us, period_end_us, node, boot, granted, used, \
             beyond, raised) VALUES {} ON CONFLICT (node, rule, subject, period_start_us) DO UPDATE SET \
             used = quota_leases.used + excluded.used, beyond = quota_leases.beyond + {BEYOND}, raised = {BEYOND}, \
             period_end_us = {END} \
             RETURNING rule, subject, period_start_us, period_end_us, raised",
            places(part.len(), 10)
        );
        let add = part.iter().fold(bulk(text), |add, ((rule, subject, start), (end, used))| {
            let add = add.bind(*rule).bind(*subject).bind(*start).bind(*end).bind(lessee.node as i64);
            add.bind(lessee.boot as i64).bind(0i64).bind(*used).bind(*used).bind(*used)
        });
        for row in all(add, conn).await?.iter().filter(|row| row.int(4).is_ok_and(|raised| raised > 0)) {
            let raise =
                sql("INSERT INTO quota_usage (rule, subject, period_start_us, period_end_us, used, leased) \
                             VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT (rule, subject, period_start_us) \
                             DO UPDATE SET leased = quota_usage.leased + excluded.leased, period_end_us = \
                     CASE WHEN quota_usage.period_end_us < excluded.period_end_us \
                     THEN excluded.period_end_us ELSE quota_usage.period_end_us END");
            let raise = raise.bind(row.int(0)?).bind(row.int(1)?).bind(row.int(2)?).bind(row.int(3)?);
            run(raise.bind(row.int(4)?), conn).await?;
        }
    }
    Ok(())
}

/// Takes from the quotas what there is of what is wanted: one guarded statement for all of them, which holds
/// the rows in their order.
fn take(wants: &[&QuotaWant]) -> Statement {
    const LEFT: &str = "(excluded.amount - quota_usage.used - quota_usage.leased)";
    let given = format!(
        "CASE WHEN {LEFT} <= 0 THEN 0 WHEN {LEFT} < excluded.given THEN {LEFT} ELSE excluded.given END"
    );
    let text = format!(
        "INSERT INTO quota_usage (rule, subject, period_start_us, period_end_us, used, leased, given, amount) \
         VALUES {} ON CONFLICT (rule, subject, period_start_us) DO UPDATE SET \
         leased = quota_usage.leased + {given}, given = {given}, amount = excluded.amount, \
         period_end_us = excluded.period_end_us \
         RETURNING rule, subject, period_start_us, given, amount, used, leased",
        places(wants.len(), 8)
    );
    wants.iter().fold(bulk(text), |take, want| {
        let QuotaKey { rule, subject, start_us } = want.key();
        let (amount, given) = (signed(want.amount), signed(want.wish.min(want.amount)));
        let take = take.bind(rule as i64).bind(subject as i64).bind(start_us).bind(want.window.end_us);
        take.bind(0i64).bind(given).bind(given).bind(amount)
    })
}

/// Notes what a node was given.
fn grant(lessee: Lessee, given: &[(&QuotaWant, u64)]) -> Statement {
    let text = format!(
        "INSERT INTO quota_leases (node, rule, subject, period_start_us, period_end_us, boot, granted, used, beyond, \
         raised) VALUES {} ON CONFLICT (node, rule, subject, period_start_us) DO UPDATE SET \
         granted = quota_leases.granted + excluded.granted, boot = excluded.boot, period_end_us = {END}",
        places(given.len(), 10)
    );
    given.iter().fold(bulk(text), |grant, (want, given)| {
        let QuotaKey { rule, subject, start_us } = want.key();
        let grant = grant.bind(lessee.node as i64).bind(rule as i64).bind(subject as i64).bind(start_us);
        let grant = grant.bind(want.window.end_us).bind(lessee.boot as i64).bind(signed(*given));
        grant.bind(0i64).bind(0i64).bind(0i64)
    })
}

/// Holds quotas in the order of their keys until the transaction ends.
async fn hold_quotas(keys: &[QuotaKey], conn: &mut AnyConnection) -> Result<(), StoreError> {
    let engine = if conn.backend_name() == "SQLite" { Engine::Sqlite } else { Engine::Postgres };
    let text = format!(
        "SELECT rule FROM quota_usage WHERE (rule, subject, period_start_us) IN (VALUES {}) \
         ORDER BY rule, subject, period_start_us{}",
        places(keys.len(), 3),
        engine.hold_row()
    );
    all(with_keys(text, keys), conn).await?;
    Ok(())
}

/// Ends what a node was granted of quotas that are held, unless it was changed before they were.
async fn end_held(
    node: u64,
    keys: &[QuotaKey],
    which: &str,
    conn: &mut AnyConnection,
) -> Result<(), StoreError> {
    let node = node as i64;
    let text = format!(
        "DELETE FROM quota_leases WHERE node = {node} AND {which} \
         AND (rule, subject, period_start_us) IN (VALUES {}) \
         RETURNING rule, subject, period_start_us, granted + beyond, used, boot",
        places(keys.len(), 3)
    );
    let rows = all(with_keys(text, keys), conn).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut holes = std::collections::BTreeMap::new();
    let mut ends = Vec::with_capacity(rows.len());
    for row in &rows {
        let (leased, used, boot) = (row.int(3)?, row.int(4)?, row.count(5)?);
        let has_holes = match holes.get(&boot) {
            Some(has_holes) => *has_holes,
            None => has_holes(boot, conn).await?,
        };
        holes.insert(boot, has_holes);
        // What a journal with holes does not show may have been used.
        ends.push((key_of(row)?, if has_holes { used.max(leased) } else { used }, leased));
    }
    let text = format!(
        "UPDATE quota_usage SET used = used + v.column4, leased = leased - v.column5 FROM (VALUES {}) AS v \
         WHERE rule = v.column1 AND subject = v.column2 AND period_start_us = v.column3",
        places(ends.len(), 5)
    );
    let end = ends.iter().fold(bulk(text), |end, (key, used, leased)| {
        let end = end.bind(key.rule as i64).bind(key.subject as i64).bind(key.start_us);
        end.bind(*used).bind(*leased)
    });
    run(end, conn).await?;
    Ok(())
}

fn with_keys(text: String, keys: &[QuotaKey]) -> Statement {
    keys.iter()
        .fold(bulk(text), |ask, key| ask.bind(key.rule as i64).bind(key.subject as i64).bind(key.start_us))
}

fn with_parts(text: String, parts: &[(QuotaKey, u64)]) -> Statement {
    parts.iter().fold(bulk(text), |ask, (key, amount)| {
        ask.bind(key.rule as i64).bind(key.subject as i64).bind(key.start_us).bind(signed(*amount))
    })
}

const fn key_at((rule, subject, start_us): (i64, i64, i64)) -> QuotaKey {
    QuotaKey { rule: rule as u64, subject: subject as u64, start_us }
}

/// A row that begins with `rule, subject, period_start_us`.
fn key_of(row: &Row) -> Result<QuotaKey, StoreError> {
    Ok(QuotaKey { rule: row.int(0)? as u64, subject: row.int(1)? as u64, start_us: row.int(2)? })
}

/// The place of a quota in the order in which the database holds them: its numbers have a sign.
const fn place_of(key: QuotaKey) -> (i64, i64, i64) {
    (key.rule as i64, key.subject as i64, key.start_us)
}

/// An amount as SQL can hold it, with room to add to it.
fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX).min(i64::MAX / 4)
}
