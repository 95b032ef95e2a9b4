//! Listing keys, page by page.

use std::collections::HashMap;

use sqlx::AnyConnection;
use tollgate_core::{
    id::{ConsumerId, KeyId, PolicyId, ProjectId, TenantId},
    key::KeyFace,
    keyring::KeyState,
};

use super::{
    KeyFilter, KeyView, KeysPreview, NarrowingText,
    row::{environment, small, state},
};
use crate::{
    conditions::{Conditions, contains},
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    resources::{find_project, from_json, to_json},
    sql::{Columns as _, Row, all, built, one, only},
};

const VIEW: &str = "SELECT k.id, t.id, t.name, p.id, p.name, k.consumer, c.name, k.policy, o.name, \
     k.environment, k.state, k.name, k.expires_us, k.narrowing, k.metadata, k.prefix, k.last4, k.created_us, \
     k.version, k.generation, (SELECT MAX(u.used_us) FROM key_uses u WHERE u.key = k.id) \
     FROM keys k JOIN projects p ON p.id = k.project JOIN tenants t ON t.id = p.tenant \
     LEFT JOIN consumers c ON c.id = k.consumer LEFT JOIN policies o ON o.id = k.policy";

/// Newest first.
const ORDER: &str = " ORDER BY k.created_us DESC, k.id DESC";

/// Keys that a step of a job looks at.
const LOOKED_AT_MAX: u32 = 5_000;

impl Store {
    /// Keys, newest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Ambiguous`] for names, [`StoreError::Invalid`] for a
    /// cursor that is none, or the name of a consumer or policy without a project.
    pub async fn list_keys(
        &self,
        filter: &KeyFilter,
        page: &PageRequest,
    ) -> Result<Page<KeyView>, StoreError> {
        let mut conn = self.reader().await?;
        page_of(&mut conn, filter, page).await
    }

    /// How many keys there are of a kind.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub async fn count_keys_of(&self, filter: &KeyFilter) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        let wheres = conditions(&mut conn, filter).await?;
        let text = format!("SELECT COUNT(*) FROM keys k{}", wheres.clause());
        only(wheres.bind(built(text)), &mut conn).await?.count(0)
    }
}

impl Store {
    /// How many keys of a kind that are not revoked have each of these policies; those with none are left
    /// out.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub async fn count_keys_by_policy(
        &self,
        filter: &KeyFilter,
        policies: &[PolicyId],
    ) -> Result<HashMap<PolicyId, u64>, StoreError> {
        if policies.is_empty() {
            return Ok(HashMap::new());
        }
        let mut conn = self.reader().await?;
        let mut wheres = conditions(&mut conn, filter).await?;
        wheres.int("k.state <> ?", KeyState::Revoked as i64);
        let ids: Vec<String> = policies.iter().map(|id| id.to_sql().to_string()).collect();
        wheres.plain(&format!("k.policy IN ({})", ids.join(",")));
        let text = format!("SELECT k.policy, COUNT(*) FROM keys k{} GROUP BY k.policy", wheres.clause());
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        rows.iter().map(|row| Ok((PolicyId::from_sql(row.int(0)?), row.count(1)?))).collect()
    }

    /// What a change to the keys of a filter would be about, and who uses them since a moment.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub async fn preview_keys(&self, filter: &KeyFilter, since_us: i64) -> Result<KeysPreview, StoreError> {
        let mut conn = self.reader().await?;
        let wheres = conditions(&mut conn, filter).await?;
        let live = KeyState::Revoked as i64;
        let text = format!(
            "SELECT COUNT(*), COUNT(CASE WHEN k.state <> {live} THEN 1 END) FROM keys k{}",
            wheres.clause()
        );
        let counted = only(wheres.bind(built(text)), &mut conn).await?;
        let mut wheres = conditions(&mut conn, filter).await?;
        wheres.int("u.used_us >= ?", since_us);
        let text = format!(
            "SELECT COUNT(DISTINCT u.key), COUNT(DISTINCT u.address), MAX(u.used_us) \
             FROM keys k JOIN key_uses u ON u.key = k.id{}",
            wheres.clause()
        );
        let used = only(wheres.bind(built(text)), &mut conn).await?;
        Ok(KeysPreview {
            keys: counted.count(0)?,
            live: counted.count(1)?,
            used: used.count(0)?,
            addresses: used.count(1)?,
            last_used_us: used.opt_int(2)?,
        })
    }
}

/// A page of keys, newest first.
async fn page_of(
    conn: &mut AnyConnection,
    filter: &KeyFilter,
    page: &PageRequest,
) -> Result<Page<KeyView>, StoreError> {
    let mut wheres = conditions(conn, filter).await?;
    if let Some(cursor) = &page.cursor {
        wheres.past(("k.created_us", "k.id"), "<", parse_cursor(cursor)?);
    }
    let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
    // The ids first, from an index alone: sorting whole rows costs a hundred times as much.
    let text = format!(
        "{VIEW} WHERE k.id IN (SELECT k.id FROM keys k{}{ORDER} LIMIT {}){ORDER}",
        wheres.clause(),
        limit + 1
    );
    let rows = all(wheres.bind(built(text)), conn).await?;
    let items = rows.iter().take(limit).map(view).collect::<Result<Vec<_>, _>>()?;
    let next = (rows.len() > limit)
        .then(|| items.last().map(|key| format!("{}.{}", key.created_us, key.id)))
        .flatten();
    Ok(Page { items, next })
}

/// The ids of a page of keys, newest first. However few a filter finds, no more keys than
/// [`LOOKED_AT_MAX`] are looked at: the page may be short, or empty, and have a next one.
pub(super) async fn ids_of(
    conn: &mut AnyConnection,
    filter: &KeyFilter,
    page: &PageRequest,
) -> Result<Page<KeyId>, StoreError> {
    let after = page.cursor.as_deref().map(parse_cursor).transpose()?;
    let last = last_looked_at(conn, filter, after).await?;
    let mut wheres = conditions(conn, filter).await?;
    if let Some(after) = after {
        wheres.past(("k.created_us", "k.id"), "<", after);
    }
    if let Some(last) = last {
        wheres.past(("k.created_us", "k.id"), ">=", last);
    }
    let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
    let text = format!("SELECT k.id, k.created_us FROM keys k{}{ORDER} LIMIT {}", wheres.clause(), limit + 1);
    let rows = all(wheres.bind(built(text)), conn).await?;
    let shown = rows.get(..limit).unwrap_or(&rows);
    let items =
        shown.iter().map(|row| Ok(KeyId::from_sql(row.int(0)?))).collect::<Result<Vec<_>, StoreError>>()?;
    let next = match (rows.len() > limit, shown.last(), items.last()) {
        (true, Some(row), Some(id)) => Some(format!("{}.{id}", row.int(1)?)),
        _ => last.map(|(created, id)| format!("{created}.{}", KeyId::from_sql(id))),
    };
    Ok(Page { items, next })
}

/// The last of the next keys of the project, or the tenant, that are looked at, whatever else is asked for;
/// `None` where they are fewer. An index answers it alone.
async fn last_looked_at(
    conn: &mut AnyConnection,
    filter: &KeyFilter,
    after: Option<(i64, i64)>,
) -> Result<Option<(i64, i64)>, StoreError> {
    let place = KeyFilter { tenant: filter.tenant, project: filter.project.clone(), ..KeyFilter::default() };
    let mut wheres = conditions(conn, &place).await?;
    if let Some(after) = after {
        wheres.past(("k.created_us", "k.id"), "<", after);
    }
    let text = format!(
        "SELECT k.created_us, k.id FROM keys k{}{ORDER} LIMIT 1 OFFSET {}",
        wheres.clause(),
        LOOKED_AT_MAX - 1
    );
    let row = one(wheres.bind(built(text)), conn).await?;
    row.map(|row| Ok((row.int(0)?, row.int(1)?))).transpose()
}

/// Those of some keys that a filter finds at this moment, newest first. No other key is looked at.
pub(super) async fn still(
    conn: &mut AnyConnection,
    filter: &KeyFilter,
    ids: &[KeyId],
) -> Result<Vec<KeyId>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let wheres = conditions(conn, filter).await?;
    let list = ids.iter().map(|id| id.to_sql().to_string()).collect::<Vec<_>>().join(",");
    // The limit keeps planners from putting both queries together and going through all keys of a project.
    let text = format!(
        "SELECT k.id FROM (SELECT * FROM keys WHERE id IN ({list}) LIMIT {}) k{}{ORDER}",
        ids.len(),
        wheres.clause()
    );
    let rows = all(wheres.bind(built(text)), conn).await?;
    rows.iter().map(|row| Ok(KeyId::from_sql(row.int(0)?))).collect()
}

async fn conditions(conn: &mut AnyConnection, filter: &KeyFilter) -> Result<Conditions, StoreError> {
    let mut wheres = Conditions::default();
    if let Some(tenant) = filter.tenant {
        wheres.int("k.project IN (SELECT id FROM projects WHERE tenant = ?)", tenant.to_sql());
    }
    match filter.consumers.as_deref() {
        None => {}
        Some([]) => wheres.plain("1 = 0"),
        Some(own) => {
            let ids: Vec<String> = own.iter().map(|id| id.to_sql().to_string()).collect();
            wheres.plain(&format!("k.consumer IN ({})", ids.join(",")));
        }
    }
    named(conn, filter, &mut wheres).await?;
    if let Some(state) = filter.state {
        wheres.int("k.state = ?", state as i64);
    }
    if let Some(environment) = filter.environment {
        wheres.int("k.environment = ?", environment as i64);
    }
    if let Some(search) = &filter.search {
        let text = r"(LOWER(k.name) LIKE ? ESCAPE '\' OR LOWER(k.last4) LIKE ? ESCAPE '\')";
        wheres.text(text, contains(&search.to_lowercase()));
    }
    if let Some((name, value)) = &filter.metadata {
        // As serde_json writes it: a quote inside of a value is escaped, so that no value looks like this.
        let entry = format!("{}:{}", to_json(name)?, to_json(value)?);
        wheres.text(r"k.metadata LIKE ? ESCAPE '\'", contains(&entry));
    }
    if let Some(before) = filter.expires_before_us {
        wheres.int("k.expires_us < ?", before);
    }
    if let Some(job) = filter.job {
        wheres.int("k.id IN (SELECT key FROM job_keys WHERE job = ?)", job.to_sql());
    }
    if let Some(until) = filter.created_until_us {
        wheres.int("k.created_us <= ?", until);
    }
    if let Some(kind) = filter.attention {
        let text = "k.id IN (SELECT r.key FROM reminders r WHERE r.kind = ? AND r.done_us IS NULL)";
        wheres.int(text, kind.number());
    }
    Ok(wheres)
}

/// What is named by the words of people.
async fn named(
    conn: &mut AnyConnection,
    filter: &KeyFilter,
    wheres: &mut Conditions,
) -> Result<(), StoreError> {
    let project = match &filter.project {
        Some(name) => Some(find_project(conn, name).await?.id),
        None => None,
    };
    if let Some(project) = project {
        wheres.int("k.project = ?", project.to_sql());
    }
    let consumer = filter.consumer.as_ref().map(|text| (text, text.parse().map(ConsumerId::to_sql).ok()));
    if let Some((text, id)) = consumer {
        let found = in_project(conn, (Entity::Consumer, text, id), project).await;
        found_or_absent(filter, found, ("k.consumer = ?", wheres))?;
    }
    let policy = filter.policy.as_ref().map(|text| (text, text.parse().map(PolicyId::to_sql).ok()));
    if let Some((text, id)) = policy {
        let found = in_project(conn, (Entity::Policy, text, id), project).await;
        found_or_absent(filter, found, ("k.policy = ?", wheres))?;
    }
    Ok(())
}

/// For whoever is limited to consumers, a name that nothing has looks like one that others have.
fn found_or_absent(
    filter: &KeyFilter,
    found: Result<i64, StoreError>,
    (column, wheres): (&str, &mut Conditions),
) -> Result<(), StoreError> {
    match found {
        Err(StoreError::NotFound { .. }) if filter.consumers.is_some() => wheres.plain("1 = 0"),
        found => wheres.int(column, found?),
    }
    Ok(())
}

/// The id of a consumer or policy that is written as its id, or by its name in a project.
async fn in_project(
    conn: &mut AnyConnection,
    (kind, text, id): (Entity, &str, Option<i64>),
    project: Option<ProjectId>,
) -> Result<i64, StoreError> {
    if let Some(id) = id {
        return Ok(id);
    }
    let project = project.ok_or_else(|| StoreError::invalid(kind.name(), "say its project too"))?;
    let table = if kind == Entity::Policy { "policies" } else { "consumers" };
    let find = built(format!("SELECT id FROM {table} WHERE project = $1 AND name = $2"));
    let row = one(find.bind(project.to_sql()).bind(text.to_owned()), conn).await?;
    row.ok_or_else(|| StoreError::not_found(kind, text))?.int(0)
}

fn parse_cursor(cursor: &str) -> Result<(i64, i64), StoreError> {
    let problem = || StoreError::invalid("cursor", "it is none of this list");
    let (created, id) = cursor.split_once('.').ok_or_else(problem)?;
    let id: KeyId = id.parse().map_err(|_| problem())?;
    Ok((created.parse().map_err(|_| problem())?, id.to_sql()))
}

/// One key as it may be shown.
pub(super) async fn load_view(conn: &mut AnyConnection, id: KeyId) -> Result<KeyView, StoreError> {
    let row = one(built(format!("{VIEW} WHERE k.id = $1")).bind(id.to_sql()), conn).await?;
    view(&row.ok_or_else(|| StoreError::not_found(Entity::Key, id))?)
}

fn view(row: &Row) -> Result<KeyView, StoreError> {
    let consumer = ConsumerId::from_sql(row.int(5)?);
    let policy = row.opt_int(7)?.map(PolicyId::from_sql);
    let narrowing: NarrowingText = row.opt_text(13)?.map(from_json).transpose()?.unwrap_or_default();
    let name =
        |column: usize, id: String| Ok::<_, StoreError>(row.opt_text(column)?.map_or(id, str::to_owned));
    let expires = row.int(12)?;
    Ok(KeyView {
        id: KeyId::from_sql(row.int(0)?),
        tenant: Named { id: TenantId::from_sql(row.int(1)?), name: row.text(2)?.to_owned() },
        project: Named { id: ProjectId::from_sql(row.int(3)?), name: row.text(4)?.to_owned() },
        consumer: Named { id: consumer, name: name(6, consumer.to_string())? },
        policy: match policy {
            Some(id) => Some(Named { id, name: name(8, id.to_string())? }),
            None => None,
        },
        face: KeyFace {
            prefix: row.text(15)?.to_owned(),
            environment: environment(row.int(9)?),
            last4: row.text(16)?.to_owned(),
        },
        state: state(row.int(10)?),
        name: row.opt_text(11)?.map(str::to_owned),
        expires_us: (expires != i64::MAX).then_some(expires),
        bind_host: narrowing.bind_host,
        allow_ips: narrowing.allow_ips,
        metadata: row.opt_text(14)?.map(from_json).transpose()?.unwrap_or_default(),
        created_us: row.int(17)?,
        version: small(row.int(18)?),
        generation: small(row.int(19)?),
        last_used_us: row.opt_int(20)?,
    })
}
