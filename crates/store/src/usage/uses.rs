//! When each secret was last used. Unlike counts, writing it late or twice does no harm: the newest
//! wins.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sqlx::AnyConnection;

use crate::{
    error::StoreError,
    sql::{Bulk, run},
};

/// Secrets beyond this must be written: 3 MB.
const USES_MAX: usize = 56_000;

const INSERT: &str = "INSERT INTO key_uses (key, generation, used_us, address) VALUES ";
const LATER: &str = " ON CONFLICT (key, generation) DO UPDATE SET used_us = excluded.used_us, \
     address = excluded.address WHERE excluded.used_us >= key_uses.used_us";

/// The last use of each secret that was used since they were written.
#[derive(Default)]
pub struct LastUses {
    /// (key, generation) to (moment, address).
    uses: HashMap<(i64, i64), (i64, [u8; 16]), RandomState>,
}

impl LastUses {
    /// How many secrets.
    pub(super) fn len(&self) -> usize {
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

    /// Notes the use of a secret; that of no key is none.
    pub(super) fn note(&mut self, key: i64, generation: u16, (at_us, address): (i64, [u8; 16])) {
        if key == 0 {
            return;
        }
        let used = self.uses.entry((key, i64::from(generation))).or_default();
        if at_us >= used.0 {
            *used = (at_us, address);
        }
    }

    pub(super) fn clear(&mut self) {
        self.uses.clear();
    }

    /// Writes them, in the order of the keys, so that two who write never wait in a circle.
    pub(super) async fn write(&self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let mut rows: Vec<_> = self.uses.iter().collect();
        rows.sort_unstable_by_key(|(secret, _)| **secret);
        let mut insert = Bulk::new(conn, INSERT, 4, LATER);
        for part in rows.chunks(insert.rows_max()) {
            let mut statement = insert.of(part.len());
            for ((key, generation), (at_us, address)) in part {
                statement = statement.bind(*key).bind(*generation).bind(*at_us).bind(address.to_vec());
            }
            run(statement, conn).await?;
        }
        Ok(())
    }
}
