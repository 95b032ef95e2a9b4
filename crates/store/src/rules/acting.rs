//! What a rule does when its threshold is passed, in one transaction with its audit entry and its notice.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tollgate_core::{
    authz::{self, Actor, authorise},
    blocks::BLOCKS_MAX,
    id::{BlockId, RuleId, TenantId},
    rule::{
        Rule,
        spec::{Action, RuleMode},
        watch::{Firing, Subject},
    },
    time::Span,
};

use super::{
    action_to_sql,
    blocks::{Held, end},
    lease::{WatchLease, WatchLost, hold},
    mode_to_sql, told, whose_to_sql,
};
use crate::{
    error::{Entity, StoreError},
    notices,
    open::Store,
    sql::{Columns as _, all, one, only, run, sql},
    write::{Change, Write},
};

/// A rule acts: what the watch said, kept.
#[derive(Clone, Debug)]
pub struct Fired {
    /// The rule.
    pub rule: Rule,
    /// Its tenant.
    pub tenant: TenantId,
    /// Upon whom.
    pub subject: Subject,
    /// When the request came that passed the threshold, wall microseconds.
    pub at_us: i64,
    /// Where the metric stood then.
    pub value: u64,
    /// Until when a block holds; `None` until somebody lifts it.
    pub until_us: Option<i64>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was noted; the rule only observes.
    Observed,
    /// There was nothing to do: it was done before, or its block would be over already.
    Nothing,
    /// There is no room for another block: there are [`BLOCKS_MAX`], or the tenant has as many as there is room left
    /// for all.
    NoRoom,
}

impl Fired {
    /// Keeps what the watch said.
    #[must_use]
    pub fn of(firing: &Firing<'_>, tenant: TenantId) -> Self {
        let Firing { rule, subject, at_us, value, until_us } = firing;
        Self {
            rule: (*rule).clone(),
            tenant,
            subject: *subject,
            at_us: *at_us,
            value: *value,
            until_us: *until_us,
        }
    }

    /// What the rule saw, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let rule = &self.rule;
        let window = Span::from_millis(rule.window_us.unsigned_abs() / 1_000);
        format!(
            "{} within {window}, the threshold is {}",
            rule.in_words(self.value),
            rule.in_words(rule.above)
        )
    }

    /// The same for the same rule, subject and request, whoever asks.
    fn id(&self) -> i64 {
        let mut hash = Sha256::new();
        for part in
            [self.rule.id, whose_to_sql(self.subject.whose) as u64, self.subject.id, self.at_us as u64]
        {
            hash.update(part.to_le_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk().map_or(0, |first| (u64::from_le_bytes(*first) >> 1) as i64)
    }
}

impl Store {
    /// Does what a rule says, or only notes it when the rule observes. Again it is nothing.
    ///
    /// # Errors
    /// When the database cannot be written; it is to be tried again then.
    pub async fn act(
        &self,
        lease: WatchLease,
        fired: &Fired,
        now_us: i64,
    ) -> Result<Result<Outcome, WatchLost>, StoreError> {
        let actor = Actor::Rule { tenant: fired.tenant, name: fired.rule.name.to_string() };
        let permit = authorise(&actor, authz::Action::ChangeBlocks, Some(fired.tenant))?;
        let mut write = self.write(&permit, now_us).await?;
        if !hold(write.conn(), lease).await? {
            write.roll_back().await?;
            return Ok(Err(WatchLost));
        }
        let is_over = fired.until_us.is_some_and(|until| until <= now_us);
        if is_over || !note(&mut write, fired).await? {
            write.roll_back().await?;
            return Ok(Ok(Outcome::Nothing));
        }
        let outcome = match (fired.rule.mode, fired.rule.action) {
            (RuleMode::Observe, _) => Outcome::Observed,
            (RuleMode::Enforce, Action::Block) => block(&mut write, fired, now_us).await?,
            (RuleMode::Enforce, Action::Unblock) => unblock(&mut write, fired, now_us).await?,
            (RuleMode::Enforce, Action::Notify) => notify(&mut write, fired)?,
        };
        if matches!(outcome, Outcome::Nothing | Outcome::NoRoom) {
            write.roll_back().await?;
        } else {
            notices::write(write.conn(), &told::fired(fired, now_us)).await?;
            write.commit_rows().await?;
        }
        Ok(Ok(outcome))
    }
}

/// Writes down that it acted; `false` when that stands there already.
async fn note(write: &mut Write<'_>, fired: &Fired) -> Result<bool, StoreError> {
    let rule = &fired.rule;
    let insert =
        sql("INSERT INTO rule_firings (id, tenant, project, rule, rule_name, mode, action, whose, subject, \
                      at_us, until_us, words) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
                      ON CONFLICT (id) DO NOTHING")
        .bind(fired.id())
        .bind(fired.tenant.to_sql())
        .bind(rule.project.to_sql())
        .bind(rule.id as i64)
        .bind(rule.name.to_string())
        .bind(mode_to_sql(rule.mode))
        .bind(action_to_sql(rule.action))
        .bind(whose_to_sql(fired.subject.whose))
        .bind(fired.subject.id as i64)
        .bind(fired.at_us)
        .bind(fired.until_us)
        .bind(fired.words());
    Ok(run(insert, write.conn()).await? > 0)
}

async fn block(write: &mut Write<'_>, fired: &Fired, now_us: i64) -> Result<Outcome, StoreError> {
    let rule = &fired.rule;
    let closes = rule.closes.map(tollgate_core::id::ServiceId::to_sql);
    let held =
        sql("SELECT 1 FROM blocks WHERE ended_us IS NULL AND rule = $1 AND whose = $2 AND subject = $3 \
                    AND COALESCE(service, 0) = $4 AND (until_us IS NULL OR until_us > $5)")
        .bind(rule.id as i64)
        .bind(whose_to_sql(fired.subject.whose))
        .bind(fired.subject.id as i64)
        .bind(closes.unwrap_or(0))
        .bind(now_us);
    if one(held, write.conn()).await?.is_some() {
        return Ok(Outcome::Nothing);
    }
    if !has_room(write, fired.tenant).await? {
        return Ok(Outcome::NoRoom);
    }
    let id = fired.id();
    let insert =
        sql("INSERT INTO blocks (id, tenant, project, rule, rule_name, whose, subject, service, from_us, \
                      until_us, reason, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1)")
        .bind(id)
        .bind(fired.tenant.to_sql())
        .bind(rule.project.to_sql())
        .bind(rule.id as i64)
        .bind(rule.name.to_string())
        .bind(whose_to_sql(fired.subject.whose))
        .bind(fired.subject.id as i64)
        .bind(closes)
        .bind(now_us)
        .bind(fired.until_us)
        .bind(fired.words());
    run(insert, write.conn()).await?;
    write.record(Change {
        needs: authz::Action::ChangeBlocks,
        tenant: Some(fired.tenant),
        action: "block.create",
        entity: Entity::Block,
        id,
        version: 1,
        before: None,
        after: Some(said(fired, BlockId::from_sql(id)).to_string()),
    })?;
    notices::write(write.conn(), &told::blocked(fired, BlockId::from_sql(id), now_us)).await?;
    Ok(Outcome::Done)
}

/// Whether another block of a tenant finds room: none has more than is left for all, so that the first one takes half
/// at most, the next a quarter, and nobody's rules are without effect because of somebody else's.
async fn has_room(write: &mut Write<'_>, tenant: TenantId) -> Result<bool, StoreError> {
    let count =
        sql("SELECT COUNT(*), COUNT(CASE WHEN tenant = $1 THEN 1 END) FROM blocks WHERE ended_us IS NULL");
    let row = only(count.bind(tenant.to_sql()), write.conn()).await?;
    let left = (BLOCKS_MAX as u64).saturating_sub(row.count(0)?);
    Ok(row.count(1)? < left)
}

/// Takes away what rules have set against the subject, all of it or what closes one service.
async fn unblock(write: &mut Write<'_>, fired: &Fired, now_us: i64) -> Result<Outcome, StoreError> {
    let text = "SELECT id FROM blocks WHERE ended_us IS NULL AND tenant = $1 AND whose = $2 AND subject = $3 \
                AND ($4 = 0 OR service = $4) ORDER BY id LIMIT 100";
    let held = sql(text)
        .bind(fired.tenant.to_sql())
        .bind(whose_to_sql(fired.subject.whose))
        .bind(fired.subject.id as i64)
        .bind(fired.rule.closes.map_or(0, tollgate_core::id::ServiceId::to_sql));
    let rows = all(held, write.conn()).await?;
    for row in &rows {
        let block = Held::load(write.conn(), BlockId::from_sql(row.int(0)?)).await?;
        end(write, &block, ("block.lift", now_us)).await?;
    }
    // That there was nothing to take away is still something that a rule did: it was noted.
    Ok(if rows.is_empty() { Outcome::Observed } else { Outcome::Done })
}

fn notify(write: &mut Write<'_>, fired: &Fired) -> Result<Outcome, StoreError> {
    let after = json!({
        "rule": RuleId(fired.rule.id),
        "whose": fired.subject.whose,
        "subject": fired.subject.to_string(),
        "reason": fired.words(),
    });
    write.record(Change {
        needs: authz::Action::ChangeBlocks,
        tenant: Some(fired.tenant),
        action: "rule.notify",
        entity: Entity::RuleFiring,
        id: fired.id(),
        version: 1,
        before: None,
        after: Some(after.to_string()),
    })?;
    Ok(Outcome::Done)
}

/// A block as the audit shows it.
fn said(fired: &Fired, id: BlockId) -> serde_json::Value {
    json!({
        "id": id,
        "rule": RuleId(fired.rule.id),
        "whose": fired.subject.whose,
        "subject": fired.subject.to_string(),
        "service": fired.rule.closes,
        "until_us": fired.until_us,
        "reason": fired.words(),
    })
}

#[cfg(test)]
mod tests {
    use tollgate_core::rule::spec::Whose;

    use super::*;

    #[test]
    fn subjects_and_actions_come_back_as_they_were_written() {
        for whose in [Whose::Key, Whose::Consumer, Whose::Project, Whose::Service] {
            assert_eq!(super::super::whose_from_sql(whose_to_sql(whose)).unwrap(), whose);
        }
        for action in [Action::Block, Action::Unblock, Action::Notify] {
            assert_eq!(super::super::action_from_sql(action_to_sql(action)).unwrap(), action);
        }
    }
}
