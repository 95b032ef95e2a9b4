//! How the rows reach the memory of every node: loaded once, then kept up by following the numbered
//! changes. How far each node is stands in `nodes`.

mod apply;
mod keys;
mod load;
mod tables;

use sqlx::AnyConnection;

use crate::{
    dialect::Engine,
    error::StoreError,
    sql::{Columns as _, one, sql},
};

/// Reads the head of the feed, from the primary only.
async fn read_head(engine: Engine, conn: &mut AnyConnection) -> Result<Applied, StoreError> {
    let row = one(sql(engine.head_query()), conn).await?.ok_or_else(|| StoreError::Unavailable {
        public: "it is a standby, or was not set up; give the URL of the primary".to_owned(),
        cause: "no head of the feed".to_owned(),
    })?;
    Ok(Applied { installation: row.count(2)?, seq: row.count(0)?, hash: row.hash(1)?, restored: false })
}

/// How far a snapshot is, and which history that number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The installation; a database made anew has another.
    pub installation: u64,
    /// The last change that is in the snapshot; 0 before the first.
    pub seq: u64,
    /// The hash of that change in the audit chain: two histories that part have different ones.
    pub hash: [u8; 32],
    /// Set when the database turned out to have another history than before (restored from a
    /// backup, failed over with loss) and everything was loaded anew. Keys keep their newest known
    /// state in memory, so nothing revoked comes back (I23); it is for an operator to look.
    pub restored: bool,
}
