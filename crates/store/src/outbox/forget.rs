//! Forgetting a sink that is there no more: its cursor would keep records for ever.

use tollgate_core::authz::{Action, Permit};

use super::stream::Stream;
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{Columns as _, one, run, sql},
    write::Change,
};

/// What Tollgate itself does with records: forgotten, it would begin with all of them again.
const OWN: [&str; 1] = ["meters"];

impl Store {
    /// Forgets a sink: its cursor, and what it did not take. Records that only it waited for go when their time
    /// has come. One that comes again begins with the oldest record there is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of this name, [`StoreError::Invalid`] while a relay works for it,
    /// and for what is Tollgate's own.
    pub async fn forget_sink(&self, permit: &Permit, sink: &str, now_us: i64) -> Result<(), StoreError> {
        if OWN.contains(&sink) {
            return Err(StoreError::invalid("sink", format!("`{sink}` is Tollgate's own and stays")));
        }
        let mut write = self.write(permit, now_us).await?;
        let select = sql("SELECT shard, until_us, sent, epoch FROM outbox_relays WHERE sink = $1");
        let Some(row) = one(select.bind(sink.to_owned()), write.conn()).await? else {
            write.roll_back().await?;
            return Err(StoreError::not_found(Entity::Sink, sink));
        };
        if row.int(1)? > now_us {
            write.roll_back().await?;
            let why =
                "a node hands records on to it now; take it out of that node's settings first, and wait 15 s";
            return Err(StoreError::invalid("sink", why));
        }
        let (shard, sent, epoch) = (row.int(0)?, row.count(2)?, row.count(3)?);
        // Whoever still has a lease of it must not be taken for the holder of a later one.
        let note = "INSERT INTO meta (name, value) VALUES ('sink_epoch', $1) ON CONFLICT (name) DO UPDATE \
                    SET value = CASE WHEN CAST(meta.value AS BIGINT) < CAST(excluded.value AS BIGINT) \
                      THEN excluded.value ELSE meta.value END";
        run(sql(note).bind(epoch.to_string()), write.conn()).await?;
        for text in [
            "DELETE FROM outbox_relays WHERE shard = $1 AND sink = $2",
            "DELETE FROM outbox_parked WHERE shard = $1 AND sink = $2",
        ] {
            run(sql(text).bind(shard).bind(sink.to_owned()), write.conn()).await?;
        }
        if sink == Stream::Decisions.sink() {
            run(sql("DELETE FROM outbox_reads"), write.conn()).await?;
        }
        write.record(Change {
            needs: Action::ChangeResources,
            tenant: None,
            action: "sink.forget",
            entity: Entity::Sink,
            id: shard,
            version: epoch,
            before: Some(format!("{{\"sink\":{},\"sent\":{sent}}}", serde_json::Value::from(sink))),
            after: None,
        })?;
        write.commit().await?;
        Ok(())
    }
}
