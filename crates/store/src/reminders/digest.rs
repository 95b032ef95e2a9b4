//! Daily digests: which reminders go to whom, each once.

use std::collections::BTreeMap;

use tollgate_core::{
    authz::Role,
    id::{ConsumerId, TenantId},
};

use super::{Reminder, SELECT, reminder};
use crate::{
    error::StoreError,
    open::Store,
    page::{PAGE_ROWS_MAX, PageRequest},
    sql::{Columns as _, all, built, only, run, sql},
};

/// A digest is not sent sooner than this after the one before it.
const DAY_US: i64 = 86_400_000_000;
/// Reminders in one digest; the rest comes in the next.
const REMINDERS_MAX: usize = 1_000;
/// People of a tenant that get a digest.
const PEOPLE_MAX: usize = 1_000;

/// What one person gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Their e-mail address.
    pub to: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_name: String,
    /// What they are reminded of, oldest first; never empty.
    pub reminders: Vec<Reminder>,
}

impl Store {
    /// Takes the digests that are due, one of a tenant a day: owners and admins get everything, others
    /// what is about the consumers they are mapped to. What was taken once is not given again, to no
    /// node: whoever takes them sends them.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn take_digests(&self, now_us: i64) -> Result<Vec<Digest>, StoreError> {
        let mut digests = Vec::new();
        for (tenant, name) in self.tenants_to_mail(now_us).await? {
            let reminders = self.take_reminders(tenant, now_us).await?;
            if reminders.is_empty() {
                continue;
            }
            for (to, own) in self.people_to_mail(tenant).await? {
                let is_theirs =
                    |reminder: &&Reminder| own.as_ref().is_none_or(|own| own.contains(&reminder.consumer.id));
                let reminders: Vec<Reminder> = reminders.iter().filter(is_theirs).cloned().collect();
                if !reminders.is_empty() {
                    digests.push(Digest { to, tenant, tenant_name: name.clone(), reminders });
                }
            }
        }
        Ok(digests)
    }

    async fn tenants_to_mail(&self, now_us: i64) -> Result<Vec<(TenantId, String)>, StoreError> {
        let text = "SELECT DISTINCT t.id, t.name FROM reminders r JOIN tenants t ON t.id = r.tenant \
                    LEFT JOIN reminder_digests d ON d.tenant = t.id WHERE r.mailed_us IS NULL \
                    AND r.done_us IS NULL AND (d.at_us IS NULL OR d.at_us <= $1)";
        let mut conn = self.reader().await?;
        let rows = all(sql(text).bind(now_us.saturating_sub(DAY_US)), &mut conn).await?;
        rows.iter().map(|row| Ok((TenantId::from_sql(row.int(0)?), row.text(1)?.to_owned()))).collect()
    }

    /// Marks the reminders of a digest and gives them; none when another node was first.
    async fn take_reminders(&self, tenant: TenantId, now_us: i64) -> Result<Vec<Reminder>, StoreError> {
        let mut tx = self.begin_write().await?;
        if let Some(lock) = self.engine().lock_mutations() {
            only(sql(lock), &mut tx).await?;
        }
        let claim = sql("INSERT INTO reminder_digests (tenant, at_us) VALUES ($1, $2) ON CONFLICT (tenant) \
                         DO UPDATE SET at_us = excluded.at_us WHERE reminder_digests.at_us <= $3 \
                         RETURNING tenant");
        let claim = claim.bind(tenant.to_sql()).bind(now_us).bind(now_us.saturating_sub(DAY_US));
        if all(claim, &mut tx).await?.is_empty() {
            tx.rollback().await?;
            return Ok(Vec::new());
        }
        let text = format!(
            "{SELECT} WHERE r.tenant = $1 AND r.mailed_us IS NULL AND r.done_us IS NULL \
             ORDER BY r.number LIMIT {REMINDERS_MAX}"
        );
        let rows = all(built(text).bind(tenant.to_sql()), &mut tx).await?;
        let reminders = rows.iter().map(reminder).collect::<Result<Vec<_>, _>>()?;
        if let Some(last) = reminders.last() {
            let mark = sql("UPDATE reminders SET mailed_us = $1 WHERE tenant = $2 AND mailed_us IS NULL \
                            AND number <= $3");
            run(mark.bind(now_us).bind(tenant.to_sql()).bind(last.number as i64), &mut tx).await?;
        }
        tx.commit().await?;
        Ok(reminders)
    }

    /// Who gets a digest, and about which consumers; `None` about all.
    async fn people_to_mail(
        &self,
        tenant: TenantId,
    ) -> Result<BTreeMap<String, Option<Vec<ConsumerId>>>, StoreError> {
        let mut people = BTreeMap::new();
        let mut page = PageRequest { limit: PAGE_ROWS_MAX, cursor: None };
        loop {
            let part = self.list_members(tenant, &page).await?;
            for member in part.items {
                let own = match member.role {
                    Role::Owner | Role::Admin => None,
                    Role::Auditor => continue,
                    Role::Developer | Role::Member => Some(member.consumers.to_vec()),
                };
                people.insert(member.email, own);
            }
            page.cursor = part.next;
            if page.cursor.is_none() || people.len() >= PEOPLE_MAX {
                return Ok(people);
            }
        }
    }
}
