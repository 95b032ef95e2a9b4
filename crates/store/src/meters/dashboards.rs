//! Dashboards: widgets that somebody put together, their own or shared with their tenant.
//!
//! Who made one may change it. One that is shared is seen by all who may see meters; sharing, and changing what is
//! shared, needs the right to change resources.

use serde::{Deserialize, Serialize};
use tollgate_core::{
    authz::{Action, Actor, Permit},
    id::{DashboardId, MeterId, TenantId, UserId},
    meter::{spec::MeterSpec, window::WindowUnit},
};

use crate::{
    error::{Entity, StoreError},
    open::Store,
    random,
    resources::{from_json, same_version, to_json},
    sql::{Columns as _, Row, all, one, only, run, sql},
    write::{Change, Committed, Write},
};

/// Widgets of one dashboard.
pub const WIDGETS_MAX: usize = 24;
/// Dashboards of one person.
const OWN_MAX: u64 = 50;
/// Characters of a title.
const TITLE_LEN_MAX: usize = 80;

/// How a widget shows values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WidgetForm {
    /// A line for each group.
    Line,
    /// Bars.
    Bars,
    /// One number over the whole span.
    Number,
    /// A table of groups.
    Table,
}

impl WidgetForm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Line, Self::Bars, Self::Number, Self::Table];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Bars => "bars",
            Self::Number => "number",
            Self::Table => "table",
        }
    }

    /// The one with this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == word)
    }
}

/// One widget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Widget {
    /// The meter that it shows.
    pub meter: MeterId,
    /// What stands above it; the meter's name when empty.
    #[serde(default)]
    pub title: String,
    /// How it shows values.
    pub form: WidgetForm,
    /// How long windows are.
    pub window: WindowUnit,
    /// How far back it looks, hours: 1 to 9,600.
    pub hours: u32,
    /// Whether it tells apart what the meter groups by: the place of that, `None` for all together.
    #[serde(default)]
    pub by: Option<u32>,
    /// Whether it takes the whole width.
    #[serde(default)]
    pub wide: bool,
}

/// A dashboard as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dashboard {
    /// Its id.
    pub id: DashboardId,
    /// The version of its row.
    pub version: u64,
    /// The tenant.
    pub tenant: TenantId,
    /// Who made it.
    pub owner: UserId,
    /// Its name.
    pub name: String,
    /// Whether the tenant sees it.
    pub shared: bool,
    /// Its widgets, in their order.
    pub widgets: Vec<Widget>,
}

/// What a dashboard is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDashboard {
    /// Its name.
    pub name: String,
    /// Whether the tenant sees it.
    pub shared: bool,
    /// Its widgets, in their order.
    pub widgets: Vec<Widget>,
}

/// Which dashboard is to be changed, as whoever changes it knew it.
#[derive(Clone, Copy, Debug)]
pub struct DashboardAt {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub id: DashboardId,
    /// The version that was read; `None` whatever it is.
    pub version: Option<u64>,
}

const SELECT: &str = "SELECT id, version, tenant, owner, name, shared, widgets FROM dashboards WHERE tenant = $1 \
                      AND (owner = $2 OR shared = 1)";

impl Store {
    /// The dashboards of a tenant that somebody may see: their own and those that are shared, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn dashboards(&self, tenant: TenantId, who: UserId) -> Result<Vec<Dashboard>, StoreError> {
        let mut conn = self.reader().await?;
        let select = crate::sql::built(format!("{SELECT} ORDER BY name, id LIMIT 500"));
        all(select.bind(tenant.to_sql()).bind(who.to_sql()), &mut conn).await?.iter().map(view).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when they may not see it.
    pub async fn dashboard(
        &self,
        (tenant, who): (TenantId, UserId),
        id: DashboardId,
    ) -> Result<Dashboard, StoreError> {
        let mut conn = self.reader().await?;
        load(&mut conn, (tenant, who), id).await
    }

    /// Creates a dashboard of the permit's own person. Needs `Action::UseOwnAccount`, and to share it
    /// `Action::ChangeResources`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`], [`StoreError::NotCovered`].
    pub async fn create_dashboard(
        &self,
        permit: &Permit,
        tenant: TenantId,
        new: NewDashboard,
        now_us: i64,
    ) -> Result<Committed<Dashboard>, StoreError> {
        let owner = person(permit)?;
        check(&new)?;
        let mut write = self.write(permit, now_us).await?;
        let count = sql("SELECT COUNT(*) FROM dashboards WHERE tenant = $1 AND owner = $2");
        let count = only(count.bind(tenant.to_sql()).bind(owner.to_sql()), write.conn()).await?.count(0)?;
        if count >= OWN_MAX {
            return Err(StoreError::Conflict(format!("you have {OWN_MAX} dashboards; delete one first")));
        }
        check_meters(write.conn(), tenant, &[], &new.widgets).await?;
        let id = DashboardId::from_random(random::id_bytes()?);
        let NewDashboard { name, shared, widgets } = new;
        let made = Dashboard { id, version: 1, tenant, owner, name, shared, widgets };
        record(&mut write, None, Some(&made))?;
        let insert =
            sql("INSERT INTO dashboards (id, tenant, owner, name, shared, widgets, version, changed_us) \
                          VALUES ($1, $2, $3, $4, $5, $6, 1, $7)");
        let insert =
            insert.bind(id.to_sql()).bind(tenant.to_sql()).bind(owner.to_sql()).bind(made.name.clone());
        let insert = insert.bind(i64::from(made.shared)).bind(to_json(&made.widgets)?).bind(now_us);
        run(insert, write.conn()).await?;
        Ok(Committed { value: made, seq: write.commit().await? })
    }

    /// Replaces what a dashboard is. Its owner may; one that is shared needs `Action::ChangeResources` too.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Invalid`], [`StoreError::NotCovered`].
    pub async fn change_dashboard(
        &self,
        permit: &Permit,
        at: DashboardAt,
        new: NewDashboard,
        now_us: i64,
    ) -> Result<Committed<Dashboard>, StoreError> {
        check(&new)?;
        let mut write = self.write(permit, now_us).await?;
        let present = load(write.conn(), (at.tenant, person(permit)?), at.id).await?;
        same_version(Entity::Dashboard, present.version, at.version)?;
        check_meters(write.conn(), at.tenant, &present.widgets, &new.widgets).await?;
        let NewDashboard { name, shared, widgets } = new;
        let changed = Dashboard { name, shared, widgets, version: present.version + 1, ..present.clone() };
        record(&mut write, Some(&present), Some(&changed))?;
        let update =
            sql("UPDATE dashboards SET name = $1, shared = $2, widgets = $3, version = $4, changed_us = $5 \
                          WHERE id = $6");
        let update = update.bind(changed.name.clone()).bind(i64::from(changed.shared));
        let update = update.bind(to_json(&changed.widgets)?).bind(changed.version as i64).bind(now_us);
        run(update.bind(at.id.to_sql()), write.conn()).await?;
        Ok(Committed { value: changed, seq: write.commit().await? })
    }

    /// Deletes a dashboard. Its owner may; one that is shared needs `Action::ChangeResources` too.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::NotCovered`].
    pub async fn delete_dashboard(
        &self,
        permit: &Permit,
        at: DashboardAt,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let present = load(write.conn(), (at.tenant, person(permit)?), at.id).await?;
        same_version(Entity::Dashboard, present.version, at.version)?;
        record(&mut write, Some(&present), None)?;
        run(sql("DELETE FROM dashboards WHERE id = $1").bind(at.id.to_sql()), write.conn()).await?;
        Ok(Committed { value: (), seq: write.commit().await? })
    }
}

/// Whose permit it is: dashboards are people's.
fn person(permit: &Permit) -> Result<UserId, StoreError> {
    match permit.actor() {
        Actor::Member { user, .. } => Ok(*user),
        _ => Err(StoreError::NotCovered { kind: Entity::Dashboard }),
    }
}

fn check(new: &NewDashboard) -> Result<(), StoreError> {
    let is_title = |text: &str| text.chars().count() <= TITLE_LEN_MAX && !text.chars().any(char::is_control);
    if new.name.trim().is_empty() || !is_title(&new.name) {
        let problem = format!("write 1 to {TITLE_LEN_MAX} characters");
        return Err(StoreError::invalid("name", problem));
    }
    if new.widgets.len() > WIDGETS_MAX {
        let problem =
            format!("a dashboard has at most {WIDGETS_MAX}; take one away, or make another dashboard");
        return Err(StoreError::invalid("widgets", problem));
    }
    for (index, widget) in new.widgets.iter().enumerate() {
        if !is_title(&widget.title) {
            let problem = format!("write at most {TITLE_LEN_MAX} characters");
            return Err(StoreError::invalid(format!("widgets[{index}].title"), problem));
        }
        if !(1..=9_600).contains(&widget.hours) {
            return Err(StoreError::invalid(format!("widgets[{index}].hours"), "it is outside 1 to 9600"));
        }
        if widget.window == WindowUnit::Total {
            let problem = "choose how long windows are; the form `number` shows the whole span at once";
            return Err(StoreError::invalid(format!("widgets[{index}].window"), problem));
        }
    }
    Ok(())
}

/// Refuses a new widget of a meter that the tenant has not, or by what the meter does not group by. One that was there
/// before may stay: its meter may have gone since.
async fn check_meters(
    conn: &mut sqlx::AnyConnection,
    tenant: TenantId,
    before: &[Widget],
    after: &[Widget],
) -> Result<(), StoreError> {
    let is_known =
        |widget: &Widget| before.iter().any(|one| (one.meter, one.by) == (widget.meter, widget.by));
    for (index, widget) in after.iter().enumerate().filter(|(_, widget)| !is_known(widget)) {
        let select = sql("SELECT m.spec FROM meters m JOIN projects p ON p.id = m.project \
                          WHERE m.id = $1 AND p.tenant = $2");
        let row = one(select.bind(widget.meter.to_sql()).bind(tenant.to_sql()), conn).await?;
        let Some(row) = row else {
            let problem = format!("there is no meter `{}`; list them, or correct the id", widget.meter);
            return Err(StoreError::invalid(format!("widgets[{index}].meter"), problem));
        };
        let spec: MeterSpec = from_json(row.text(0)?)?;
        let groups = spec.group_by.len();
        if widget.by.is_some_and(|by| by as usize >= groups) {
            let problem = format!("meter `{}` groups by {groups} things, counted from 0", spec.name);
            return Err(StoreError::invalid(format!("widgets[{index}].by"), problem));
        }
    }
    Ok(())
}

fn record(
    write: &mut Write<'_>,
    before: Option<&Dashboard>,
    after: Option<&Dashboard>,
) -> Result<(), StoreError> {
    let Some(one) = after.or(before) else { return Ok(()) };
    let is_own = matches!(write.permit().actor(), Actor::Member { user, .. } if *user == one.owner);
    let is_shared = before.is_some_and(|one| one.shared) || after.is_some_and(|one| one.shared);
    let needs = if is_own && !is_shared { Action::UseOwnAccount } else { Action::ChangeResources };
    let action = match (before, after) {
        (None, _) => "dashboard.create",
        (_, None) => "dashboard.delete",
        _ => "dashboard.update",
    };
    write.record(Change {
        needs,
        tenant: Some(one.tenant),
        action,
        entity: Entity::Dashboard,
        id: one.id.to_sql(),
        version: one.version,
        before: before.map(said).transpose()?,
        after: after.map(said).transpose()?,
    })
}

#[derive(Serialize)]
struct Said<'d> {
    name: &'d str,
    shared: bool,
    widgets: &'d [Widget],
}

fn said(dashboard: &Dashboard) -> Result<String, StoreError> {
    let Dashboard { name, shared, widgets, .. } = dashboard;
    to_json(&Said { name, shared: *shared, widgets })
}

async fn load(
    conn: &mut sqlx::AnyConnection,
    (tenant, who): (TenantId, UserId),
    id: DashboardId,
) -> Result<Dashboard, StoreError> {
    let select = crate::sql::built(format!("{SELECT} AND id = $3"));
    let row = one(select.bind(tenant.to_sql()).bind(who.to_sql()).bind(id.to_sql()), conn).await?;
    view(&row.ok_or_else(|| StoreError::not_found(Entity::Dashboard, id))?)
}

fn view(row: &Row) -> Result<Dashboard, StoreError> {
    Ok(Dashboard {
        id: DashboardId::from_sql(row.int(0)?),
        version: row.count(1)?,
        tenant: TenantId::from_sql(row.int(2)?),
        owner: UserId::from_sql(row.int(3)?),
        name: row.text(4)?.to_owned(),
        shared: row.int(5)? == 1,
        widgets: from_json(row.text(6)?)?,
    })
}
