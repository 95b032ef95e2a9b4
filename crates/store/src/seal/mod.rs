//! Sealing the audit: signed checkpoints outside of the database, and proving by them that nobody
//! shortened or rewrote the chain (I20).
//!
//! The chain alone finds any row that was altered. It cannot find that its end was cut off, or that
//! all of it was computed anew; a checkpoint that lies elsewhere can. Everything before the last
//! checkpoint is proven; what came after it, within a minute or 1,000 changes, is not yet.
//!
//! [`checkpoint`] signs and reads checkpoints, [`anchors`] holds a chain against those of a file,
//! [`line`] is one change of an exported audit, [`offline`] verifies one without a database.

mod anchors;
mod checkpoint;
mod line;
mod offline;

pub use anchors::Anchors;
pub use checkpoint::{Checkpoint, CheckpointKey, PublicKey, Seal};
pub use offline::{ExportError, verify_export};

use crate::{
    audit::{Broken, Verified, verify_from},
    chain,
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, built, one, only, run, sql},
};

/// Changes that are exported at a time.
const EXPORT_ROWS: usize = 500;
/// Seals that are shown.
const SEALS_MAX: usize = 100;

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Which installation's.
    pub installation: u64,
    /// The number of the last change.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Store {
    /// Recomputes the chain from all rows: any row altered, deleted, inserted or moved is found.
    ///
    /// # Errors
    /// When the database cannot be read. A broken chain is no error but the answer `Err(Broken)`.
    pub async fn audit_verify(&self) -> Result<Result<Verified, Broken>, StoreError> {
        self.audit_verify_against(&Anchors::default()).await
    }

    /// Recomputes the chain from all rows and holds it against checkpoints from elsewhere: that its end
    /// was cut off, or all of it computed anew, is found too, up to the last checkpoint.
    ///
    /// # Errors
    /// As [`Store::audit_verify`].
    pub async fn audit_verify_against(
        &self,
        anchors: &Anchors,
    ) -> Result<Result<Verified, Broken>, StoreError> {
        let mut tx = self.begin_read().await?;
        let head = only(sql("SELECT seq, hash, installation FROM feed_head WHERE id = 1"), &mut tx).await?;
        let (last, last_hash, installation) = (head.int(0)?, head.blob(1)?.to_vec(), head.int(2)?);
        let start = Verified { rows: 0, head: 0, hash: chain::genesis(installation) };
        let outcome = match anchors.is_of(installation as u64) {
            Ok(()) => verify_from(&mut tx, start, &|at| anchors.holds(at.head, &at.hash)).await?,
            Err(broken) => Err(broken),
        };
        tx.rollback().await?;
        Ok(outcome.and_then(|verified| {
            anchors.reached_by(&verified)?;
            let broken = |what: &str| Err(Broken { seq: verified.head + 1, what: what.to_owned() });
            if last.unsigned_abs() != verified.head {
                broken("the head has another number than the last change; changes at the end are missing")
            } else if last_hash != verified.hash {
                broken("the head has another hash than the last change")
            } else {
                Ok(verified)
            }
        }))
    }

    /// The end of the chain.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        let mut conn = self.reader().await?;
        let row = only(sql("SELECT seq, hash, installation FROM feed_head WHERE id = 1"), &mut conn).await?;
        Ok(AuditHead { seq: row.count(0)?, hash: row.hash(1)?, installation: row.int(2)? as u64 })
    }

    /// Recomputes the chain from a change whose hash is known, or from its beginning, to its end.
    ///
    /// # Errors
    /// When the database cannot be read. That the chain does not go on from there is no error but the
    /// answer `Err(Broken)`.
    pub async fn audit_follow(
        &self,
        from: Option<(u64, [u8; 32])>,
    ) -> Result<Result<AuditHead, Broken>, StoreError> {
        let mut tx = self.begin_read().await?;
        let head = only(sql("SELECT seq, hash, installation FROM feed_head WHERE id = 1"), &mut tx).await?;
        let installation = head.int(2)?;
        let head = AuditHead { seq: head.count(0)?, hash: head.hash(1)?, installation: installation as u64 };
        let (seq, hash) = from.unwrap_or((0, chain::genesis(installation)));
        let start = Verified { rows: seq, head: seq, hash };
        if head.seq < seq {
            let what =
                format!("the checkpoint is of change {seq}, the last there is has the number {}", head.seq);
            return Ok(Err(Broken { seq: head.seq + 1, what }));
        }
        let outcome = verify_from(&mut tx, start, &|_| Ok(())).await?;
        tx.rollback().await?;
        Ok(outcome.and_then(|verified| {
            let broken = |what: &str| Err(Broken { seq: verified.head, what: what.to_owned() });
            if verified.head != head.seq {
                broken("changes after it are missing")
            } else if verified.hash != head.hash {
                broken("the head has another hash than the last change")
            } else {
                Ok(head)
            }
        }))
    }

    /// The first line of an exported audit.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn audit_export_head(&self) -> Result<String, StoreError> {
        Ok(line::head(self.audit_head().await?.installation))
    }

    /// Lines of the exported audit that follow change `after`, oldest first; none at the end.
    ///
    /// # Errors
    /// When the database cannot be read; [`StoreError::Corrupt`] when a change does not hold what
    /// Tollgate writes: then the audit was altered.
    pub async fn audit_export(&self, after: u64) -> Result<Vec<(u64, String)>, StoreError> {
        let text = format!(
            "SELECT {} FROM changes WHERE seq > $1 ORDER BY seq LIMIT {EXPORT_ROWS}",
            crate::audit::COLUMNS
        );
        let mut conn = self.reader().await?;
        let rows = all(built(text).bind(after as i64), &mut conn).await?;
        rows.iter().map(|row| Ok((row.count(0)?, line::of(row)?))).collect()
    }

    /// Notes a checkpoint for whoever asks what the last one is. The one that proves is elsewhere.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note_checkpoint(&self, seal: &Seal) -> Result<(), StoreError> {
        let text = "INSERT INTO audit_seals (public_key, seq, hash, at_us, signature) \
                    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (public_key) DO UPDATE SET seq = excluded.seq, \
                    hash = excluded.hash, at_us = excluded.at_us, signature = excluded.signature";
        let statement = sql(text)
            .bind(seal.key.bytes().to_vec())
            .bind(seal.checkpoint.seq as i64)
            .bind(seal.checkpoint.hash.to_vec())
            .bind(seal.checkpoint.at_us)
            .bind(seal.signature.to_vec());
        let mut tx = self.begin_write().await?;
        run(statement, &mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The last checkpoint of each key, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn checkpoints(&self) -> Result<Vec<Seal>, StoreError> {
        let mut conn = self.reader().await?;
        let head = one(sql("SELECT installation FROM feed_head WHERE id = 1"), &mut conn).await?;
        let installation = head.map_or(Ok(0), |row| row.int(0))? as u64;
        let text = format!(
            "SELECT public_key, seq, hash, at_us, signature FROM audit_seals ORDER BY at_us DESC LIMIT {SEALS_MAX}"
        );
        let rows = all(built(text), &mut conn).await?;
        rows.iter()
            .map(|row| {
                let checkpoint =
                    Checkpoint { installation, seq: row.count(1)?, hash: row.hash(2)?, at_us: row.int(3)? };
                let signature = row.blob(4)?.try_into();
                let signature =
                    signature.map_err(|_| StoreError::corrupt("a signature is not 64 bytes long"))?;
                Ok(Seal { checkpoint, key: PublicKey::from_bytes(row.hash(0)?), signature })
            })
            .collect()
    }
}
