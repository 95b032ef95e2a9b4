//! Reading the audit, and proving that nobody altered it.

use sqlx::AnyConnection;
use tollgate_core::id::{
    AccountId, BlockId, ConsumerId, InvitationId, JobId, KeyId, PolicyId, ProjectId, RuleId, ServiceId,
    ServiceTokenId, SessionId, TenantId, UserId,
};

use crate::{
    chain::Link,
    error::StoreError,
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, built},
};

/// Rows read at a time while the chain is recomputed.
const VERIFY_ROWS: i64 = 2000;

pub(crate) const COLUMNS: &str =
    "seq, at_us, tenant, actor, action, entity, entity_id, version, before, after, prev_hash, hash";

/// Which part of the audit; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// About this thing: an id as it is shown, `key_…`.
    pub subject: Option<String>,
    /// From this moment, wall microseconds.
    pub from_us: Option<i64>,
    /// Before this moment.
    pub to_us: Option<i64>,
}

/// One change as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number.
    pub seq: u64,
    /// When, wall microseconds.
    pub at_us: i64,
    /// Whose it was; `None` is the whole installation's.
    pub tenant: Option<TenantId>,
    /// Who did it: `os:alice`, `usr_…`, `worker:rehash`.
    pub actor: String,
    /// What was done: `key.revoke`.
    pub action: String,
    /// To what kind of thing.
    pub entity: String,
    /// To which: its id as it is shown.
    pub subject: String,
    /// The version of its row after the change.
    pub version: u64,
    /// What it was before, JSON.
    pub before: Option<String>,
    /// What it was after, JSON.
    pub after: Option<String>,
    /// Its link in the chain.
    pub hash: [u8; 32],
}

/// A chain that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many changes it has.
    pub rows: u64,
    /// The number of the last; the same, for numbers have no gaps.
    pub head: u64,
    /// The hash of the last; written down elsewhere it proves later that nothing up to here changed.
    pub hash: [u8; 32],
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The number of the first change that does not fit.
    pub seq: u64,
    /// What does not fit.
    pub what: String,
}

impl Store {
    /// The audit, newest first.
    ///
    /// # Errors
    /// When the database cannot be read; [`StoreError::Invalid`] for a subject or cursor that is none.
    pub async fn audit_list(
        &self,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRow>, StoreError> {
        let mut wheres = Vec::new();
        let mut values = Vec::new();
        let mut only_where = |text: &str, value: i64| {
            values.push(value);
            wheres.push(text.replace('?', &format!("${}", values.len())));
        };
        if let Some(cursor) = &page.cursor {
            let before =
                cursor.parse().map_err(|_| StoreError::invalid("cursor", "it is none of this list"))?;
            only_where("seq < ?", before);
        }
        if let Some(tenant) = filter.tenant {
            only_where("tenant = ?", tenant.to_sql());
        }
        if let Some(subject) = &filter.subject {
            only_where("entity_id = ?", parse_subject(subject)?);
        }
        if let Some(from) = filter.from_us {
            only_where("at_us >= ?", from);
        }
        if let Some(to) = filter.to_us {
            only_where("at_us < ?", to);
        }
        let wheres = if wheres.is_empty() { "1 = 1".to_owned() } else { wheres.join(" AND ") };
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text =
            format!("SELECT {COLUMNS} FROM changes WHERE {wheres} ORDER BY seq DESC LIMIT {}", limit + 1);
        let statement = values.into_iter().fold(built(text), |statement, value| statement.bind(value));
        let mut conn = self.reader().await?;
        let rows = all(statement, &mut conn).await?;
        let items = rows.iter().take(limit).map(audit_row).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit).then(|| items.last().map(|row| row.seq.to_string())).flatten();
        Ok(Page { items, next })
    }
}

/// Recomputes the chain from a change that is known to its end; `held` may know more of a change.
pub(crate) async fn verify_from(
    conn: &mut AnyConnection,
    start: Verified,
    held: &(dyn Fn(&Verified) -> Result<(), Broken> + Sync),
) -> Result<Result<Verified, Broken>, StoreError> {
    let mut verified = start;
    loop {
        let text = format!("SELECT {COLUMNS} FROM changes WHERE seq > $1 ORDER BY seq LIMIT {VERIFY_ROWS}");
        let rows = all(built(text).bind(verified.head as i64), conn).await?;
        for row in &rows {
            let seq = row.int(0)?;
            if let Some(what) = misfit(row, seq, &verified)? {
                return Ok(Err(Broken { seq: verified.head + 1, what }));
            }
            verified = Verified { rows: verified.rows + 1, head: seq.unsigned_abs(), hash: row.hash(11)? };
            if let Err(broken) = held(&verified) {
                return Ok(Err(broken));
            }
        }
        if (rows.len() as i64) < VERIFY_ROWS {
            return Ok(Ok(verified));
        }
    }
}

/// Why a row does not follow the one before it; `None` when it does.
fn misfit(row: &Row, seq: i64, before: &Verified) -> Result<Option<String>, StoreError> {
    if seq != before.head as i64 + 1 {
        return Ok(Some(format!("it is missing; the next one there is has the number {seq}")));
    }
    if row.blob(10)? != before.hash {
        return Ok(Some("it does not carry the hash of the change before it".to_owned()));
    }
    let link = Link {
        seq,
        at_us: row.int(1)?,
        tenant: row.opt_int(2)?,
        actor: row.text(3)?,
        action: row.text(4)?,
        entity: row.text(5)?,
        entity_id: row.int(6)?,
        version: row.int(7)?,
        before: row.opt_text(8)?,
        after: row.opt_text(9)?,
    };
    let fits = row.blob(11)? == link.hash(&before.hash);
    Ok((!fits).then(|| "its fields do not give its hash; it was altered".to_owned()))
}

pub(crate) fn audit_row(row: &Row) -> Result<AuditRow, StoreError> {
    let entity = row.text(5)?.to_owned();
    Ok(AuditRow {
        seq: row.count(0)?,
        at_us: row.int(1)?,
        tenant: row.opt_int(2)?.map(TenantId::from_sql),
        actor: row.text(3)?.to_owned(),
        action: row.text(4)?.to_owned(),
        subject: subject(&entity, row.int(6)?),
        entity,
        version: row.count(7)?,
        before: row.opt_text(8)?.map(str::to_owned),
        after: row.opt_text(9)?.map(str::to_owned),
        hash: row.hash(11)?,
    })
}

/// The id of an entity as it is shown.
pub(crate) fn subject(entity: &str, id: i64) -> String {
    match entity {
        "tenant" => TenantId::from_sql(id).to_string(),
        "project" => ProjectId::from_sql(id).to_string(),
        "service" => ServiceId::from_sql(id).to_string(),
        "policy" => PolicyId::from_sql(id).to_string(),
        "consumer" => ConsumerId::from_sql(id).to_string(),
        "key" => KeyId::from_sql(id).to_string(),
        "service_token" => ServiceTokenId::from_sql(id).to_string(),
        "user" => UserId::from_sql(id).to_string(),
        "session" => SessionId::from_sql(id).to_string(),
        "invitation" => InvitationId::from_sql(id).to_string(),
        "job" => JobId::from_sql(id).to_string(),
        "rule" => RuleId::from_sql(id).to_string(),
        "webhook" => tollgate_core::id::WebhookId::from_sql(id).to_string(),
        "block" => BlockId::from_sql(id).to_string(),
        "account" => AccountId::from_sql(id).to_string(),
        _ => format!("{entity}_{id}"),
    }
}

/// The number behind an id of any kind: what stands before the digits is not compared.
fn parse_subject(text: &str) -> Result<i64, StoreError> {
    let problem = || StoreError::invalid("subject", format!("`{text}` is no id such as `key_…`"));
    let (kind, digits) = text.split_once('_').ok_or_else(problem)?;
    if kind == "import" {
        return digits.parse().map_err(|_| problem());
    }
    let value = tollgate_core::id::parse_base62(digits.as_bytes()).ok_or_else(problem)?;
    i64::try_from(value).map_err(|_| problem())
}
