//! Finishing a rotation: the older secrets of a key end now.

use serde_json::json;
use tollgate_core::{authz::Permit, id::KeyId};

use super::row::{KeyRow, update_key};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, built, only, run},
    write::Committed,
};

impl Store {
    /// Ends every secret of a key but the current one; again is no change. Needs `Action::RotateKeys`
    /// in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] for a revoked key.
    pub async fn finish_rotation(
        &self,
        permit: &Permit,
        id: KeyId,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let (mut row, tenant) = KeyRow::load(write.conn(), id).await?;
        row.not_revoked()?;
        let mut ended = 0;
        let mut until_us = now_us;
        for table in ["key_secrets", "slow_secrets"] {
            let wheres = "WHERE key = $1 AND generation < $2 AND until_us > $3";
            let last = built(format!("SELECT COALESCE(MAX(until_us), $3) FROM {table} {wheres}"));
            let last = last.bind(id.to_sql()).bind(i64::from(row.generation)).bind(now_us);
            until_us = until_us.max(only(last, write.conn()).await?.int(0)?);
            let end = built(format!("UPDATE {table} SET until_us = $3 {wheres}"));
            let end = end.bind(id.to_sql()).bind(i64::from(row.generation)).bind(now_us);
            ended += run(end, write.conn()).await?;
        }
        if ended > 0 {
            row.next_version()?;
            update_key(write.conn(), &row).await?;
            let before = json!({ "generation": row.generation, "previous_until_us": until_us });
            let after = json!({ "generation": row.generation, "previous_until_us": now_us });
            let change = row.rotated(tenant, "key.finish_rotation", (before, after));
            write.record_of(row.consumer, change)?;
        }
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }
}
