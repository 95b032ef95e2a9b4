//! Records that a sink did not take: seen, tried again, skipped.
//!
//! A record that is held keeps the later ones of its tenant back, for they have the same key. When it is
//! released they are read again from there, in their order.

use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    id::TenantId,
};

use crate::{
    error::{Entity, StoreError},
    ingest::SHARD,
    open::Store,
    sql::{Columns as _, Row, Statement, all, one, run, sql},
    write::Change,
};

/// What happens to the later records of the same tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// They wait, so that the order is kept.
    #[default]
    Hold,
    /// They go on without it.
    Skip,
}

/// Where a parked record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkedState {
    /// Later records of its tenant wait for somebody.
    Held,
    /// It is to be tried again.
    Retry,
    /// It is to be left out; those that wait go on.
    Skip,
    /// It was left out.
    Passed,
}

impl ParkedState {
    const fn to_sql(self) -> i64 {
        match self {
            Self::Held => 0,
            Self::Retry => 1,
            Self::Skip => 2,
            Self::Passed => 3,
        }
    }

    const fn from_sql(value: i64) -> Self {
        match value {
            0 => Self::Held,
            1 => Self::Retry,
            2 => Self::Skip,
            _ => Self::Passed,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Passed => "passed",
        }
    }
}

/// A record to be parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewParked {
    /// Its position.
    pub position: u64,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its event id.
    pub event: String,
    /// Its type.
    pub kind: String,
    /// Why the sink does not take it.
    pub reason: String,
    /// What happens to the later ones.
    pub policy: Policy,
    /// When, wall microseconds.
    pub parked_us: i64,
}

/// The longest reason that is kept, in characters.
const REASON_LEN_MAX: usize = 500;

impl NewParked {
    pub(super) fn insert(&self, sink: &str) -> Statement {
        let state = match self.policy {
            Policy::Hold => ParkedState::Held,
            Policy::Skip => ParkedState::Passed,
        };
        sql("INSERT INTO outbox_parked (shard, sink, position, tenant, event, kind, reason, state, parked_us) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (shard, sink, position) DO UPDATE SET \
             reason = excluded.reason, state = excluded.state, parked_us = excluded.parked_us")
        .bind(SHARD)
        .bind(sink.to_owned())
        .bind(self.position as i64)
        .bind(self.tenant.to_sql())
        .bind(self.event.clone())
        .bind(self.kind.clone())
        .bind(self.reason.chars().take(REASON_LEN_MAX).collect::<String>())
        .bind(state.to_sql())
        .bind(self.parked_us)
    }
}

/// Records of a tenant that went on: each was acknowledged, or is to be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledSpan {
    /// The tenant.
    pub tenant: TenantId,
    /// The first position.
    pub from: u64,
    /// The position after the last.
    pub to: u64,
}

impl SettledSpan {
    /// Takes what is parked in it off the list; what was to be left out stays there as that.
    pub(super) async fn settle(self, sink: &str, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let left_out =
            sql("UPDATE outbox_parked SET state = 3 WHERE shard = $1 AND sink = $2 AND tenant = $3 \
                            AND position >= $4 AND position < $5 AND state = 2");
        let gone = sql("DELETE FROM outbox_parked WHERE shard = $1 AND sink = $2 AND tenant = $3 \
                        AND position >= $4 AND position < $5 AND state < 2");
        for statement in [left_out, gone] {
            let statement = statement.bind(SHARD).bind(sink.to_owned()).bind(self.tenant.to_sql());
            run(statement.bind(self.from as i64).bind(self.to as i64), conn).await?;
        }
        Ok(())
    }
}

/// A parked record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRow {
    /// The sink.
    pub sink: String,
    /// Its position.
    pub position: u64,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its event id.
    pub event: String,
    /// Its type.
    pub kind: String,
    /// Why the sink does not take it.
    pub reason: String,
    /// Where it stands.
    pub state: ParkedState,
    /// When it was parked, wall microseconds.
    pub parked_us: i64,
}

/// Which parked records; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct ParkedFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this sink.
    pub sink: Option<String>,
    /// Only those that something waits for.
    pub open: bool,
}

/// Parked records that are listed at most.
const LISTED_MAX: i64 = 1000;

impl Store {
    /// Parked records, the oldest first, at most a thousand.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn parked(&self, filter: &ParkedFilter) -> Result<Vec<ParkedRow>, StoreError> {
        let mut conn = self.reader().await?;
        let select = sql(
            "SELECT sink, position, tenant, event, kind, reason, state, parked_us FROM outbox_parked \
                          WHERE shard = $1 AND ($2 < 0 OR tenant = $2) AND ($3 = '' OR sink = $3) AND state < $4 \
                          ORDER BY position LIMIT $5",
        );
        let select = select
            .bind(SHARD)
            .bind(filter.tenant.map_or(-1, TenantId::to_sql))
            .bind(filter.sink.clone().unwrap_or_default())
            .bind(if filter.open { ParkedState::Passed.to_sql() } else { i64::MAX })
            .bind(LISTED_MAX);
        all(select, &mut conn).await?.iter().map(parked).collect()
    }

    /// The first open record of each tenant whose records wait for a sink: what holds the tenant.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn first_parked(&self, sink: &str) -> Result<Vec<ParkedRow>, StoreError> {
        let mut conn = self.reader().await?;
        let select = sql(
            "SELECT sink, position, tenant, event, kind, reason, state, parked_us FROM outbox_parked \
                          WHERE shard = $1 AND sink = $2 AND state < 3 AND position IN (\
                            SELECT MIN(position) FROM outbox_parked WHERE shard = $1 AND sink = $2 AND state < 3 \
                            GROUP BY tenant) ORDER BY position",
        );
        all(select.bind(SHARD).bind(sink.to_owned()), &mut conn).await?.iter().map(parked).collect()
    }

    /// Has a held record tried again, or skipped, with those that wait for it. The relay does it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of this event id that is held.
    pub async fn release_parked(
        &self,
        permit: &Permit,
        (event, state): (&str, ParkedState),
        now_us: i64,
    ) -> Result<ParkedRow, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let select =
            sql("SELECT sink, position, tenant, event, kind, reason, state, parked_us FROM outbox_parked \
                          WHERE shard = $1 AND event = $2 AND state = 0");
        let Some(row) = one(select.bind(SHARD).bind(event.to_owned()), write.conn()).await? else {
            write.roll_back().await?;
            return Err(StoreError::not_found(Entity::ParkedEvent, event));
        };
        let found = parked(&row)?;
        let update =
            sql("UPDATE outbox_parked SET state = $1 WHERE shard = $2 AND sink = $3 AND position = $4");
        let update =
            update.bind(state.to_sql()).bind(SHARD).bind(found.sink.clone()).bind(found.position as i64);
        run(update, write.conn()).await?;
        write.record(Change {
            needs: Action::ChangeResources,
            tenant: Some(found.tenant),
            action: if state == ParkedState::Skip { "event.skip" } else { "event.retry" },
            entity: Entity::ParkedEvent,
            id: found.position as i64,
            version: 1,
            before: Some(format!("{{\"event\":\"{}\",\"state\":\"held\"}}", found.event)),
            after: Some(format!("{{\"event\":\"{}\",\"state\":\"{}\"}}", found.event, state.name())),
        })?;
        write.commit().await?;
        Ok(ParkedRow { state, ..found })
    }
}

fn parked(row: &Row) -> Result<ParkedRow, StoreError> {
    Ok(ParkedRow {
        sink: row.text(0)?.to_owned(),
        position: row.count(1)?,
        tenant: TenantId::from_sql(row.int(2)?),
        event: row.text(3)?.to_owned(),
        kind: row.text(4)?.to_owned(),
        reason: row.text(5)?.to_owned(),
        state: ParkedState::from_sql(row.int(6)?),
        parked_us: row.int(7)?,
    })
}
