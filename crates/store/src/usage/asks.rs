//! Asking all nodes to ship now. Under load they ship seldom; who is about to read usage does not
//! want to wait for that, and counts a number up that every node looks at with each poll of the feed.

use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, one, run, sql},
};

impl Store {
    /// Asks all nodes to ship what they have answered; [`Store::live_nodes`] says when they have.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn ask_to_ship(&self) -> Result<(), StoreError> {
        let text = "INSERT INTO ship_asks (id, asks) VALUES (1, 1) \
                    ON CONFLICT (id) DO UPDATE SET asks = ship_asks.asks + 1";
        let mut tx = self.begin_write().await?;
        run(sql(text), &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// How often was asked.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn ship_asks(&self) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        one(sql("SELECT asks FROM ship_asks WHERE id = 1"), &mut conn)
            .await?
            .map_or(Ok(0), |row| row.count(0))
    }
}
