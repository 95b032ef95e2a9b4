//! Listing keys, page by page.

use sqlx::AnyConnection;
use tollgate_core::{
    id::{ConsumerId, KeyId, PolicyId, ProjectId, TenantId},
    key::KeyFace,
};

use super::{
    KeyFilter, KeyView, NarrowingText, PAGE_ROWS_MAX, Page, PageRequest,
    row::{environment, small, state},
};
use crate::{
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    resources::{find_project, from_json},
    sql::{Columns as _, Row, all, built, one, sql},
};

const VIEW: &str = "SELECT k.id, t.id, t.name, p.id, p.name, k.consumer, c.name, k.policy, o.name, \
     k.environment, k.state, k.name, k.expires_us, k.narrowing, k.metadata, k.prefix, k.last4, k.created_us, \
     k.version, k.generation \
     FROM keys k JOIN projects p ON p.id = k.project JOIN tenants t ON t.id = p.tenant \
     LEFT JOIN consumers c ON c.id = k.consumer LEFT JOIN policies o ON o.id = k.policy";

impl Store {
    /// Keys, newest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Ambiguous`] for names, [`StoreError::Invalid`] for a
    /// cursor that is none, or a consumer without a project.
    pub async fn list_keys(
        &self,
        filter: &KeyFilter,
        page: &PageRequest,
    ) -> Result<Page<KeyView>, StoreError> {
        let mut conn = self.reader().await?;
        let (mut wheres, mut values) = conditions(&mut conn, filter).await?;
        if let Some(cursor) = &page.cursor {
            let (created, id) = parse_cursor(cursor)?;
            values.extend([created, id]);
            wheres.push(format!("(k.created_us, k.id) < (${}, ${})", values.len() - 1, values.len()));
        }
        let wheres =
            if wheres.is_empty() { String::new() } else { format!(" WHERE {}", wheres.join(" AND ")) };
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text = format!("{VIEW}{wheres} ORDER BY k.created_us DESC, k.id DESC LIMIT {}", limit + 1);
        let statement = values.into_iter().fold(built(text), |statement, value| statement.bind(value));
        let rows = all(statement, &mut conn).await?;
        let items = rows.iter().take(limit).map(view).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit)
            .then(|| items.last().map(|key| format!("{}.{}", key.created_us, key.id)))
            .flatten();
        Ok(Page { items, next })
    }
}

async fn conditions(
    conn: &mut AnyConnection,
    filter: &KeyFilter,
) -> Result<(Vec<String>, Vec<i64>), StoreError> {
    let mut wheres = Vec::new();
    let mut values = Vec::new();
    let mut push = |column: &str, value: i64| {
        values.push(value);
        wheres.push(format!("k.{column} = ${}", values.len()));
    };
    let project = match &filter.project {
        Some(name) => Some(find_project(conn, name).await?),
        None => None,
    };
    match (&filter.consumer, &project) {
        (Some(name), Some(project)) => {
            let find = sql("SELECT id FROM consumers WHERE project = $1 AND name = $2");
            let row = one(find.bind(project.id.to_sql()).bind(name.clone()), conn).await?;
            push("consumer", row.ok_or_else(|| StoreError::not_found(Entity::Consumer, name))?.int(0)?);
        }
        (Some(_), None) => return Err(StoreError::invalid("consumer", "say its project too")),
        (None, Some(project)) => push("project", project.id.to_sql()),
        (None, None) => {}
    }
    if let Some(state) = filter.state {
        push("state", state as i64);
    }
    if let Some(environment) = filter.environment {
        push("environment", environment as i64);
    }
    Ok((wheres, values))
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
    })
}
