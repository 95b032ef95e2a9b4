//! When each secret was last used. Unlike counts, writing it late or twice does no harm: the newest
//! wins.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sqlx::AnyConnection;
use tollgate_journal::Entry;

use crate::{
    error::StoreError,
    sql::{bulk, places, rows_max, run},
};

/// Secrets beyond this must be written: 3 MB.
const USES_MAX: usize = 56_000;

/// The last use of each secret that was used since they were written.
#[derive(Default)]
pub struct LastUses {
    /// (key, generation) to (moment, address).
    uses: HashMap<(i64, i64), (i64, [u8; 16]), RandomState>,
}

impl LastUses {
    /// How many secrets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    /// Whether they must be written.
    pub(super) fn is_heavy(&self) -> bool {
        self.uses.len() >= USES_MAX
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        if entry.key == 0 {
            return;
        }
        let used = self.uses.entry((entry.key as i64, i64::from(entry.generation))).or_default();
        if entry.at_us >= used.0 {
            *used = (entry.at_us, entry.address);
        }
    }

    pub(super) fn clear(&mut self) {
        self.uses.clear();
    }

    /// Writes them, in the order of the keys, so that two who write never wait in a circle.
    pub(super) async fn write(&self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let mut rows: Vec<_> = self.uses.iter().collect();
        rows.sort_unstable_by_key(|(secret, _)| **secret);
        for part in rows.chunks(rows_max(4)) {
            let text = format!(
                "INSERT INTO key_uses (key, generation, used_us, address) VALUES {} \
                 ON CONFLICT (key, generation) DO UPDATE SET used_us = excluded.used_us, \
                 address = excluded.address WHERE excluded.used_us >= key_uses.used_us",
                places(part.len(), 4)
            );
            let mut statement = bulk(text);
            for ((key, generation), (at_us, address)) in part {
                statement = statement.bind(*key).bind(*generation).bind(*at_us).bind(address.to_vec());
            }
            run(statement, conn).await?;
        }
        Ok(())
    }
}
