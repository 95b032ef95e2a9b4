//! Blocks and what rules did, as they are shown: with names, newest first, of what may be seen.

use sqlx::AnyConnection;
use tollgate_core::{
    id::{BlockId, KeyId, ProjectId, RuleId, ServiceId, TenantId},
    rule::{
        spec::{Action, Whose},
        watch::Subject,
    },
};

use super::{action_from_sql, whose_from_sql};
use crate::{
    conditions::Conditions,
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    resources::Scope,
    sql::{Columns as _, Row, all, built, one},
};

/// The name of a subject: of a key its own, or its last characters.
const SUBJECT_NAME: &str = "CASE x.whose \
     WHEN 0 THEN (SELECT COALESCE(k.name, k.prefix || '_…' || k.last4) FROM keys k WHERE k.id = x.subject) \
     WHEN 1 THEN (SELECT c.name FROM consumers c WHERE c.id = x.subject) \
     WHEN 2 THEN (SELECT o.name FROM projects o WHERE o.id = x.subject) \
     ELSE (SELECT s.name FROM services s WHERE s.id = x.subject) END";

/// A subject as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectView {
    /// What it is.
    pub whose: Whose,
    /// Its id: `key_…`.
    pub id: String,
    /// Its name; its id when it is gone.
    pub name: String,
}

/// A block as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockView {
    /// Its id.
    pub id: BlockId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The project of its rule.
    pub project: Named<ProjectId>,
    /// The rule that set it.
    pub rule: RuleId,
    /// The rule's name, as it was then.
    pub rule_name: String,
    /// Who is blocked.
    pub subject: SubjectView,
    /// The service that is closed to them; everything when `None`.
    pub service: Option<Named<ServiceId>>,
    /// When it was set, wall microseconds.
    pub from_us: i64,
    /// When it ends by itself; `None` until somebody lifts it.
    pub until_us: Option<i64>,
    /// What the rule saw.
    pub reason: String,
    /// When it ended; `None` while it holds.
    pub ended_us: Option<i64>,
    /// By whom: `time`, `deletion` of the subject, or who lifted it.
    pub ended_by: Option<String>,
    /// The version of its row.
    pub version: u64,
}

/// Which blocks; what is `None` restricts nothing.
#[derive(Clone, Debug)]
pub struct BlockFilter {
    /// That may be seen; `None` is everything, for the operator on the host.
    pub scope: Option<Scope>,
    /// Those that hold, or those that have ended.
    pub held: Option<bool>,
    /// That keep this key out: its own, and those of its consumer and project.
    pub key: Option<KeyId>,
    /// Of this rule.
    pub rule: Option<RuleId>,
}

/// What a rule did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiringView {
    /// The number of its row.
    pub number: i64,
    /// The project of the rule.
    pub project: Named<ProjectId>,
    /// The rule.
    pub rule: RuleId,
    /// The rule's name, as it was then.
    pub rule_name: String,
    /// Whether the rule only observed.
    pub observed: bool,
    /// What it did, or would have done.
    pub action: Action,
    /// Upon whom.
    pub subject: SubjectView,
    /// When the request came that passed the threshold.
    pub at_us: i64,
    /// Until when a block holds.
    pub until_us: Option<i64>,
    /// What it saw.
    pub words: String,
}

/// Of which rule; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct FiringFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this rule.
    pub rule: Option<RuleId>,
}

impl Store {
    /// Blocks, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_blocks(
        &self,
        filter: &BlockFilter,
        page: &PageRequest,
    ) -> Result<Page<BlockView>, StoreError> {
        let mut wheres = Conditions::default();
        if let Some(scope) = &filter.scope {
            within(scope, &mut wheres);
        }
        match filter.held {
            Some(true) => wheres.plain("x.ended_us IS NULL"),
            Some(false) => wheres.plain("x.ended_us IS NOT NULL"),
            None => {}
        }
        if let Some(rule) = filter.rule {
            wheres.int("x.rule = ?", rule.to_sql());
        }
        if let Some(key) = filter.key {
            wheres.int(
                "((x.whose = 0 AND x.subject = ?) OR (x.whose = 1 AND x.subject = (SELECT consumer FROM keys WHERE id = ?)) \
                 OR (x.whose = 2 AND x.subject = (SELECT project FROM keys WHERE id = ?)))",
                key.to_sql(),
            );
        }
        let limit = after(&mut wheres, "x.from_us", page)?;
        let text =
            format!("{}{} ORDER BY x.from_us DESC, x.id DESC LIMIT {}", blocks(), wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = rows.iter().take(limit).map(block_view).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit)
            .then(|| items.last().map(|item| format!("{}.{}", item.from_us, item.id.to_sql())))
            .flatten();
        Ok(Page { items, next })
    }

    /// A block of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn block(&self, tenant: TenantId, id: BlockId) -> Result<BlockView, StoreError> {
        let mut conn = self.reader().await?;
        let found = load_block(&mut conn, id).await?;
        if found.tenant == tenant { Ok(found) } else { Err(StoreError::not_found(Entity::Block, id)) }
    }

    /// What rules did, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_firings(
        &self,
        filter: &FiringFilter,
        page: &PageRequest,
    ) -> Result<Page<FiringView>, StoreError> {
        let mut wheres = Conditions::default();
        if let Some(tenant) = filter.tenant {
            wheres.int("x.tenant = ?", tenant.to_sql());
        }
        if let Some(rule) = filter.rule {
            wheres.int("x.rule = ?", rule.to_sql());
        }
        let limit = after(&mut wheres, "x.at_us", page)?;
        let text = format!(
            "SELECT x.id, x.project, p.name, x.rule, x.rule_name, x.mode, x.action, x.whose, x.subject, {SUBJECT_NAME}, \
             x.at_us, x.until_us, x.words FROM rule_firings x LEFT JOIN projects p ON p.id = x.project{} \
             ORDER BY x.at_us DESC, x.id DESC LIMIT {}",
            wheres.clause(),
            limit + 1
        );
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = rows.iter().take(limit).map(firing_view).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit)
            .then(|| items.last().map(|item| format!("{}.{}", item.at_us, item.number)))
            .flatten();
        Ok(Page { items, next })
    }
}

/// What may be seen: of consumers their own, and what closes their projects.
fn within(scope: &Scope, wheres: &mut Conditions) {
    wheres.int("x.tenant = ?", scope.tenant.to_sql());
    let Some(own) = &scope.consumers else { return };
    if own.is_empty() {
        return wheres.plain("1 = 0");
    }
    let ids = own.iter().map(|id| id.to_sql().to_string()).collect::<Vec<_>>().join(",");
    let projects = format!("SELECT project FROM consumers WHERE id IN ({ids})");
    wheres.plain(&format!(
        "((x.whose = 0 AND x.subject IN (SELECT id FROM keys WHERE consumer IN ({ids}))) \
         OR (x.whose = 1 AND x.subject IN ({ids})) OR (x.whose IN (2, 3) AND x.project IN ({projects})))"
    ));
}

/// Goes on after a page; how many rows are wanted.
fn after(wheres: &mut Conditions, time: &str, page: &PageRequest) -> Result<usize, StoreError> {
    if let Some(cursor) = &page.cursor {
        let problem = || StoreError::invalid("cursor", "it is none of this list");
        let (at_us, id) = cursor.split_once('.').ok_or_else(problem)?;
        let at = (at_us.parse().map_err(|_| problem())?, id.parse().map_err(|_| problem())?);
        wheres.past((time, "x.id"), "<", at);
    }
    Ok(page.limit.clamp(1, PAGE_ROWS_MAX) as usize)
}

fn blocks() -> String {
    format!(
        "SELECT x.id, x.tenant, x.project, p.name, x.rule, x.rule_name, x.whose, x.subject, {SUBJECT_NAME}, x.service, \
         v.name, x.from_us, x.until_us, x.reason, x.ended_us, x.ended_by, x.version FROM blocks x \
         LEFT JOIN projects p ON p.id = x.project LEFT JOIN services v ON v.id = x.service"
    )
}

/// Reads a block.
pub(super) async fn load_block(conn: &mut AnyConnection, id: BlockId) -> Result<BlockView, StoreError> {
    let row = one(built(format!("{} WHERE x.id = $1", blocks())).bind(id.to_sql()), conn).await?;
    block_view(&row.ok_or_else(|| StoreError::not_found(Entity::Block, id))?)
}

fn block_view(row: &Row) -> Result<BlockView, StoreError> {
    let service = match row.opt_int(9)? {
        Some(id) => {
            let id = ServiceId::from_sql(id);
            Some(Named { id, name: row.opt_text(10)?.map_or_else(|| id.to_string(), str::to_owned) })
        }
        None => None,
    };
    Ok(BlockView {
        id: BlockId::from_sql(row.int(0)?),
        tenant: TenantId::from_sql(row.int(1)?),
        project: project(row, (2, 3))?,
        rule: RuleId::from_sql(row.int(4)?),
        rule_name: row.text(5)?.to_owned(),
        subject: subject(row, 6)?,
        service,
        from_us: row.int(11)?,
        until_us: row.opt_int(12)?,
        reason: row.text(13)?.to_owned(),
        ended_us: row.opt_int(14)?,
        ended_by: row.opt_text(15)?.map(str::to_owned),
        version: row.count(16)?,
    })
}

fn firing_view(row: &Row) -> Result<FiringView, StoreError> {
    Ok(FiringView {
        number: row.int(0)?,
        project: project(row, (1, 2))?,
        rule: RuleId::from_sql(row.int(3)?),
        rule_name: row.text(4)?.to_owned(),
        observed: row.int(5)? == 0,
        action: action_from_sql(row.int(6)?)?,
        subject: subject(row, 7)?,
        at_us: row.int(10)?,
        until_us: row.opt_int(11)?,
        words: row.text(12)?.to_owned(),
    })
}

fn project(row: &Row, (id, name): (usize, usize)) -> Result<Named<ProjectId>, StoreError> {
    let id = ProjectId::from_sql(row.int(id)?);
    Ok(Named { id, name: row.opt_text(name)?.map_or_else(|| id.to_string(), str::to_owned) })
}

/// Three columns: whose, which, its name.
fn subject(row: &Row, first: usize) -> Result<SubjectView, StoreError> {
    let (whose, id) = (whose_from_sql(row.int(first)?)?, row.int(first + 1)? as u64);
    let id = Subject { whose, id }.to_string();
    let name = row.opt_text(first + 2)?.map_or_else(|| id.clone(), str::to_owned);
    Ok(SubjectView { whose, id, name })
}
