//! Reminders: keys that expire, whose secret is old, that nobody uses.
//!
//! Each is one row, once for a key, a kind and the moment it is about, whichever node finds it first:
//! the rows are made under the lock that mutations take. They are numbered without gaps, so that
//! whoever passes them on (a webhook, a topic) can follow them by number. What is so no longer is
//! marked as done, and stays: the same is never said twice.

mod digest;
mod find;

use tollgate_core::id::{ConsumerId, KeyId, ProjectId, TenantId};

use crate::{
    conditions::Conditions,
    error::StoreError,
    named::Named,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, built, only},
};

pub use digest::{DIGEST_PEOPLE_MAX, Digest, Digests};
pub use find::{REMINDERS_FOUND_MAX, ReminderRules};

/// Why somebody is reminded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReminderKind {
    /// The key expires within 30, 7 or 1 days.
    Expiring,
    /// The key has had the same secret for long.
    RotationDue,
    /// Nobody has used the key for long.
    Unused,
}

impl ReminderKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Expiring, Self::RotationDue, Self::Unused];

    /// The type of its event.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::Expiring => "key.expiring",
            Self::RotationDue => "key.rotation_due",
            Self::Unused => "key.unused",
        }
    }

    /// Its word in addresses: `expiring`, `rotation_due`, `unused`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expiring => "expiring",
            Self::RotationDue => "rotation_due",
            Self::Unused => "unused",
        }
    }

    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Expiring => 0,
            Self::RotationDue => 1,
            Self::Unused => 2,
        }
    }

    fn from_number(number: i64) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|kind| kind.number() == number);
        found.ok_or_else(|| StoreError::corrupt("a reminder is of an unknown kind"))
    }
}

/// One reminder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// Its number, in the order in which they were made.
    pub number: u64,
    /// Why.
    pub kind: ReminderKind,
    /// The key.
    pub key: KeyId,
    /// The key's name for people.
    pub key_name: Option<String>,
    /// The last characters of the key, with its prefix: `mbk_live_…x7Qa`.
    pub shown: String,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its project.
    pub project: Named<ProjectId>,
    /// Who holds it.
    pub consumer: Named<ConsumerId>,
    /// The moment it is about: when the key expires, when its secret became old, since when it counts
    /// as unused. Wall microseconds.
    pub due_us: i64,
    /// For a key that expires: the reminder of how many days before this is.
    pub days: Option<u32>,
    /// When it was made.
    pub at_us: i64,
    /// Whether it is still so.
    pub is_open: bool,
}

/// Which reminders; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct ReminderFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of these consumers only; none of them, no reminder.
    pub consumers: Option<Vec<ConsumerId>>,
    /// About this key.
    pub key: Option<KeyId>,
    /// Of this kind.
    pub kind: Option<ReminderKind>,
    /// Made from this moment, wall microseconds.
    pub from_us: Option<i64>,
    /// Made before this moment.
    pub to_us: Option<i64>,
    /// Only those that are still so.
    pub open_only: bool,
}

const SELECT: &str = "SELECT r.number, r.kind, r.key, k.name, k.prefix, k.environment, k.last4, r.tenant, \
     r.project, p.name, r.consumer, c.name, r.due_us, r.step, r.at_us, r.done_us \
     FROM reminders r LEFT JOIN keys k ON k.id = r.key LEFT JOIN projects p ON p.id = r.project \
     LEFT JOIN consumers c ON c.id = r.consumer";

impl Store {
    /// Reminders, newest first.
    ///
    /// # Errors
    /// When the database cannot be read; [`StoreError::Invalid`] for a cursor that is none.
    pub async fn reminders(
        &self,
        filter: &ReminderFilter,
        page: &PageRequest,
    ) -> Result<Page<Reminder>, StoreError> {
        let mut wheres = conditions(filter);
        if let Some(cursor) = &page.cursor {
            let before =
                cursor.parse().map_err(|_| StoreError::invalid("cursor", "it is none of this list"))?;
            wheres.int("r.number < ?", before);
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text = format!("{SELECT}{} ORDER BY r.number DESC LIMIT {}", wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = rows.iter().take(limit).map(reminder).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit).then(|| items.last().map(|item| item.number.to_string())).flatten();
        Ok(Page { items, next })
    }

    /// How many reminders there are of a kind.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_reminders(&self, filter: &ReminderFilter) -> Result<u64, StoreError> {
        let wheres = conditions(filter);
        let text = format!("SELECT COUNT(*) FROM reminders r{}", wheres.clause());
        let mut conn = self.reader().await?;
        only(wheres.bind(built(text)), &mut conn).await?.count(0)
    }
}

fn conditions(filter: &ReminderFilter) -> Conditions {
    let mut wheres = Conditions::default();
    if let Some(tenant) = filter.tenant {
        wheres.int("r.tenant = ?", tenant.to_sql());
    }
    match filter.consumers.as_deref() {
        None => {}
        Some([]) => wheres.plain("1 = 0"),
        Some(own) => {
            let ids: Vec<String> = own.iter().map(|id| id.to_sql().to_string()).collect();
            wheres.plain(&format!("r.consumer IN ({})", ids.join(",")));
        }
    }
    if let Some(key) = filter.key {
        wheres.int("r.key = ?", key.to_sql());
    }
    if let Some(kind) = filter.kind {
        wheres.int("r.kind = ?", kind.number());
    }
    if let Some(from) = filter.from_us {
        wheres.int("r.at_us >= ?", from);
    }
    if let Some(to) = filter.to_us {
        wheres.int("r.at_us < ?", to);
    }
    if filter.open_only {
        wheres.plain("r.done_us IS NULL");
    }
    wheres
}

fn reminder(row: &Row) -> Result<Reminder, StoreError> {
    let kind = ReminderKind::from_number(row.int(1)?)?;
    let (project, consumer) = (ProjectId::from_sql(row.int(8)?), ConsumerId::from_sql(row.int(10)?));
    let name =
        |column: usize, id: String| Ok::<_, StoreError>(row.opt_text(column)?.map_or(id, str::to_owned));
    let environment = if row.opt_int(5)? == Some(1) { "test" } else { "live" };
    let shown = match (row.opt_text(4)?, row.opt_text(6)?) {
        (Some(prefix), Some(last4)) => format!("{prefix}_{environment}_…{last4}"),
        _ => String::new(),
    };
    Ok(Reminder {
        number: row.count(0)?,
        kind,
        key: KeyId::from_sql(row.int(2)?),
        key_name: row.opt_text(3)?.map(str::to_owned),
        shown,
        tenant: TenantId::from_sql(row.int(7)?),
        project: Named { id: project, name: name(9, project.to_string())? },
        consumer: Named { id: consumer, name: name(11, consumer.to_string())? },
        due_us: row.int(12)?,
        days: (kind == ReminderKind::Expiring).then_some(u32::try_from(row.int(13)?).unwrap_or(0)),
        at_us: row.int(14)?,
        is_open: row.opt_int(15)?.is_none(),
    })
}
