//! The one wrapper that every mutation runs through: permit, rows, changes with numbers and hashes,
//! commit. Nothing else in this crate opens a transaction that changes resources, keys or tokens.

use std::borrow::Cow;

use sqlx::{Any, AnyConnection, Transaction};
use tollgate_core::{
    authz::{Action, Permit},
    id::{ConsumerId, KeyId, TenantId},
    notice::NoticeKind,
};

use crate::{
    chain::Link,
    error::{Entity, StoreError},
    notices::{self, Notice},
    open::Store,
    sql::{Columns as _, bulk, only, places, rows_max, run, sql},
    standing::renewed,
};

/// What a mutation gave, and the number of its last change.
#[derive(Clone, Debug)]
pub struct Committed<T> {
    /// What it gave.
    pub value: T,
    /// The number of its last change; the present head when everything was so already.
    pub seq: u64,
}

/// One change, to be recorded.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// What the permit must allow.
    pub(crate) needs: Action,
    /// Whose it is; `None` is the whole installation's.
    pub(crate) tenant: Option<TenantId>,
    /// The word in the audit: `key.revoke`.
    pub(crate) action: &'static str,
    pub(crate) entity: Entity,
    pub(crate) id: i64,
    pub(crate) version: u64,
    /// JSON, without secrets.
    pub(crate) before: Option<String>,
    /// JSON, without secrets.
    pub(crate) after: Option<String>,
}

/// A mutation under way. Dropped without [`Write::commit`] it is rolled back.
pub(crate) struct Write<'p> {
    tx: Transaction<'static, Any>,
    permit: Cow<'p, Permit>,
    at_us: i64,
    changes: Vec<Change>,
}

impl Store {
    /// Begins a mutation at a moment of wall time. What a member may do is read again once no other mutation
    /// runs, and is that until the commit.
    ///
    /// # Errors
    /// [`StoreError::NotAuthorised`] when they lost the right since the permit was given.
    pub(crate) async fn write<'p>(&self, permit: &'p Permit, now_us: i64) -> Result<Write<'p>, StoreError> {
        let mut tx = self.begin_write().await?;
        if let Some(lock) = self.engine().lock_mutations() {
            only(sql(lock), &mut tx).await?;
        }
        let permit = renewed(&mut tx, permit).await?;
        Ok(Write { tx, permit, at_us: now_us, changes: Vec::new() })
    }
}

impl Write<'_> {
    /// The connection, inside the transaction.
    pub(crate) fn conn(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    /// The right that it happens by, as it is now.
    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Records a change; to be called for every row that a user would call one thing.
    pub(crate) fn record(&mut self, change: Change) -> Result<(), StoreError> {
        if !self.permit.covers(change.needs, change.tenant) {
            return Err(StoreError::NotCovered { kind: change.entity });
        }
        self.changes.push(change);
        Ok(())
    }

    /// Records a change of something that a consumer has, such as a key: a permit that is limited to
    /// consumers may cover it.
    pub(crate) fn record_of(&mut self, consumer: ConsumerId, change: Change) -> Result<(), StoreError> {
        let permit = &self.permit;
        let covered =
            change.tenant.is_some_and(|tenant| permit.covers_consumer(change.needs, tenant, consumer));
        if !covered {
            return Err(StoreError::NotCovered { kind: change.entity });
        }
        self.changes.push(change);
        Ok(())
    }

    /// Whether nothing was recorded so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Numbers the changes, chains them, commits. Nothing recorded: rolls back and gives the head.
    ///
    /// The head is held until the commit, so the order of numbers is the order of commits, and a
    /// rollback gives them back.
    pub(crate) async fn commit(mut self) -> Result<u64, StoreError> {
        if self.changes.is_empty() {
            let row = only(sql("SELECT seq FROM feed_head WHERE id = 1"), &mut self.tx).await?;
            let seq = row.count(0)?;
            self.tx.rollback().await?;
            return Ok(seq);
        }
        let changes = std::mem::take(&mut self.changes);
        let count = changes.len() as i64;
        let take = sql("UPDATE feed_head SET seq = seq + $1 WHERE id = 1 RETURNING seq, hash").bind(count);
        let head = only(take, &mut self.tx).await?;
        let (seq, mut hash) = (head.int(0)?, head.hash(1)?);
        let actor = self.permit.actor().to_string();
        let mut first = seq - count + 1;
        const COLUMNS: usize = 12;
        for part in changes.chunks(rows_max(COLUMNS)) {
            hash = insert_changes(&mut self.tx, part, Part { first, at_us: self.at_us, actor: &actor, hash })
                .await?;
            first += part.len() as i64;
        }
        let link = sql("UPDATE feed_head SET hash = $1 WHERE id = 1").bind(hash.to_vec());
        run(link, &mut self.tx).await?;
        let told = notices_of(&changes, &actor, self.at_us);
        notices::write_all(&mut self.tx, &told).await?;
        self.tx.commit().await?;
        Ok(seq.unsigned_abs())
    }

    /// Commits rows that are nobody's change, such as how far a job is, with the changes where there are
    /// any.
    pub(crate) async fn commit_rows(self) -> Result<(), StoreError> {
        if self.changes.is_empty() {
            return Ok(self.tx.commit().await?);
        }
        self.commit().await.map(drop)
    }

    /// Takes everything back.
    pub(crate) async fn roll_back(self) -> Result<(), StoreError> {
        Ok(self.tx.rollback().await?)
    }
}

/// The notices of changes: keys that were made, given a new secret, switched off and on, revoked.
fn notices_of(changes: &[Change], actor: &str, at_us: i64) -> Vec<Notice> {
    let told = changes.iter().filter(|change| change.entity == Entity::Key).filter_map(|change| {
        let kind = match change.action {
            "key.create" => NoticeKind::KeyCreated,
            "key.rotate" => NoticeKind::KeyRotated,
            "key.revoke" => NoticeKind::KeyRevoked,
            "key.disable" => NoticeKind::KeyDisabled,
            "key.enable" => NoticeKind::KeyEnabled,
            _ => return None,
        };
        let notice = Notice::of_key(kind, change.tenant?, KeyId::from_sql(change.id), at_us);
        Some(notice.with("actor", actor))
    });
    told.collect()
}

struct Part<'a> {
    first: i64,
    at_us: i64,
    actor: &'a str,
    hash: [u8; 32],
}

async fn insert_changes(
    conn: &mut AnyConnection,
    changes: &[Change],
    part: Part<'_>,
) -> Result<[u8; 32], StoreError> {
    let text = format!(
        "INSERT INTO changes (seq, at_us, tenant, actor, action, entity, entity_id, version, before, after, \
         prev_hash, hash) VALUES {}",
        places(changes.len(), 12)
    );
    let mut statement = bulk(text);
    let mut previous = part.hash;
    for (seq, change) in (part.first..).zip(changes) {
        let link = Link {
            seq,
            at_us: part.at_us,
            tenant: change.tenant.map(TenantId::to_sql),
            actor: part.actor,
            action: change.action,
            entity: change.entity.name(),
            entity_id: change.id,
            version: change.version as i64,
            before: change.before.as_deref(),
            after: change.after.as_deref(),
        };
        let hash = link.hash(&previous);
        statement = statement
            .bind(seq)
            .bind(link.at_us)
            .bind(link.tenant)
            .bind(part.actor.to_owned())
            .bind(change.action)
            .bind(change.entity.name())
            .bind(change.id)
            .bind(link.version)
            .bind(change.before.clone())
            .bind(change.after.clone())
            .bind(previous.to_vec())
            .bind(hash.to_vec());
        previous = hash;
    }
    run(statement, conn).await?;
    Ok(previous)
}
