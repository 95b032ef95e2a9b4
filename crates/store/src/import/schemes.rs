//! How many secrets each imported scheme has, counted in the transactions that change it: nodes look
//! an unknown credential up only in the ways that can find one.

use sqlx::AnyConnection;

use crate::{
    error::StoreError,
    sql::{run, sql},
};

/// Adds to the count of a scheme, or takes away from it. Our own (0) is not counted.
pub(super) async fn count_scheme(conn: &mut AnyConnection, scheme: i64, more: i64) -> Result<(), StoreError> {
    if scheme == 0 || more == 0 {
        return Ok(());
    }
    let text = "INSERT INTO imported_schemes (scheme, secrets) VALUES ($1, $2) ON CONFLICT (scheme) \
                DO UPDATE SET secrets = imported_schemes.secrets + excluded.secrets";
    run(sql(text).bind(scheme).bind(more), conn).await?;
    Ok(())
}
