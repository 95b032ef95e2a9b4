//! Brings the schema of a database to what this version needs. Migrations only go forward; each
//! runs once, in one transaction with the note that it ran.

use sqlx::AnyConnection;

use crate::{
    chain,
    dialect::Engine,
    error::StoreError,
    random,
    sql::{Columns as _, one, run, sql},
};

/// In their order; the version of a schema is how many of them ran.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_founding.sql"),
    include_str!("../migrations/0002_decision_blocks.sql"),
    include_str!("../migrations/0003_people.sql"),
    include_str!("../migrations/0004_admin.sql"),
    include_str!("../migrations/0005_ledger.sql"),
    include_str!("../migrations/0006_audit_seals.sql"),
    include_str!("../migrations/0007_job_steps.sql"),
    include_str!("../migrations/0008_reminders.sql"),
    include_str!("../migrations/0009_usage_latency.sql"),
    include_str!("../migrations/0010_budgets_and_prices.sql"),
    include_str!("../migrations/0011_usage_spans.sql"),
    include_str!("../migrations/0012_leases.sql"),
    include_str!("../migrations/0013_secrets.sql"),
    include_str!("../migrations/0015_usage_tops.sql"),
    include_str!("../migrations/0016_events.sql"),
    include_str!("../migrations/0017_key_indexes.sql"),
    include_str!("../migrations/0018_decision_calls.sql"),
    include_str!("../migrations/0019_notices.sql"),
    include_str!("../migrations/0021_rules.sql"),
    include_str!("../migrations/0024_meters.sql"),
    include_str!("../migrations/0025_webhooks.sql"),
    include_str!("../migrations/0027_models.sql"),
    include_str!("../migrations/0028_outbox_reads.sql"),
    include_str!("../migrations/0030_quota_leases.sql"),
    include_str!("../migrations/0031_meter_backfills.sql"),
    include_str!("../migrations/0032_usage_refused.sql"),
    include_str!("../migrations/0033_quota_holds.sql"),
    include_str!("../migrations/0034_meter_damage.sql"),
    include_str!("../migrations/0035_lost_lanes.sql"),
    include_str!("../migrations/0036_damaged_records.sql"),
];

/// Runs what is missing.
pub(crate) async fn migrate(engine: Engine, conn: &mut AnyConnection) -> Result<(), StoreError> {
    for statement in [engine.unhurried(), engine.lock_migrations()].into_iter().flatten() {
        sqlx::raw_sql(statement).execute(&mut *conn).await?;
    }
    run(sql("CREATE TABLE IF NOT EXISTS meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"), conn)
        .await?;
    let version = version(conn).await?;
    if version > MIGRATIONS.len() {
        return Err(StoreError::corrupt(format!(
            "its schema has version {version}, this program knows {}; a later Tollgate wrote it, use that one",
            MIGRATIONS.len()
        )));
    }
    for migration in MIGRATIONS.iter().skip(version) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(engine.spell(migration))).execute(&mut *conn).await?;
    }
    if version < MIGRATIONS.len() {
        let note = "INSERT INTO meta (name, value) VALUES ('schema', $1) \
                    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        run(sql(note).bind(MIGRATIONS.len().to_string()), conn).await?;
    }
    found(conn).await
}

/// Whether the schema is the one that this version needs, founded.
pub(crate) async fn is_current(conn: &mut AnyConnection) -> bool {
    let founded = one(sql("SELECT id FROM feed_head WHERE id = 1"), conn).await;
    matches!(founded, Ok(Some(_)))
        && matches!(version(conn).await, Ok(version) if version == MIGRATIONS.len())
}

/// The version of the schema; 0 before the first migration.
pub(crate) async fn version(conn: &mut AnyConnection) -> Result<usize, StoreError> {
    let Some(row) = one(sql("SELECT value FROM meta WHERE name = 'schema'"), conn).await? else {
        return Ok(0);
    };
    row.text(0)?.parse().map_err(|_| StoreError::corrupt("the schema's version is no number"))
}

/// Gives a new database its identity and the beginning of its chain.
async fn found(conn: &mut AnyConnection) -> Result<(), StoreError> {
    if one(sql("SELECT id FROM feed_head WHERE id = 1"), conn).await?.is_some() {
        return Ok(());
    }
    let installation = (u64::from_le_bytes(random::id_bytes()?) >> 1) as i64;
    let insert = sql("INSERT INTO feed_head (id, seq, hash, installation) VALUES (1, 0, $1, $2)")
        .bind(chain::genesis(installation).to_vec())
        .bind(installation);
    run(insert, conn).await?;
    Ok(())
}
