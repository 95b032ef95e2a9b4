//! Blocks that hold: read into memory, ended by time, lifted by people.

use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{self, Actor, Permit, authorise},
    blocks::{BLOCKS_MAX, Block, Blocks},
    id::{BlockId, ProjectId, ServiceId, TenantId},
    keyring::KeyState,
    rule::{spec::Action, watch::Subject},
};

use super::{
    action_from_sql, told,
    views::{BlockView, load_block},
    whose_from_sql,
};
use crate::{
    error::{Entity, StoreError},
    notices,
    open::Store,
    sql::{Columns as _, Row, all, built, one, run, sql},
    write::{Change, Committed, Write},
};

const COLUMNS: &str = "id, tenant, project, whose, subject, service, until_us, rule, rule_name, reason, version, \
                       ended_us";
/// Blocks ended in one transaction.
const ENDED_MAX: i64 = 200;
/// How long blocks that have ended and what rules did are kept: 400 days.
const KEPT_US: i64 = 400 * 86_400_000_000;

/// Somebody, or a rule, took a block away before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lift {
    /// The block.
    pub block: BlockId,
    /// The number of the rule's id.
    pub rule: u64,
    /// Whose block it was.
    pub subject: Subject,
    /// When, wall microseconds.
    pub at_us: i64,
}

/// A rule acted, or would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastFiring {
    /// The number of the rule's id.
    pub rule: u64,
    /// Upon whom.
    pub subject: Subject,
    /// When, wall microseconds.
    pub at_us: i64,
    /// Until when a block holds.
    pub until_us: Option<i64>,
    /// Whether the rule only observed.
    pub observed: bool,
    /// What it did.
    pub action: Action,
}

/// A block's row.
pub(super) struct Held {
    pub(super) block: Block,
    pub(super) version: u64,
    pub(super) ended_us: Option<i64>,
}

impl Held {
    pub(super) async fn load(conn: &mut AnyConnection, id: BlockId) -> Result<Self, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM blocks WHERE id = $1");
        let row = one(built(text).bind(id.to_sql()), conn).await?;
        Self::of(&row.ok_or_else(|| StoreError::not_found(Entity::Block, id))?)
    }

    fn of(row: &Row) -> Result<Self, StoreError> {
        let block = Block {
            id: BlockId::from_sql(row.int(0)?),
            tenant: TenantId::from_sql(row.int(1)?),
            project: ProjectId::from_sql(row.int(2)?),
            subject: Subject { whose: whose_from_sql(row.int(3)?)?, id: row.int(4)? as u64 },
            service: row.opt_int(5)?.map(ServiceId::from_sql),
            until_us: row.opt_int(6)?,
            rule: row.int(7)? as u64,
            rule_name: row.text(8)?.into(),
            reason: row.text(9)?.into(),
        };
        Ok(Self { block, version: row.count(10)?, ended_us: row.opt_int(11)? })
    }
}

/// Reads the blocks that nobody has ended.
pub(crate) async fn load_blocks(conn: &mut AnyConnection) -> Result<Blocks, StoreError> {
    let text = format!("SELECT {COLUMNS} FROM blocks WHERE ended_us IS NULL ORDER BY id LIMIT {BLOCKS_MAX}");
    let rows = all(built(text), conn).await?;
    rows.iter().map(|row| Ok(Held::of(row)?.block)).collect()
}

impl Store {
    /// Lifts a block; one that has ended already is no change. Needs `Action::ChangeBlocks` in its tenant. The
    /// rule that set it begins anew with the subject.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also for what belongs to another tenant.
    pub async fn lift_block(
        &self,
        permit: &Permit,
        id: BlockId,
        now_us: i64,
    ) -> Result<Committed<BlockView>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let held = Held::load(write.conn(), id).await?;
        if permit.tenant().is_some_and(|tenant| tenant != held.block.tenant) {
            return Err(StoreError::not_found(Entity::Block, id));
        }
        if held.ended_us.is_none() {
            end(&mut write, &held, ("block.lift", now_us)).await?;
        }
        let value = load_block(write.conn(), id).await?;
        Ok(Committed { value, seq: write.commit().await? })
    }

    /// Ends blocks whose moment has come, some at a time, in the name of their rules; says how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_blocks(&self, now_us: i64) -> Result<u64, StoreError> {
        self.end_those("until_us <= $1", ("block.end", now_us)).await
    }

    /// Ends blocks whose subject is deleted, or a key that is revoked: they keep nobody out any more, and take room.
    /// Some at a time, in the name of their rules; says how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_blocks_of_the_gone(&self, now_us: i64) -> Result<u64, StoreError> {
        let revoked = KeyState::Revoked as i64;
        let gone = format!(
            "from_us <= $1 AND ((whose = 0 AND NOT EXISTS (SELECT 1 FROM keys x WHERE x.id = subject AND x.state <> {revoked})) \
                    OR (whose = 1 AND NOT EXISTS (SELECT 1 FROM consumers x WHERE x.id = subject)) \
                    OR (whose = 2 AND NOT EXISTS (SELECT 1 FROM projects x WHERE x.id = subject)) \
                    OR (whose = 3 AND NOT EXISTS (SELECT 1 FROM services x WHERE x.id = subject)))"
        );
        self.end_those(&gone, ("block.gone", now_us)).await
    }

    async fn end_those(&self, which: &str, (action, now_us): (&'static str, i64)) -> Result<u64, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM blocks WHERE ended_us IS NULL AND {which} \
             ORDER BY tenant, rule_name, id LIMIT {ENDED_MAX}"
        );
        let mut conn = self.reader().await?;
        let rows = all(built(text).bind(now_us), &mut conn).await?;
        drop(conn);
        let due = rows.iter().map(Held::of).collect::<Result<Vec<_>, _>>()?;
        let same_actor = |one: &Held, next: &Held| {
            (one.block.tenant, &one.block.rule_name) == (next.block.tenant, &next.block.rule_name)
        };
        for part in due.chunk_by(same_actor) {
            let Some(first) = part.first() else { continue };
            let actor = Actor::Rule { tenant: first.block.tenant, name: first.block.rule_name.to_string() };
            let permit = authorise(&actor, authz::Action::ChangeBlocks, Some(first.block.tenant))?;
            let mut write = self.write(&permit, now_us).await?;
            for held in part {
                end(&mut write, held, (action, now_us)).await?;
            }
            write.commit().await?;
        }
        Ok(due.len() as u64)
    }

    /// Blocks that were taken away before their time since a moment, oldest first, at most the last
    /// 10,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lifts_since(&self, since_us: i64) -> Result<Vec<Lift>, StoreError> {
        let text = "SELECT rule, whose, subject, ended_us, id FROM blocks WHERE lifted = 1 AND ended_us >= $1 \
                    ORDER BY ended_us DESC, id DESC LIMIT 10000";
        let mut conn = self.reader().await?;
        let rows = all(sql(text).bind(since_us), &mut conn).await?;
        rows.iter()
            .rev()
            .map(|row| {
                Ok(Lift {
                    rule: row.int(0)? as u64,
                    subject: Subject { whose: whose_from_sql(row.int(1)?)?, id: row.int(2)? as u64 },
                    at_us: row.int(3)?,
                    block: BlockId::from_sql(row.int(4)?),
                })
            })
            .collect()
    }

    /// What rules have done since a moment, oldest first, and before it, where the block goes on; but for blocks
    /// that were taken away.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_firings(&self, since_us: i64) -> Result<Vec<LastFiring>, StoreError> {
        // A block has the id of what set it; one that was taken away binds its rule no more.
        let text = "SELECT f.rule, f.whose, f.subject, f.at_us, f.until_us, f.mode, f.action FROM rule_firings f \
                    LEFT JOIN blocks b ON b.id = f.id WHERE COALESCE(b.lifted, 0) = 0 \
                    AND (f.at_us >= $1 OR (f.action = 0 AND (f.until_us IS NULL OR f.until_us >= $1))) \
                    ORDER BY f.at_us, f.id";
        let mut conn = self.reader().await?;
        let rows = all(sql(text).bind(since_us), &mut conn).await?;
        rows.iter()
            .map(|row| {
                let subject = Subject { whose: whose_from_sql(row.int(1)?)?, id: row.int(2)? as u64 };
                Ok(LastFiring {
                    rule: row.int(0)? as u64,
                    subject,
                    at_us: row.int(3)?,
                    until_us: row.opt_int(4)?,
                    observed: row.int(5)? == 0,
                    action: action_from_sql(row.int(6)?)?,
                })
            })
            .collect()
    }

    /// Forgets blocks that ended, and what rules did, 400 days ago; at most 5,000 of each a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_rule_history(&self, now_us: i64) -> Result<u64, StoreError> {
        let before_us = now_us.saturating_sub(KEPT_US);
        let mut tx = self.begin_write().await?;
        let mut rows = 0;
        for text in [
            "DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE ended_us < $1 LIMIT 5000)",
            "DELETE FROM rule_firings WHERE id IN (SELECT id FROM rule_firings WHERE at_us < $1 LIMIT 5000)",
        ] {
            rows += run(sql(text).bind(before_us), &mut tx).await?;
        }
        tx.commit().await?;
        Ok(rows)
    }
}

/// Ends a block that holds; nothing when somebody else did meanwhile.
pub(super) async fn end(
    write: &mut Write<'_>,
    held: &Held,
    (action, now_us): (&'static str, i64),
) -> Result<(), StoreError> {
    let block = &held.block;
    let actor = write.permit().actor().to_string();
    let by = match action {
        "block.end" => "time".to_owned(),
        "block.gone" => "deletion".to_owned(),
        _ => actor,
    };
    let update = sql("UPDATE blocks SET ended_us = $1, ended_by = $2, lifted = $3, version = version + 1 \
                      WHERE id = $4 AND ended_us IS NULL");
    let lifted = i64::from(action == "block.lift");
    let update = update.bind(now_us).bind(by.clone()).bind(lifted).bind(block.id.to_sql());
    if run(update, write.conn()).await? == 0 {
        return Ok(());
    }
    notices::write(write.conn(), &told::unblocked(block, &by, now_us)).await?;
    let what = json!({
        "rule_name": block.rule_name,
        "whose": block.subject.whose,
        "subject": block.subject.to_string(),
        "service": block.service,
        "until_us": block.until_us,
    });
    write.record(Change {
        needs: authz::Action::ChangeBlocks,
        tenant: Some(block.tenant),
        action,
        entity: Entity::Block,
        id: block.id.to_sql(),
        version: held.version + 1,
        before: Some(what.to_string()),
        after: None,
    })
}
