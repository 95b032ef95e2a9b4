//! Counting requests that services reported, in the commit that keeps their records.

use sqlx::AnyConnection;
use tollgate_journal::StoredRecord;

use super::{fold::Folds, model_sums::Models, rollup::Sums};
use crate::error::StoreError;

/// Adds requests to sums and quotas. How long they took is not known, and neither is the secret that was used.
pub(crate) async fn write_reported(
    conn: &mut AnyConnection,
    records: &[StoredRecord],
    share: &'static str,
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let folds = Folds::hold(conn, share).await?;
    let (mut sums, mut models) = (Sums::default(), Models::default());
    for record in records {
        sums.add(&record.lend());
        models.add(&record.lend());
    }
    sums.forget_times();
    models.write(conn).await?;
    sums.write(conn, &folds, (false, None)).await?;
    Ok(())
}
