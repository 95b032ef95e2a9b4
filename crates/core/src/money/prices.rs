//! The prices of every tenant. What a tenant wrote for itself comes first, then what the operator wrote
//! for all, then what Tollgate ships with; inside of each the rules of [`PriceTable`] hold.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use crate::{
    field_error::FieldError,
    id::TenantId,
    money::{
        price::{Price, PriceSpec},
        starting::{STARTING_PRICES, StartingError, starting_prices},
        table::{Origin, PriceTable, Wanted},
    },
};

/// The prices that Tollgate ships with, as rows. A test reads them, so that a damaged table is never
/// shipped; were it, no model had a shipped price, and under a hard budget it would be denied (I11).
pub static STARTING: LazyLock<Result<Vec<PriceSpec>, StartingError>> =
    LazyLock::new(|| starting_prices(STARTING_PRICES));

/// The table of shipped prices alone: built once, shared by every installation without prices of its own.
static SHIPPED: LazyLock<Arc<PriceTable>> = LazyLock::new(|| Arc::new(shipped()));

fn shipped() -> PriceTable {
    let mut table = PriceTable::default();
    let rows = STARTING.as_deref().unwrap_or_default();
    // What does not compile is left out as a whole: no price is then taken from half a table.
    if table.add(Origin::Starting, rows).is_err() {
        return PriceTable::default();
    }
    table
}

/// The prices of every tenant.
#[derive(Debug)]
pub struct Prices {
    /// For all tenants: the operator's, and those that Tollgate ships with.
    common: Arc<PriceTable>,
    /// What tenants wrote for themselves.
    tenants: HashMap<TenantId, PriceTable>,
}

impl Default for Prices {
    /// Those that Tollgate ships with.
    fn default() -> Self {
        Self { common: Arc::clone(&SHIPPED), tenants: HashMap::new() }
    }
}

/// Prices as they are written, by whose they are: `None` are the operator's, for all tenants.
pub type Written = HashMap<Option<TenantId>, Vec<PriceSpec>>;

impl Prices {
    /// Compiles what was written, above what Tollgate ships with.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field.
    pub fn compile(written: &Written) -> Result<Self, Vec<FieldError>> {
        let mut prices = Self::default();
        let mut errors = Vec::new();
        for (tenant, specs) in written {
            let mut table = if tenant.is_none() { shipped() } else { PriceTable::default() };
            match (table.add(Origin::Own, specs), tenant) {
                (Err(wrong), _) => errors.extend(wrong),
                (Ok(()), Some(tenant)) => drop(prices.tenants.insert(*tenant, table)),
                (Ok(()), None) => prices.common = Arc::new(table),
            }
        }
        if errors.is_empty() { Ok(prices) } else { Err(errors) }
    }

    /// What a model costs a tenant at a moment; `None` when it has no price, which is not free (I11).
    #[must_use]
    pub fn price(&self, tenant: TenantId, wanted: Wanted<'_>, wall_us: i64) -> Option<Arc<Price>> {
        let own = self.tenants.get(&tenant).and_then(|table| table.lookup(wanted, wall_us));
        own.or_else(|| self.common.lookup(wanted, wall_us))
    }
}
