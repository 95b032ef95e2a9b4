//! Prices one at a time: all versions of them listed, versions added, prices ended.

use tollgate_core::{
    authz::Permit,
    id::{PriceId, TenantId},
    money::price::PriceSpec,
    resource::Resources,
};

use super::{
    Op,
    apply::{Asked, compare, record, write_rows},
    one::{plain, same_version},
    prices::withdrawal,
    rows::from_json,
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{Columns as _, Row, all, built, one},
    write::Committed,
};

/// A price in one of its versions, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceView {
    /// Its id.
    pub id: PriceId,
    /// The version of its row.
    pub version: u64,
    /// The tenant whose calls it is for; `None` for the operator's, for all.
    pub tenant: Option<TenantId>,
    /// Words for it: `acme/openai/gpt-5`; all its versions have the same.
    pub name: String,
    /// From when on it holds, wall microseconds; the least number for always.
    pub from_us: i64,
    /// When it was written.
    pub created_us: i64,
    /// Since when it counts no more.
    pub withdrawn_us: Option<i64>,
    /// What it says.
    pub spec: PriceSpec,
}

/// Which price is to be ended, as whoever does so knew it.
#[derive(Clone, Copy, Debug)]
pub struct PriceAt {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub id: PriceId,
    /// The version that was read; `None` whatever it is.
    pub version: Option<u64>,
}

const SELECT: &str =
    "SELECT x.id, x.version, x.tenant, x.name, x.from_us, x.created_us, x.withdrawn_us, x.spec FROM prices x";

impl Store {
    /// The prices that a tenant sees: its own and the operator's, by name and then by when they begin; with
    /// `ended` those that count no more too.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_prices(&self, tenant: TenantId, ended: bool) -> Result<Vec<PriceView>, StoreError> {
        let mut conn = self.reader().await?;
        let counts = if ended { "" } else { "AND x.withdrawn_us IS NULL" };
        let text = format!(
            "{SELECT} WHERE (x.tenant = $1 OR x.tenant IS NULL) {counts} ORDER BY x.name, x.from_us, x.created_us"
        );
        all(built(text).bind(tenant.to_sql()), &mut conn).await?.iter().map(view).collect()
    }

    /// A price, of the tenant or the operator.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn price(&self, tenant: TenantId, id: PriceId) -> Result<PriceView, StoreError> {
        let mut conn = self.reader().await?;
        let text = format!("{SELECT} WHERE x.id = $1 AND (x.tenant = $2 OR x.tenant IS NULL)");
        let row = one(built(text).bind(id.to_sql()).bind(tenant.to_sql()), &mut conn).await?;
        view(&row.ok_or_else(|| StoreError::not_found(Entity::Price, id))?)
    }

    /// Adds a price, or a version of one: without `effective_from` it holds from now on. The same as is there
    /// already changes nothing. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::Invalid`].
    pub async fn add_price(
        &self,
        permit: &Permit,
        new: PriceSpec,
        now_us: i64,
    ) -> Result<Committed<PriceView>, StoreError> {
        let resources = Resources { prices: vec![new], ..Resources::default() };
        let mut write = self.write(permit, now_us).await?;
        let diff = compare(write.conn(), permit, &resources, Asked::at(now_us)).await?;
        if !diff.errors.is_empty() {
            return Err(StoreError::Invalid(plain(Entity::Price, diff.errors)));
        }
        let edit = diff.edits.iter().find(|edit| edit.op != Op::Delete);
        // A version that was added has a place beside the one that it follows.
        let present = || diff.places.keys().find(|(kind, _)| *kind == Entity::Price).map(|(_, id)| *id);
        let id = edit.map(|edit| edit.id).or_else(present);
        let id = id.ok_or_else(|| StoreError::corrupt("a price was compared and not found"))?;
        if let Some(edit) = edit {
            record(&mut write, edit)?;
            write_rows(write.conn(), std::slice::from_ref(edit), now_us).await?;
        }
        let value = load(write.conn(), id).await?;
        Ok(Committed { value, seq: write.commit().await? })
    }

    /// Ends a version of a price: it counts no more, and stays to be looked at. Needs `Action::ChangeResources`
    /// in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also for one of the operator, [`StoreError::Outdated`].
    pub async fn end_price(
        &self,
        permit: &Permit,
        at: PriceAt,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let present = load(write.conn(), at.id.to_sql()).await?;
        if present.tenant != Some(at.tenant) || present.withdrawn_us.is_some() {
            return Err(StoreError::not_found(Entity::Price, at.id));
        }
        same_version(Entity::Price, present.version, at.version)?;
        let nothing = Resources::default();
        let diff = compare(write.conn(), permit, &nothing, Asked::at(now_us)).await?;
        let row = diff.state.prices.iter().find(|row| row.id == at.id.to_sql());
        let edit = withdrawal(row.ok_or_else(|| StoreError::not_found(Entity::Price, at.id))?)?;
        record(&mut write, &edit)?;
        write_rows(write.conn(), std::slice::from_ref(&edit), now_us).await?;
        Ok(Committed { value: (), seq: write.commit().await? })
    }
}

async fn load(conn: &mut sqlx::AnyConnection, id: i64) -> Result<PriceView, StoreError> {
    let row = one(built(format!("{SELECT} WHERE x.id = $1")).bind(id), conn).await?;
    view(&row.ok_or_else(|| StoreError::not_found(Entity::Price, PriceId::from_sql(id)))?)
}

fn view(row: &Row) -> Result<PriceView, StoreError> {
    Ok(PriceView {
        id: PriceId::from_sql(row.int(0)?),
        version: row.count(1)?,
        tenant: row.opt_int(2)?.map(TenantId::from_sql),
        name: row.text(3)?.to_owned(),
        from_us: row.int(4)?,
        created_us: row.int(5)?,
        withdrawn_us: row.opt_int(6)?,
        spec: from_json(row.text(7)?)?,
    })
}
