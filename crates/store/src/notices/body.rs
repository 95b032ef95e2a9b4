//! The body of a notice: what its writer says, with ids and names of what it is about.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};
use sqlx::AnyConnection;
use tollgate_core::id::{ConsumerId, KeyId, ProjectId, ServiceId, TenantId};

use super::{NOTICE_BODY_LEN_MAX, Notice};
use crate::{
    error::StoreError,
    sql::{Columns as _, Row, all, built},
};

/// Ids that one statement asks for.
const ASKED_MAX: usize = 500;

/// A moment as bodies say it: RFC 3339 in UTC, to the millisecond at most.
pub(crate) fn moment(wall_us: i64) -> String {
    jiff::Timestamp::from_millisecond(wall_us.div_euclid(1000)).map(|at| at.to_string()).unwrap_or_default()
}

/// Names of what some notices are about.
#[derive(Default)]
pub(super) struct Names {
    tenants: HashMap<i64, String>,
    projects: HashMap<i64, String>,
    /// Name and project.
    consumers: HashMap<i64, (String, i64)>,
    services: HashMap<i64, String>,
    keys: HashMap<i64, KeyNames>,
}

struct KeyNames {
    project: i64,
    consumer: i64,
    name: Option<String>,
    shown: String,
}

impl Names {
    /// Reads them.
    pub(super) async fn of(notices: &[Notice], conn: &mut AnyConnection) -> Result<Self, StoreError> {
        let keys: BTreeSet<i64> = notices.iter().filter_map(|one| one.key.map(KeyId::to_sql)).collect();
        let mut names = Self::default();
        let text = "SELECT id, project, consumer, name, prefix, environment, last4 FROM keys";
        for row in of_ids(text, &keys, conn).await? {
            names.keys.insert(row.int(0)?, key_names(&row)?);
        }
        let held = |pick: fn(&KeyNames) -> i64| names.keys.values().map(pick).collect::<Vec<_>>();
        let ids = |own: Vec<i64>, of_keys: Vec<i64>| own.into_iter().chain(of_keys).collect::<BTreeSet<_>>();
        let own = |pick: fn(&Notice) -> Option<i64>| notices.iter().filter_map(pick).collect::<Vec<_>>();
        let consumers = ids(own(|one| one.consumer.map(ConsumerId::to_sql)), held(|key| key.consumer));
        let mut holders = HashMap::new();
        for row in of_ids("SELECT id, name, project FROM consumers", &consumers, conn).await? {
            holders.insert(row.int(0)?, (row.text(1)?.to_owned(), row.int(2)?));
        }
        let of_holders = holders.values().map(|(_, project)| *project);
        let of_keys = held(|key| key.project).into_iter().chain(of_holders).collect();
        let tenants = ids(own(|one| Some(one.tenant.to_sql())), Vec::new());
        let projects = ids(own(|one| one.project.map(ProjectId::to_sql)), of_keys);
        let services = ids(own(|one| one.service.map(ServiceId::to_sql)), Vec::new());
        names.tenants = named("SELECT id, name FROM tenants", &tenants, conn).await?;
        names.projects = named("SELECT id, name FROM projects", &projects, conn).await?;
        names.consumers = holders;
        names.services = named("SELECT id, name FROM services", &services, conn).await?;
        Ok(names)
    }

    /// A notice with all that it is about, and its body as JSON.
    pub(super) fn body(&self, notice: &Notice) -> (Notice, String) {
        let mut notice = notice.clone();
        let key = notice.key.and_then(|key| self.keys.get(&key.to_sql()));
        if let Some(key) = key {
            notice.project.get_or_insert(ProjectId::from_sql(key.project));
            notice.consumer.get_or_insert(ConsumerId::from_sql(key.consumer));
        }
        let holder = notice.consumer.and_then(|id| self.consumers.get(&id.to_sql()));
        if let Some((_, project)) = holder {
            notice.project.get_or_insert(ProjectId::from_sql(*project));
        }
        let mut about = Map::new();
        let mut put = |kind: &str, id: Option<String>, name: Option<&String>| {
            if let Some(id) = id {
                about.insert(format!("{kind}_id"), id.into());
                about.insert(kind.to_owned(), name.map_or(Value::Null, |name| name.clone().into()));
            }
        };
        let Notice { tenant, project, consumer, service, key: key_id, .. } = &notice;
        put("tenant", Some(tenant.to_string()), self.tenants.get(&TenantId::to_sql(*tenant)));
        put(
            "project",
            project.map(|id| id.to_string()),
            project.and_then(|id| self.projects.get(&id.to_sql())),
        );
        put("consumer", consumer.map(|id| id.to_string()), holder.map(|(name, _)| name));
        put(
            "service",
            service.map(|id| id.to_string()),
            service.and_then(|id| self.services.get(&id.to_sql())),
        );
        put("key", key_id.map(|id| id.to_string()), key.map(|key| &key.shown));
        if let Some(name) = key.and_then(|key| key.name.as_ref()) {
            about.insert("key_name".to_owned(), name.clone().into());
        }
        let mut whole = std::mem::take(&mut notice.body);
        // No field of a writer takes the place of what it is about.
        whole.extend(about.clone());
        let text = Value::Object(whole).to_string();
        let text = if text.len() > NOTICE_BODY_LEN_MAX { Value::Object(about).to_string() } else { text };
        (notice, text)
    }
}

fn key_names(row: &Row) -> Result<KeyNames, StoreError> {
    let environment = if row.int(5)? == 1 { "test" } else { "live" };
    Ok(KeyNames {
        project: row.int(1)?,
        consumer: row.int(2)?,
        name: row.opt_text(3)?.map(str::to_owned),
        shown: format!("{}_{environment}_…{}", row.text(4)?, row.text(6)?),
    })
}

async fn named(
    text: &str,
    ids: &BTreeSet<i64>,
    conn: &mut AnyConnection,
) -> Result<HashMap<i64, String>, StoreError> {
    let rows = of_ids(text, ids, conn).await?;
    rows.iter().map(|row| Ok((row.int(0)?, row.text(1)?.to_owned()))).collect()
}

async fn of_ids(text: &str, ids: &BTreeSet<i64>, conn: &mut AnyConnection) -> Result<Vec<Row>, StoreError> {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    let mut rows = Vec::with_capacity(ids.len());
    for part in ids.chunks(ASKED_MAX) {
        rows.extend(all(built(format!("{text} WHERE id IN ({})", part.join(","))), conn).await?);
    }
    Ok(rows)
}
