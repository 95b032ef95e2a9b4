//! Budgets one at a time: listed, created, replaced, deleted, through the same comparison as a whole file.

use tollgate_core::{
    authz::Permit,
    budget::{
        Budget,
        held::{HeldBudget, Level},
        spec::BudgetSpec,
    },
    field_error::FieldError,
    id::{BudgetId, ConsumerId, KeyId, ProjectId, TenantId},
    resource::Resources,
};

use super::{
    Op,
    apply::{Asked, compare, record, write_rows},
    budgets::{deletion, holder_words, level_from_sql},
    one::{plain, same_version},
    rows::from_json,
    view::Scope,
};
use crate::{
    conditions::{Conditions, contains},
    error::{Entity, StoreError},
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, built, one},
    write::Committed,
};

/// A budget as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetView {
    /// Its id.
    pub id: BudgetId,
    /// The version of its row.
    pub version: u64,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The project of its holder; `None` for a tenant's.
    pub project: Option<ProjectId>,
    /// How wide it is held.
    pub level: Level,
    /// The id of its holder, of the kind that the level says.
    pub subject: u64,
    /// Its holder in words: `acme/maps/android-team`, the id of a key.
    pub holder: String,
    /// What tells it from others, in words.
    pub name: String,
    /// What it says, with full names.
    pub spec: BudgetSpec,
}

impl BudgetView {
    /// The budget with its holder, as nodes hold it.
    ///
    /// # Errors
    /// When what is stored does not compile: another version of the program wrote it.
    pub fn held(&self) -> Result<HeldBudget, Vec<FieldError>> {
        Ok(HeldBudget {
            id: self.id,
            level: self.level,
            subject: self.subject,
            holder: self.holder.as_str().into(),
            tenant: self.tenant,
            period: self.spec.period,
            budget: Budget::compile(&self.spec)?,
        })
    }
}

/// Which budgets to list; what is `None` restricts nothing.
#[derive(Clone, Debug)]
pub struct BudgetFilter {
    /// That may be seen.
    pub scope: Scope,
    /// Of holders in this project.
    pub project: Option<ProjectId>,
    /// Of this consumer itself.
    pub consumer: Option<ConsumerId>,
    /// Of this key itself.
    pub key: Option<KeyId>,
    /// With this in the words for it, whatever the case.
    pub search: Option<String>,
}

impl BudgetFilter {
    /// All that may be seen.
    #[must_use]
    pub const fn all(scope: Scope) -> Self {
        Self { scope, project: None, consumer: None, key: None, search: None }
    }
}

/// Which budget is to be changed, as whoever changes it knew it.
#[derive(Clone, Copy, Debug)]
pub struct BudgetAt {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub id: BudgetId,
    /// The version that was read; `None` whatever it is.
    pub version: Option<u64>,
}

const SELECT: &str =
    "SELECT x.id, x.version, x.tenant, x.project, x.level, x.subject, x.name, x.spec FROM budgets x";

impl Store {
    /// Budgets in the order of the words for them.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_budgets(
        &self,
        filter: &BudgetFilter,
        page: &PageRequest,
    ) -> Result<Page<BudgetView>, StoreError> {
        let mut wheres = Conditions::default();
        within(&filter.scope, &mut wheres);
        if let Some(project) = filter.project {
            wheres.int("x.project = ?", project.to_sql());
        }
        if let Some(consumer) = filter.consumer {
            wheres.int("x.level = 1 AND x.subject = ?", consumer.to_sql());
        }
        if let Some(key) = filter.key {
            wheres.int("x.level = 0 AND x.subject = ?", key.to_sql());
        }
        if let Some(search) = &filter.search {
            wheres.text(r"LOWER(x.name) LIKE ? ESCAPE '\'", contains(&search.to_lowercase()));
        }
        if let Some(cursor) = &page.cursor {
            let problem = || StoreError::invalid("cursor", "it is none of this list");
            let (name, id) = cursor.rsplit_once('.').ok_or_else(problem)?;
            wheres.past_name(("x.name", "x.id"), name, id.parse().map_err(|_| problem())?);
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text = format!("{SELECT}{} ORDER BY x.name, x.id LIMIT {}", wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = rows.iter().take(limit).map(view).collect::<Result<Vec<_>, _>>()?;
        let last = items.last().filter(|_| rows.len() > limit);
        let next = last.map(|last| format!("{}.{}", last.name, last.id.to_sql()));
        Ok(Page { items, next })
    }

    /// A budget.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it may not be seen.
    pub async fn budget(&self, scope: &Scope, id: BudgetId) -> Result<BudgetView, StoreError> {
        let mut wheres = Conditions::default();
        within(scope, &mut wheres);
        wheres.int("x.id = ?", id.to_sql());
        let text = format!("{SELECT}{}", wheres.clause());
        let mut conn = self.reader().await?;
        let row = one(wheres.bind(built(text)), &mut conn).await?;
        view(&row.ok_or_else(|| StoreError::not_found(Entity::Budget, id))?)
    }

    /// Creates a budget. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when its holder has one of this currency and period, [`StoreError::Invalid`].
    pub async fn create_budget(
        &self,
        permit: &Permit,
        new: BudgetSpec,
        now_us: i64,
    ) -> Result<Committed<BudgetView>, StoreError> {
        let resources = Resources { budgets: vec![new], ..Resources::default() };
        let mut write = self.write(permit, now_us).await?;
        let diff = compare(write.conn(), permit, &resources, Asked::at(now_us)).await?;
        let edit = match (diff.errors.is_empty(), diff.edits.as_slice()) {
            (false, _) => return Err(StoreError::Invalid(plain(Entity::Budget, diff.errors))),
            (true, [edit]) if edit.op == Op::Create => edit,
            _ => {
                return Err(StoreError::Conflict(
                    "its holder has a budget of this currency and period already; change that one".to_owned(),
                ));
            }
        };
        record(&mut write, edit)?;
        write_rows(write.conn(), std::slice::from_ref(edit), now_us).await?;
        let value = load(write.conn(), edit.id).await?;
        Ok(Committed { value, seq: write.commit().await? })
    }

    /// Replaces what a budget says; the same again is no change. Its holder, currency and period stay: they tell
    /// it from others. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Invalid`].
    pub async fn replace_budget(
        &self,
        permit: &Permit,
        at: BudgetAt,
        new: BudgetSpec,
        now_us: i64,
    ) -> Result<Committed<BudgetView>, StoreError> {
        let resources = Resources { budgets: vec![new], ..Resources::default() };
        let mut write = self.write(permit, now_us).await?;
        let present = present(write.conn(), at).await?;
        let diff = compare(write.conn(), permit, &resources, Asked::at(now_us)).await?;
        if !diff.errors.is_empty() {
            return Err(StoreError::Invalid(plain(Entity::Budget, diff.errors)));
        }
        if !diff.places.contains_key(&(Entity::Budget, at.id.to_sql())) {
            let problem =
                format!("it is the budget {} and stays that; create another one instead", present.name);
            return Err(StoreError::invalid("period", problem));
        }
        if let Some(edit) = diff.edits.first() {
            record(&mut write, edit)?;
            write_rows(write.conn(), std::slice::from_ref(edit), now_us).await?;
        }
        let value = load(write.conn(), at.id.to_sql()).await?;
        Ok(Committed { value, seq: write.commit().await? })
    }

    /// Deletes a budget: nothing bounds its holder by it any more. What was spent stays in the ledger. Needs
    /// `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`].
    pub async fn delete_budget(
        &self,
        permit: &Permit,
        at: BudgetAt,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        present(write.conn(), at).await?;
        let nothing = Resources::default();
        let diff = compare(write.conn(), permit, &nothing, Asked::at(now_us)).await?;
        let row = diff.state.budgets.iter().find(|row| row.id == at.id.to_sql());
        let edit = deletion(row.ok_or_else(|| StoreError::not_found(Entity::Budget, at.id))?)?;
        record(&mut write, &edit)?;
        write_rows(write.conn(), std::slice::from_ref(&edit), now_us).await?;
        Ok(Committed { value: (), seq: write.commit().await? })
    }
}

async fn load(conn: &mut sqlx::AnyConnection, id: i64) -> Result<BudgetView, StoreError> {
    let row = one(built(format!("{SELECT} WHERE x.id = $1")).bind(id), conn).await?;
    view(&row.ok_or_else(|| StoreError::not_found(Entity::Budget, BudgetId::from_sql(id)))?)
}

async fn present(conn: &mut sqlx::AnyConnection, at: BudgetAt) -> Result<BudgetView, StoreError> {
    let found = load(conn, at.id.to_sql()).await?;
    if found.tenant != at.tenant {
        return Err(StoreError::not_found(Entity::Budget, at.id));
    }
    same_version(Entity::Budget, found.version, at.version)?;
    Ok(found)
}

/// What may be seen: of consumers their budgets and those of their keys.
fn within(scope: &Scope, wheres: &mut Conditions) {
    wheres.int("x.tenant = ?", scope.tenant.to_sql());
    let Some(own) = &scope.consumers else { return };
    if own.is_empty() {
        return wheres.plain("1 = 0");
    }
    let ids = own.iter().map(|id| id.to_sql().to_string()).collect::<Vec<_>>().join(",");
    wheres.plain(&format!(
        "((x.level = 1 AND x.subject IN ({ids})) OR \
         (x.level = 0 AND x.subject IN (SELECT id FROM keys WHERE consumer IN ({ids}))))"
    ));
}

fn view(row: &Row) -> Result<BudgetView, StoreError> {
    let spec: BudgetSpec = from_json(row.text(7)?)?;
    Ok(BudgetView {
        id: BudgetId::from_sql(row.int(0)?),
        version: row.count(1)?,
        tenant: TenantId::from_sql(row.int(2)?),
        project: row.opt_int(3)?.map(ProjectId::from_sql),
        level: level_from_sql(row.int(4)?)?,
        subject: row.count(5)?,
        holder: holder_words(&spec),
        name: row.text(6)?.to_owned(),
        spec,
    })
}
