//! Reports of usage from a topic that were passed over because they are wrong: the latest of them, to be looked at.

use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, run, sql},
};

/// What is kept at most, the latest.
pub const REFUSED_KEPT_MAX: usize = 100;
/// The longest reason that is kept, in characters.
const REASON_LEN_MAX: usize = 500;

/// A request or a message that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedUsage {
    /// Where its message lies: `topic/partition/offset`.
    pub place: String,
    /// What of it is wrong, and the remedy.
    pub reason: String,
    /// When it was passed over last, wall microseconds.
    pub refused_us: i64,
}

impl Store {
    /// Notes what was passed over. What is noted again stays one; the oldest beyond [`REFUSED_KEPT_MAX`] go.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note_refused_usage(&self, refused: &[RefusedUsage]) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        for RefusedUsage { place, reason, refused_us } in refused {
            let reason: String = reason.replace(char::is_control, " ").chars().take(REASON_LEN_MAX).collect();
            let put = sql("INSERT INTO usage_refused (place, reason, refused_us) VALUES ($1, $2, $3) \
                           ON CONFLICT (place, reason) DO UPDATE SET refused_us = excluded.refused_us");
            run(put.bind(place.clone()).bind(reason).bind(*refused_us), &mut tx).await?;
        }
        let cut = sql("DELETE FROM usage_refused WHERE (place, reason) NOT IN (SELECT place, reason \
                       FROM usage_refused ORDER BY refused_us DESC, place DESC, reason DESC LIMIT $1)");
        run(cut.bind(REFUSED_KEPT_MAX as i64), &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// What was passed over, the latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn refused_usage(&self) -> Result<Vec<RefusedUsage>, StoreError> {
        let mut conn = self.reader().await?;
        let select = sql("SELECT place, reason, refused_us FROM usage_refused \
                          ORDER BY refused_us DESC, place DESC, reason DESC");
        let rows = all(select, &mut conn).await?;
        rows.iter()
            .map(|row| {
                Ok(RefusedUsage {
                    place: row.text(0)?.to_owned(),
                    reason: row.text(1)?.to_owned(),
                    refused_us: row.int(2)?,
                })
            })
            .collect()
    }
}
