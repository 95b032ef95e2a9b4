//! Accounts as people look at them, and the thresholds that were passed.

use tollgate_core::{
    budget::held::Level,
    id::{AccountId, BudgetId, ConsumerId, KeyId, ProjectId, TenantId},
    money::amount::{Amount, Currency},
    notice::NoticeKind,
    period::Window,
};

use super::account::{Balance, amount};
use crate::{
    error::StoreError,
    notices::{self, Notice, moment},
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, one, run, sql},
};

/// Thresholds that are listed at once.
const TOLD_MAX: i64 = 1_000;

/// An account with its balances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub id: AccountId,
    /// The budget whose period it is; 0 when it is of none.
    pub budget: BudgetId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How wide the budget is held.
    pub level: Level,
    /// The id of the holder, of the kind that the level says.
    pub subject: u64,
    /// The holder's name, or the id of a key; empty when it is gone.
    pub holder: String,
    /// The period.
    pub window: Window,
    /// What it is of.
    pub currency: Currency,
    /// Whether what does not fit is refused.
    pub hard: bool,
    /// The balances.
    pub balance: Balance,
}

/// Which accounts; what is `None` restricts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this budget.
    pub budget: Option<BudgetId>,
    /// Whose period holds this moment, in wall microseconds.
    pub at_us: Option<i64>,
}

/// A threshold that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// In which account.
    pub account: AccountId,
    /// Of which budget.
    pub budget: BudgetId,
    /// Whose.
    pub tenant: TenantId,
    /// How much of the budget's amount, in percent.
    pub percent: u8,
    /// What was spent then.
    pub spent: Amount,
    /// Of what.
    pub currency: Currency,
    /// When it was seen, in wall microseconds.
    pub at_us: i64,
}

const COLUMNS: &str = "SELECT a.id, a.budget, a.tenant, a.level, a.subject, a.period_start_us, a.period_end_us, \
     a.currency, a.hard, a.funded, a.reserved, a.spent, a.overrun, \
     CASE a.level WHEN 1 THEN (SELECT c.name FROM consumers c WHERE c.id = a.subject) \
     WHEN 2 THEN (SELECT p.name FROM projects p WHERE p.id = a.subject) \
     WHEN 3 THEN (SELECT t.name FROM tenants t WHERE t.id = a.subject) END FROM ledger_accounts a";

impl Store {
    /// Accounts in the order of their ids, by page.
    ///
    /// # Errors
    /// When the cursor is none, or the database cannot be read.
    pub async fn accounts(
        &self,
        filter: &AccountFilter,
        page: &PageRequest,
    ) -> Result<Page<AccountRow>, StoreError> {
        let after = page.cursor.as_deref().map_or(Ok(i64::MIN), |cursor| {
            cursor
                .parse()
                .map_err(|_| StoreError::invalid("cursor", "it is none of this list; begin without one"))
        })?;
        let limit = i64::from(page.limit.clamp(1, PAGE_ROWS_MAX));
        let text = format!(
            "{COLUMNS} WHERE a.id > $1 AND ($2 = 0 OR a.tenant = $3) AND ($4 = 0 OR a.budget = $5) \
             AND ($6 = 0 OR (a.period_start_us <= $7 AND a.period_end_us > $7)) ORDER BY a.id LIMIT $8"
        );
        let ask = crate::sql::built(text)
            .bind(after)
            .bind(i64::from(filter.tenant.is_some()))
            .bind(filter.tenant.map_or(0, TenantId::to_sql))
            .bind(i64::from(filter.budget.is_some()))
            .bind(filter.budget.map_or(0, BudgetId::to_sql))
            .bind(i64::from(filter.at_us.is_some()))
            .bind(filter.at_us.unwrap_or(0))
            .bind(limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(ask, &mut conn).await?;
        let has_more = rows.len() as i64 > limit;
        let items: Vec<AccountRow> =
            rows.iter().take(limit as usize).map(account_row).collect::<Result<_, _>>()?;
        let next = items.last().filter(|_| has_more).map(|last| last.id.to_sql().to_string());
        Ok(Page { items, next })
    }

    /// One account.
    ///
    /// # Errors
    /// When there is none of this id, or the database cannot be read.
    pub async fn account_row(&self, account: AccountId) -> Result<AccountRow, StoreError> {
        let mut conn = self.reader().await?;
        let ask = crate::sql::built(format!("{COLUMNS} WHERE a.id = $1")).bind(account.to_sql());
        let row = one(ask, &mut conn).await?.ok_or_else(|| super::transfer::no_account(account))?;
        account_row(&row)
    }

    /// Notes that so many percent of a budget are spent, and tells it; `false` when it was noted before. 0 percent
    /// stands for a budget of which nothing is left, which is told as that.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn tell_threshold(
        &self,
        account: AccountId,
        (percent, spent): (u8, Amount),
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        let note = sql("INSERT INTO ledger_told (account, percent, at_us, spent) VALUES ($1, $2, $3, $4) \
                        ON CONFLICT DO NOTHING");
        let note = note.bind(account.to_sql()).bind(i64::from(percent)).bind(now_us).bind(spent.atoms());
        let is_new = run(note, &mut tx).await? == 1;
        if is_new {
            let row =
                one(crate::sql::built(format!("{COLUMNS} WHERE a.id = $1")).bind(account.to_sql()), &mut tx);
            let row = row.await?.ok_or_else(|| super::transfer::no_account(account))?;
            let told = told_of(&account_row(&row)?, (percent, spent), now_us);
            notices::write(&mut tx, &told).await?;
        }
        tx.commit().await?;
        Ok(is_new)
    }

    /// Thresholds passed from a moment on and before another, oldest first, at most 1000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn thresholds_told(
        &self,
        tenant: Option<TenantId>,
        (from_us, to_us): (i64, i64),
    ) -> Result<Vec<Told>, StoreError> {
        let ask = sql("SELECT l.account, a.budget, a.tenant, l.percent, l.spent, a.currency, l.at_us \
                       FROM ledger_told l JOIN ledger_accounts a ON a.id = l.account \
                       WHERE l.percent > 0 AND l.at_us >= $1 AND l.at_us < $2 AND ($3 = 0 OR a.tenant = $4) \
                       ORDER BY l.at_us, l.account, l.percent LIMIT $5")
        .bind(from_us)
        .bind(to_us)
        .bind(i64::from(tenant.is_some()))
        .bind(tenant.map_or(0, TenantId::to_sql))
        .bind(TOLD_MAX);
        let mut conn = self.reader().await?;
        all(ask, &mut conn).await?.iter().map(told).collect()
    }
}

/// The notice of a threshold.
fn told_of(row: &AccountRow, (percent, spent): (u8, Amount), now_us: i64) -> Notice {
    let kind = if percent == 0 { NoticeKind::BudgetExhausted } else { NoticeKind::BudgetThreshold };
    let mut notice = Notice::new(kind, row.tenant, now_us);
    match row.level {
        Level::Key => notice.key = Some(KeyId(row.subject)),
        Level::Consumer => notice.consumer = Some(ConsumerId(row.subject)),
        Level::Project => notice.project = Some(ProjectId(row.subject)),
        Level::Tenant => {}
    }
    if percent > 0 {
        notice = notice.with("percent", percent);
    }
    let ends = row.window.end_us;
    notice
        .with("budget_id", row.budget.to_string())
        .with("account_id", row.id.to_string())
        .with("level", row.level.name())
        .with("holder", row.holder.clone())
        .with("spent", spent.to_text(row.currency))
        .with("amount", row.balance.funded.to_text(row.currency))
        .with("currency", row.currency.to_string())
        .with("mode", if row.hard { "hard" } else { "observe" })
        .with("period_ends_at", (ends != i64::MAX).then(|| moment(ends)))
}

fn account_row(row: &Row) -> Result<AccountRow, StoreError> {
    let level = match row.int(3)? {
        0 => Level::Key,
        1 => Level::Consumer,
        2 => Level::Project,
        3 => Level::Tenant,
        _ => return Err(StoreError::corrupt("an account is held by nobody known")),
    };
    let subject = row.int(4)? as u64;
    let holder = match (level, row.opt_text(13)?) {
        (Level::Key, _) => tollgate_core::id::KeyId(subject).to_string(),
        (_, name) => name.unwrap_or_default().to_owned(),
    };
    Ok(AccountRow {
        id: AccountId::from_sql(row.int(0)?),
        budget: BudgetId::from_sql(row.int(1)?),
        tenant: TenantId::from_sql(row.int(2)?),
        level,
        subject,
        holder,
        window: Window { start_us: row.int(5)?, end_us: row.int(6)? },
        currency: currency(row.text(7)?)?,
        hard: row.int(8)? != 0,
        balance: Balance {
            funded: amount(row.int(9)?)?,
            reserved: amount(row.int(10)?)?,
            spent: amount(row.int(11)?)?,
            overrun: amount(row.int(12)?)?,
        },
    })
}

fn told(row: &Row) -> Result<Told, StoreError> {
    Ok(Told {
        account: AccountId::from_sql(row.int(0)?),
        budget: BudgetId::from_sql(row.int(1)?),
        tenant: TenantId::from_sql(row.int(2)?),
        percent: u8::try_from(row.int(3)?).unwrap_or(u8::MAX),
        spent: amount(row.int(4)?)?,
        currency: currency(row.text(5)?)?,
        at_us: row.int(6)?,
    })
}

fn currency(text: &str) -> Result<Currency, StoreError> {
    text.parse().map_err(|_| StoreError::corrupt("an account is of no known currency"))
}
