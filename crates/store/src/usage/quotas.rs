//! Durable counts of quotas.

use sqlx::AnyConnection;

use super::{QuotaTotal, quota_leases::QuotaUse, rollup::quota_total};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Bulk, all, run, sql},
};

const INSERT_QUOTAS: &str =
    "INSERT INTO quota_usage (rule, subject, period_start_us, period_end_us, used) VALUES ";
const ADD_QUOTAS: &str = " ON CONFLICT (rule, subject, period_start_us) DO UPDATE SET \
     used = quota_usage.used + excluded.used, period_end_us = excluded.period_end_us";
const ADD_QUOTAS_TOTALS: &str = " ON CONFLICT (rule, subject, period_start_us) DO UPDATE SET \
     used = quota_usage.used + excluded.used, period_end_us = excluded.period_end_us \
     RETURNING rule, subject, period_start_us, period_end_us, used";

impl Store {
    /// What is used in the periods that have not ended, as far as it is shipped, over all nodes.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn quota_usage(&self, now_us: i64) -> Result<Vec<QuotaTotal>, StoreError> {
        let mut conn = self.reader().await?;
        let text = "SELECT q.rule, q.subject, q.period_start_us, q.period_end_us, \
                    CAST(q.used + COALESCE((SELECT SUM(l.used) FROM quota_leases l WHERE l.rule = q.rule \
                    AND l.subject = q.subject AND l.period_start_us = q.period_start_us), 0) AS BIGINT) \
                    FROM quota_usage q WHERE q.period_end_us > $1";
        all(sql(text).bind(now_us), &mut conn).await?.iter().map(quota_total).collect()
    }
}

/// Adds to what was used of quotas, which stand in the order of their keys, each once; gives their new totals
/// when `with_totals` is set.
pub(super) async fn add_quotas(
    rows: &[QuotaUse],
    with_totals: bool,
    conn: &mut AnyConnection,
) -> Result<Vec<QuotaTotal>, StoreError> {
    let mut insert =
        Bulk::new(conn, INSERT_QUOTAS, 5, if with_totals { ADD_QUOTAS_TOTALS } else { ADD_QUOTAS });
    let mut totals = Vec::new();
    for part in rows.chunks(insert.rows_max()) {
        let mut statement = insert.of(part.len());
        for ((rule, subject, start), (end, used)) in part {
            statement = statement.bind(*rule).bind(*subject).bind(*start).bind(*end).bind(*used);
        }
        if with_totals {
            for row in all(statement, conn).await? {
                totals.push(quota_total(&row)?);
            }
        } else {
            run(statement, conn).await?;
        }
    }
    Ok(totals)
}
