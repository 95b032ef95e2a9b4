//! Making whole blocks of small ones: a node that answers little ships little at a time, and a
//! question would have to look at every one of those blocks.

use sqlx::AnyConnection;

use super::{
    block::{Block, Builder, Packed, RECORDS_MAX, Wanted},
    decisions::unreadable,
    retention::take_out,
    ship::insert_blocks,
};
use crate::{
    error::StoreError,
    meters::hold_version,
    open::Store,
    sql::{Columns as _, all, built},
};

/// Lanes merged a call.
const LANES: &str = "SELECT boot, lane FROM decision_blocks WHERE records < 1024 AND {read} GROUP BY boot, lane \
                     HAVING COUNT(*) >= 16 LIMIT 4";

/// Blocks of what is summed up, which a meter that begins finds on one side of its border, and none of a lane whose
/// past is still to be counted ([`crate::meters`]). Where rules watch or decisions are handed on, blocks that were read:
/// another one's would be read twice, or not at all.
const READ: &str = "starts < COALESCE((SELECT upto FROM shipped s \
                    WHERE s.boot = decision_blocks.boot AND s.lane = decision_blocks.lane), 0) \
                    AND NOT EXISTS (SELECT 1 FROM meter_backfill_lanes p \
                    WHERE p.boot = decision_blocks.boot AND p.lane = decision_blocks.lane AND p.settled = 0) \
                    AND (NOT EXISTS (SELECT 1 FROM rules) OR starts < COALESCE((SELECT position \
                    FROM rule_reads r \
                    WHERE r.boot = decision_blocks.boot AND r.lane = decision_blocks.lane), 0)) \
                    AND (NOT EXISTS (SELECT 1 FROM outbox_relays WHERE shard = -2) OR starts < COALESCE((\
                    SELECT position FROM outbox_reads o \
                    WHERE o.boot = decision_blocks.boot AND o.lane = decision_blocks.lane), 0))";

impl Store {
    /// Merges the small blocks of lanes that have sixteen or more, at most 256 of four lanes a call,
    /// and says how many blocks are fewer; call again until it says 0.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn merge_blocks(&self) -> Result<u64, StoreError> {
        // Mostly there is nothing to do, and then nobody has to wait.
        let mut conn = self.reader().await?;
        let lanes = all(built(LANES.replace("{read}", READ)), &mut conn).await?;
        drop(conn);
        let mut fewer = 0;
        for lane in lanes {
            let mut tx = self.begin_write().await?;
            // Meters that come meanwhile wait until these blocks are packed.
            hold_version(&mut tx, self.engine().share_row()).await?;
            fewer += merge(&mut tx, (lane.int(0)?, lane.int(1)?)).await?;
            tx.commit().await?;
        }
        Ok(fewer)
    }
}

/// Merges small blocks of a lane, the oldest first, as many as make one whole block.
async fn merge(conn: &mut AnyConnection, (boot, lane): (i64, i64)) -> Result<u64, StoreError> {
    let text = format!(
        "SELECT starts, records FROM decision_blocks WHERE boot = $1 AND lane = $2 AND records < 1024 AND {READ} \
         ORDER BY starts LIMIT 256"
    );
    let small = all(built(text).bind(boot).bind(lane), conn).await?;
    let (mut builder, mut whole) = (Builder::default(), Vec::<Packed>::new());
    let (mut records, mut taken) = (0, 0);
    for row in small {
        records += row.count(1)?;
        if records > RECORDS_MAX as u64 {
            break;
        }
        let starts = row.int(0)?;
        let Some(packed) = take_out(conn, (boot, lane, starts)).await? else { continue };
        taken += 1;
        let block = Block::open(&packed).ok_or_else(unreadable)?;
        let found = block.find(&Wanted::default()).ok_or_else(unreadable)?;
        // Texts may fill it before its records do. Two blocks never begin at one position, since each
        // begins with what began one of the small ones.
        if builder.is_full() {
            whole.extend(builder.finish());
        }
        block.unpack(&found, |_, decision| builder.add(starts as u64, &decision)).ok_or_else(unreadable)?;
    }
    whole.extend(builder.finish());
    insert_blocks(conn, (boot, lane), &whole).await?;
    Ok(taken - whole.len() as u64)
}
