//! Finding whom to remind of what, and what is so no longer.

use std::collections::HashSet;

use sqlx::AnyConnection;
use tollgate_core::{
    id::{KeyId, TenantId},
    notice::NoticeKind,
};

use super::ReminderKind;
use crate::{
    error::StoreError,
    notices::{self, Notice, moment},
    open::Store,
    sql::{Bulk, Columns as _, Row, Statement, all, built, only, run, sql},
};

const DAY_US: i64 = 86_400_000_000;
/// How many days before a key expires, the next reminder after each.
const STEPS: [(i64, i64); 3] = [(30, 7), (7, 1), (1, 0)];
/// Reminders of a kind that one call of [`Store::remind`] makes at most; fewer than that in all, and
/// nothing is left to find.
pub const REMINDERS_FOUND_MAX: usize = 5_000;
/// Reminders made or ended in one transaction: others wait for the lock meanwhile.
const PART_ROWS: usize = 500;
/// How often a call looks for reminders that are so no longer, as many at a time as are found.
const ENDINGS_MAX: usize = 200;

const INSERT: &str = "INSERT INTO reminders (number, key, kind, due_us, step, tenant, project, consumer, at_us) \
     VALUES ";

/// Keys that may be used at $1 and expire after $2 and up to $3, made before that was less than the step:
/// a key of an hour is not said to expire within a day.
const EXPIRING: &str = "SELECT k.id, k.expires_us, p.tenant, k.project, k.consumer FROM keys k \
     JOIN projects p ON p.id = k.project WHERE k.state = 0 AND k.expires_us > $1 AND k.expires_us > $2 \
     AND k.expires_us <= $3 AND k.created_us < k.expires_us - $4 AND NOT EXISTS (SELECT 1 FROM reminders r \
     WHERE r.key = k.id AND r.kind = 0 AND r.due_us = k.expires_us AND r.step = $5) \
     ORDER BY k.expires_us, k.id LIMIT 5000";

/// Keys that may be used at $1 and whose secret is from before $2.
const ROTATION_DUE: &str = "SELECT * FROM (SELECT k.id, COALESCE((SELECT MAX(a.at_us) FROM changes a \
     WHERE a.entity_id = k.id AND a.action = 'key.rotate'), k.created_us) AS since, p.tenant, k.project, \
     k.consumer FROM keys k JOIN projects p ON p.id = k.project WHERE k.state = 0 AND k.expires_us > $1 \
     AND k.created_us <= $2 AND NOT EXISTS (SELECT 1 FROM reminders r WHERE r.key = k.id AND r.kind = 1 \
     AND r.done_us IS NULL)) old WHERE since <= $2 AND NOT EXISTS (SELECT 1 FROM reminders r \
     WHERE r.key = old.id AND r.kind = 1 AND r.due_us = old.since + $3) ORDER BY since, old.id LIMIT 5000";

/// Keys that may be used at $1 and were not since $2, neither used nor made.
const UNUSED: &str = "SELECT * FROM (SELECT k.id, COALESCE((SELECT MAX(u.used_us) FROM key_uses u \
     WHERE u.key = k.id), k.created_us) AS since, p.tenant, k.project, k.consumer FROM keys k \
     JOIN projects p ON p.id = k.project WHERE k.state = 0 AND k.expires_us > $1 AND k.created_us <= $2 \
     AND NOT EXISTS (SELECT 1 FROM reminders r WHERE r.key = k.id AND r.kind = 2 AND r.done_us IS NULL)) old \
     WHERE since <= $2 AND NOT EXISTS (SELECT 1 FROM reminders r WHERE r.key = old.id AND r.kind = 2 \
     AND r.due_us = old.since + $3) ORDER BY since, old.id LIMIT 5000";

/// Reminders of keys that are gone, stand still or have expired at $1.
const DONE_WITH_THE_KEY: &str = "NOT EXISTS \
     (SELECT 1 FROM keys k WHERE k.id = reminders.key AND k.state = 0 AND k.expires_us > $1)";
/// Those of an expiry that was moved, or for which the next step has come.
const DONE_WITH_THE_EXPIRY: &str = "kind = 0 AND \
     (NOT EXISTS (SELECT 1 FROM keys k WHERE k.id = reminders.key AND k.expires_us = reminders.due_us) \
     OR EXISTS (SELECT 1 FROM reminders r WHERE r.key = reminders.key AND r.kind = 0 \
     AND r.due_us = reminders.due_us AND r.step < reminders.step))";
/// Those of secrets that were replaced since; $1 is the age at which a secret is old.
const DONE_WITH_THE_SECRET: &str = "kind = 1 AND \
     EXISTS (SELECT 1 FROM changes a WHERE a.entity_id = reminders.key AND a.action = 'key.rotate' \
     AND a.at_us > reminders.due_us - $1)";
/// Those of keys that were used since; $1 is for how long a key is not used.
const DONE_WITH_THE_USE: &str = "kind = 2 AND \
     EXISTS (SELECT 1 FROM key_uses u WHERE u.key = reminders.key AND u.used_us > reminders.due_us - $1)";

/// When somebody is reminded; `None` never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReminderRules {
    /// Whether of keys that expire, 30, 7 and 1 days before.
    pub expiring: bool,
    /// Of secrets of this age, microseconds.
    pub rotation_after_us: Option<i64>,
    /// Of keys that were not used for so long, microseconds.
    pub unused_after_us: Option<i64>,
}

/// One thing to look for.
#[derive(Clone, Copy)]
enum Look {
    Expiring { step: i64, next: i64 },
    RotationDue { after_us: i64 },
    Unused { after_us: i64 },
}

impl ReminderRules {
    fn looks(&self) -> Vec<Look> {
        let mut looks = Vec::new();
        if self.expiring {
            looks.extend(STEPS.map(|(step, next)| Look::Expiring { step, next }));
        }
        looks.extend(self.rotation_after_us.map(|after_us| Look::RotationDue { after_us }));
        looks.extend(self.unused_after_us.map(|after_us| Look::Unused { after_us }));
        looks
    }
}

impl Look {
    fn kind(self) -> ReminderKind {
        match self {
            Self::Expiring { .. } => ReminderKind::Expiring,
            Self::RotationDue { .. } => ReminderKind::RotationDue,
            Self::Unused { .. } => ReminderKind::Unused,
        }
    }

    fn statement(self, now_us: i64) -> Statement {
        match self {
            Self::Expiring { step, next } => sql(EXPIRING)
                .bind(now_us)
                .bind(now_us.saturating_add(next * DAY_US))
                .bind(now_us.saturating_add(step * DAY_US))
                .bind(step * DAY_US)
                .bind(step),
            Self::RotationDue { after_us } => {
                sql(ROTATION_DUE).bind(now_us).bind(now_us.saturating_sub(after_us)).bind(after_us)
            }
            Self::Unused { after_us } => {
                sql(UNUSED).bind(now_us).bind(now_us.saturating_sub(after_us)).bind(after_us)
            }
        }
    }

    /// What lies between the moment that a row gives and the one that the reminder is about.
    const fn after_us(self) -> i64 {
        match self {
            Self::Expiring { .. } => 0,
            Self::RotationDue { after_us } | Self::Unused { after_us } => after_us,
        }
    }

    const fn step(self) -> i64 {
        match self {
            Self::Expiring { step, .. } => step,
            Self::RotationDue { .. } | Self::Unused { .. } => 0,
        }
    }
}

impl Store {
    /// Makes the reminders that are due; how many were made. At most [`REMINDERS_FOUND_MAX`] of a kind a
    /// call: call again until it gives fewer. The call that finds the last of them also marks those that
    /// are so no longer.
    ///
    /// What is due is looked for without the lock that mutations take, which is held only to write.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn remind(&self, rules: &ReminderRules, now_us: i64) -> Result<u64, StoreError> {
        let (mut made, mut is_all) = (0, true);
        for look in rules.looks() {
            let mut conn = self.reader().await?;
            let found = all(look.statement(now_us), &mut conn).await?;
            drop(conn);
            is_all &= found.len() < REMINDERS_FOUND_MAX;
            for part in found.chunks(PART_ROWS) {
                let mut tx = self.begin_write().await?;
                if let Some(lock) = self.engine().lock_mutations() {
                    only(sql(lock), &mut tx).await?;
                }
                made += make(&mut tx, (look, part), now_us).await?;
                tx.commit().await?;
            }
        }
        if is_all {
            self.mark_done(rules, now_us).await?;
        }
        Ok(made)
    }

    async fn mark_done(&self, rules: &ReminderRules, now_us: i64) -> Result<(), StoreError> {
        let mut endings = vec![(DONE_WITH_THE_KEY, Some(now_us)), (DONE_WITH_THE_EXPIRY, None)];
        endings.extend(rules.rotation_after_us.map(|after_us| (DONE_WITH_THE_SECRET, Some(after_us))));
        endings.extend(rules.unused_after_us.map(|after_us| (DONE_WITH_THE_USE, Some(after_us))));
        for (condition, value) in endings {
            for _ in 0..ENDINGS_MAX {
                if !self.end_part((condition, value), now_us).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Marks some reminders of which a condition holds; whether there may be more.
    async fn end_part(
        &self,
        (condition, value): (&str, Option<i64>),
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let bound = |text: String| value.into_iter().fold(built(text), Statement::bind);
        let open = format!(
            "SELECT number FROM reminders WHERE done_us IS NULL AND {condition} LIMIT {REMINDERS_FOUND_MAX}"
        );
        let mut conn = self.reader().await?;
        let rows = all(bound(open), &mut conn).await?;
        drop(conn);
        for part in rows.chunks(PART_ROWS) {
            let numbers = listed(part)?;
            // It may be so again by now.
            let end = format!(
                "UPDATE reminders SET done_us = {now_us} WHERE done_us IS NULL AND number IN ({numbers}) \
                 AND {condition}"
            );
            let mut tx = self.begin_write().await?;
            run(bound(end), &mut tx).await?;
            tx.commit().await?;
        }
        Ok(rows.len() == REMINDERS_FOUND_MAX)
    }
}

/// The numbers in the first column, as a statement lists them.
fn listed(rows: &[Row]) -> Result<String, StoreError> {
    let numbers = rows.iter().map(|row| Ok(row.int(0)?.to_string())).collect::<Result<Vec<_>, StoreError>>();
    Ok(numbers?.join(","))
}

/// Makes what was found and nobody else made since.
async fn make(
    conn: &mut AnyConnection,
    (look, found): (Look, &[Row]),
    now_us: i64,
) -> Result<u64, StoreError> {
    let kind = look.kind();
    let text = format!(
        "SELECT key, due_us, step, done_us FROM reminders WHERE kind = $1 AND key IN ({})",
        listed(found)?
    );
    let (mut said, mut open) = (HashSet::new(), HashSet::new());
    for row in all(built(text).bind(kind.number()), conn).await? {
        said.insert((row.int(0)?, row.int(1)?, row.int(2)?));
        if row.opt_int(3)?.is_none() && kind != ReminderKind::Expiring {
            open.insert(row.int(0)?);
        }
    }
    let mut new = Vec::with_capacity(found.len());
    for row in found {
        let (key, due_us) = (row.int(0)?, row.int(1)?.saturating_add(look.after_us()));
        if !open.contains(&key) && !said.contains(&(key, due_us, look.step())) {
            new.push((row, key, due_us));
        }
    }
    let last = only(sql("SELECT COALESCE(MAX(number), 0) FROM reminders"), conn).await?.int(0)?;
    let mut insert = Bulk::new(conn, INSERT, 9, "");
    let mut number = last;
    for part in new.chunks(insert.rows_max()) {
        let mut statement = insert.of(part.len());
        for (row, key, due_us) in part {
            number += 1;
            statement = statement
                .bind(number)
                .bind(*key)
                .bind(kind.number())
                .bind(*due_us)
                .bind(look.step())
                .bind(row.int(2)?)
                .bind(row.int(3)?)
                .bind(row.int(4)?)
                .bind(now_us);
        }
        run(statement, conn).await?;
    }
    let told = new.iter().map(|(row, key, due_us)| told(look, (row, *key, *due_us), now_us));
    notices::write_all(conn, &told.collect::<Result<Vec<_>, _>>()?).await?;
    Ok((number - last).unsigned_abs())
}

/// The notice of a reminder.
fn told(look: Look, (row, key, due_us): (&Row, i64, i64), now_us: i64) -> Result<Notice, StoreError> {
    let (tenant, key) = (TenantId::from_sql(row.int(2)?), KeyId::from_sql(key));
    let notice = |kind| Notice::of_key(kind, tenant, key, now_us);
    Ok(match look {
        Look::Expiring { step, .. } => {
            notice(NoticeKind::KeyExpiring).with("expires_at", moment(due_us)).with("days", step)
        }
        Look::RotationDue { .. } => notice(NoticeKind::KeyRotationDue).with("due_since", moment(due_us)),
        Look::Unused { .. } => notice(NoticeKind::KeyUnused).with("unused_since", moment(due_us)),
    })
}
