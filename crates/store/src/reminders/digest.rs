//! Daily digests: which reminders go to whom, each once.

use tollgate_core::{
    authz::Role,
    id::{ConsumerId, TenantId},
};

use super::{Reminder, SELECT, reminder};
use crate::{
    error::StoreError,
    open::Store,
    page::{PAGE_ROWS_MAX, PageRequest},
    sql::{Columns as _, all, built, run, sql},
};

/// A digest is not sent sooner than this after the one before it.
const DAY_US: i64 = 86_400_000_000;
/// Reminders in one digest; the rest comes in the next.
const REMINDERS_MAX: usize = 1_000;
/// People of a tenant that get a digest.
pub const DIGEST_PEOPLE_MAX: usize = 1_000;

/// What one person gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Their e-mail address.
    pub to: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_name: String,
    /// What they are reminded of, what expires first of all; never empty.
    pub reminders: Vec<Reminder>,
}

/// The digests of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// What each person gets, by their accounts.
    pub letters: Vec<Digest>,
    /// The reminders that they are made of; whoever hands them over has them marked.
    pub numbers: Vec<u64>,
}

impl Store {
    /// The tenants with reminders that were in no digest yet, whose last one is a day old.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn digests_due(&self, now_us: i64) -> Result<Vec<TenantId>, StoreError> {
        let text = "SELECT DISTINCT r.tenant FROM reminders r JOIN tenants t ON t.id = r.tenant \
                    LEFT JOIN reminder_digests d ON d.tenant = r.tenant WHERE r.mailed_us IS NULL \
                    AND r.done_us IS NULL AND (d.at_us IS NULL OR d.at_us <= $1)";
        let mut conn = self.reader().await?;
        let rows = all(sql(text).bind(now_us.saturating_sub(DAY_US)), &mut conn).await?;
        rows.iter().map(|row| Ok(TenantId::from_sql(row.int(0)?))).collect()
    }

    /// Takes the digests of a tenant for this day: owners and admins get everything, others what is about
    /// the consumers they are mapped to. No node gets the same day again; what is not marked as mailed
    /// ([`Store::digests_mailed`]) comes again with the next. None when nobody can be mailed.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn take_digests(&self, tenant: TenantId, now_us: i64) -> Result<Digests, StoreError> {
        let people = self.people_to_mail(tenant).await?;
        if people.is_empty() {
            return Ok(Digests::default());
        }
        let (tenant_name, reminders) = self.take_reminders(tenant, now_us).await?;
        let mut letters = Vec::new();
        for (to, own) in people {
            let is_theirs =
                |reminder: &&Reminder| own.as_ref().is_none_or(|own| own.contains(&reminder.consumer.id));
            let reminders: Vec<Reminder> = reminders.iter().filter(is_theirs).cloned().collect();
            if !reminders.is_empty() {
                letters.push(Digest { to, tenant, tenant_name: tenant_name.clone(), reminders });
            }
        }
        Ok(Digests { letters, numbers: reminders.iter().map(|reminder| reminder.number).collect() })
    }

    /// Marks reminders whose digests were handed over: no other digest has them.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn digests_mailed(&self, numbers: &[u64], now_us: i64) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        for part in numbers.chunks(REMINDERS_MAX) {
            let numbers: Vec<String> = part.iter().map(u64::to_string).collect();
            let text = format!(
                "UPDATE reminders SET mailed_us = $1 WHERE mailed_us IS NULL AND number IN ({})",
                numbers.join(",")
            );
            run(built(text).bind(now_us), &mut tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Takes the day of a tenant and gives its name and the reminders of its digest; none when another
    /// node was first.
    async fn take_reminders(
        &self,
        tenant: TenantId,
        now_us: i64,
    ) -> Result<(String, Vec<Reminder>), StoreError> {
        let mut tx = self.begin_write().await?;
        let claim = sql("INSERT INTO reminder_digests (tenant, at_us) VALUES ($1, $2) ON CONFLICT (tenant) \
                         DO UPDATE SET at_us = excluded.at_us WHERE reminder_digests.at_us <= $3 \
                         RETURNING (SELECT name FROM tenants t WHERE t.id = reminder_digests.tenant)");
        let claim = claim.bind(tenant.to_sql()).bind(now_us).bind(now_us.saturating_sub(DAY_US));
        let claimed = all(claim, &mut tx).await?;
        let Some(claimed) = claimed.first() else {
            tx.rollback().await?;
            return Ok((String::new(), Vec::new()));
        };
        let name = claimed.opt_text(0)?.unwrap_or_default().to_owned();
        // Kind 0 expires: it cannot wait behind what has been old for months.
        let text = format!(
            "{SELECT} WHERE r.tenant = $1 AND r.mailed_us IS NULL AND r.done_us IS NULL \
             ORDER BY r.kind, r.due_us, r.number LIMIT {REMINDERS_MAX}"
        );
        let rows = all(built(text).bind(tenant.to_sql()), &mut tx).await?;
        let reminders = rows.iter().map(reminder).collect::<Result<Vec<_>, _>>()?;
        if reminders.is_empty() {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        Ok((name, reminders))
    }

    /// The addresses that get a digest, an account each, and about which consumers; `None` about all. An
    /// account whose provider did not verify its address has none, and gets nothing.
    async fn people_to_mail(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(String, Option<Vec<ConsumerId>>)>, StoreError> {
        let mut people = Vec::new();
        let mut page = PageRequest { limit: PAGE_ROWS_MAX, cursor: None };
        loop {
            let part = self.list_members(tenant, &page).await?;
            for member in part.items {
                let own = match member.role {
                    Role::Owner | Role::Admin => None,
                    Role::Auditor => continue,
                    Role::Developer | Role::Member => Some(member.consumers.to_vec()),
                };
                if !member.email.trim().is_empty() && people.len() < DIGEST_PEOPLE_MAX {
                    people.push((member.email, own));
                }
            }
            page.cursor = part.next;
            if page.cursor.is_none() || people.len() >= DIGEST_PEOPLE_MAX {
                return Ok(people);
            }
        }
    }
}
