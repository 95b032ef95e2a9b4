//! Prices of a file compared with their rows. A price has versions: what it costs is never rewritten, a change
//! adds a row that holds from a moment on, and a row that counts no more stays with the moment since when.

use std::collections::{HashMap, HashSet};

use sqlx::AnyConnection;
use tollgate_core::{
    id::TenantId,
    money::{
        price::{Price, PriceSpec, Provider, effective_at, is_ordinary},
        table::PRICES_MAX,
    },
};

use super::{
    Op,
    checks::under,
    diff::{Diff, Edit, RowOf},
    rows::{TenantRow, from_json, to_json},
};
use crate::{
    error::{Entity, StoreError},
    random,
    sql::{Columns as _, all, sql},
};

/// A price's row.
#[derive(Clone, Debug)]
pub(crate) struct PriceRow {
    pub(crate) id: i64,
    /// `None` for the operator's, for all tenants.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) from_us: i64,
    pub(crate) spec: PriceSpec,
    pub(crate) version: u64,
}

/// What the versions of one price have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Series {
    tenant: Option<TenantId>,
    provider: Provider,
    model: String,
    service_tier: Option<String>,
}

impl Series {
    pub(super) fn of(tenant: Option<TenantId>, spec: &PriceSpec) -> Self {
        let PriceSpec { provider, model, service_tier, .. } = spec;
        Self { tenant, provider: *provider, model: model.clone(), service_tier: service_tier.clone() }
    }
}

impl PriceRow {
    pub(super) fn series(&self) -> Series {
        Series::of(self.tenant, &self.spec)
    }
}

/// `openai/gpt-5`, `acme/openai/gpt-5@priority`.
pub(super) fn name_of(spec: &PriceSpec) -> String {
    let tenant = spec.tenant.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
    let tier = spec.service_tier.as_ref().filter(|tier| !is_ordinary(tier));
    let tier = tier.map(|tier| format!("@{tier}")).unwrap_or_default();
    format!("{tenant}{}/{}{tier}", spec.provider.name(), spec.model)
}

/// All rows that count.
pub(super) async fn load_prices(conn: &mut AnyConnection) -> Result<Vec<PriceRow>, StoreError> {
    let text = "SELECT id, tenant, from_us, spec, version FROM prices WHERE withdrawn_us IS NULL \
                ORDER BY name, from_us";
    let mut rows = Vec::new();
    for row in all(sql(text), conn).await? {
        rows.push(PriceRow {
            id: row.int(0)?,
            tenant: row.opt_int(1)?.map(TenantId::from_sql),
            from_us: row.int(2)?,
            spec: from_json(row.text(3)?)?,
            version: row.count(4)?,
        });
    }
    Ok(rows)
}

/// A price of the file, found right by itself.
struct Entry<'r> {
    field: String,
    index: usize,
    tenant: Option<TenantId>,
    from_us: i64,
    written: &'r PriceSpec,
}

impl Diff<'_> {
    /// Compares the prices of the file with their rows.
    pub(super) fn prices(&mut self) -> Result<(), StoreError> {
        let resources = self.resources;
        let mut entries: Vec<Entry<'_>> = Vec::new();
        let mut seen = HashSet::new();
        let mut versions: HashMap<Series, usize> = HashMap::new();
        for (index, written) in resources.prices.iter().enumerate() {
            let field = format!("price[{index}]");
            let compiled = match Price::compile(written) {
                Ok(price) => price,
                Err(problems) => {
                    self.errors.extend(under(&field, problems));
                    continue;
                }
            };
            let Some(tenant) = self.tenant_of_price(&field, written) else { continue };
            let tenant = tenant.map(|row| row.id);
            let from_us = compiled.effective_from_us;
            let series = Series::of(tenant, written);
            if !seen.insert((series.clone(), from_us)) {
                let problem = format!("the price of {} stands here twice; leave one away", name_of(written));
                self.error(format!("{field}.model"), problem);
                continue;
            }
            *versions.entry(series).or_default() += 1;
            entries.push(Entry { field, index, tenant, from_us, written });
        }
        for entry in entries {
            let is_alone = versions.get(&Series::of(entry.tenant, entry.written)) == Some(&1);
            self.price(&entry, is_alone)?;
        }
        for (tenant, count) in self.prices_by_tenant() {
            if count > PRICES_MAX {
                let whose = if tenant.is_some() { "a tenant" } else { "the operator" };
                self.error("price".to_owned(), format!("{whose} may have at most {PRICES_MAX} prices"));
            }
        }
        Ok(())
    }

    fn prices_by_tenant(&self) -> HashMap<Option<TenantId>, usize> {
        let mut counts = HashMap::new();
        for row in &self.state.prices {
            *counts.entry(row.tenant).or_default() += 1;
        }
        counts
    }

    /// Whose a price is; `None` when that is wrong, which is noted.
    fn tenant_of_price(&mut self, field: &str, written: &PriceSpec) -> Option<Option<TenantRow>> {
        match &written.tenant {
            Some(name) => self.tenant(format!("{field}.tenant"), name).map(Some),
            None if self.is_host => Some(None),
            None => {
                let problem =
                    "prices for all tenants are written by the operator on the host; name your tenant";
                self.error(format!("{field}.tenant"), problem);
                None
            }
        }
    }

    /// Compares one. An entry without a moment that stands alone is the price as it shall be now; one among
    /// several is the version that always held.
    fn price(&mut self, entry: &Entry<'_>, is_alone: bool) -> Result<(), StoreError> {
        let now_us = self.now_us;
        let series = Series::of(entry.tenant, entry.written);
        let of_series = |row: &&mut PriceRow| row.series() == series;
        let is_now = is_alone && entry.written.effective_from.is_none();
        let rows = self.state.prices.iter_mut().filter(of_series);
        let present = if is_now {
            rows.filter(|row| row.from_us <= now_us).max_by_key(|row| row.from_us)
        } else {
            rows.into_iter().find(|row| row.from_us == entry.from_us)
        };
        let Some(row) = present else { return self.new_price(entry, entry.written.clone(), entry.from_us) };
        let wanted = PriceSpec { effective_from: row.spec.effective_from.clone(), ..entry.written.clone() };
        self.places.insert((Entity::Price, row.id), entry.index);
        if row.spec == wanted {
            return Ok(());
        }
        if is_now {
            let spec = PriceSpec { effective_from: effective_at(now_us), ..wanted };
            return self.new_price(entry, spec, now_us);
        }
        if row.from_us <= now_us {
            let problem = "a price that has begun is not rewritten; leave `effective_from` away to change it from \
                           now on, or name a later moment";
            self.error(format!("{}.effective_from", entry.field), problem);
            return Ok(());
        }
        row.version += 1;
        let before = std::mem::replace(&mut row.spec, wanted);
        let mut edit = price_edit(Op::Update, row, (Some(&before), Some(&row.spec)))?;
        edit.fields = super::diff::fields_that_differ(&before, &row.spec)?;
        self.edits.push(edit);
        Ok(())
    }

    fn new_price(&mut self, entry: &Entry<'_>, spec: PriceSpec, from_us: i64) -> Result<(), StoreError> {
        let id = (u64::from_le_bytes(random::id_bytes()?) >> 1) as i64;
        let row = PriceRow { id, tenant: entry.tenant, from_us, spec, version: 1 };
        self.places.insert((Entity::Price, id), entry.index);
        self.edits.push(price_edit(Op::Create, &row, (None, Some(&row.spec)))?);
        self.state.prices.push(row);
        Ok(())
    }

    /// Takes away the prices of tenants that the file names, and the operator's when it has any of these: all
    /// versions of those that it does not name, and versions to come of those that it does.
    pub(super) fn prune_prices(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.state.prices);
        let place = |row: &PriceRow| self.places.contains_key(&(Entity::Price, row.id));
        let named: HashSet<Series> = rows.iter().filter(|row| place(row)).map(PriceRow::series).collect();
        let operators_too = self.is_host && self.resources.prices.iter().any(|spec| spec.tenant.is_none());
        let goes = |row: &PriceRow| {
            let is_meant = match row.tenant {
                Some(tenant) => self.tenants_named.contains(&tenant.0),
                None => operators_too,
            };
            is_meant && !place(row) && (row.from_us > self.now_us || !named.contains(&row.series()))
        };
        let (gone, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(goes);
        self.state.prices = kept;
        for row in gone {
            self.edits.push(withdrawal(&row)?);
        }
        Ok(())
    }
}

/// The end of a price.
pub(super) fn withdrawal(row: &PriceRow) -> Result<Edit, StoreError> {
    let mut edit = price_edit(Op::Delete, row, (Some(&row.spec), None))?;
    edit.version += 1;
    Ok(edit)
}

fn price_edit(
    op: Op,
    row: &PriceRow,
    (before, after): (Option<&PriceSpec>, Option<&PriceSpec>),
) -> Result<Edit, StoreError> {
    let name = name_of(&row.spec);
    Ok(Edit {
        op,
        kind: Entity::Price,
        id: row.id,
        tenant: row.tenant,
        project: None,
        full_name: name.clone(),
        name,
        version: row.version,
        before: before.map(to_json).transpose()?,
        after: after.map(to_json).transpose()?,
        row: RowOf::Price { from_us: row.from_us },
        fields: Vec::new(),
    })
}
