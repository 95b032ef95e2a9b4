//! Budgets by who holds them: a call is charged to the budgets of its key, its consumer, its project and
//! its tenant at once.

use std::{collections::HashMap, fmt, sync::Arc};

use smallvec::SmallVec;

use crate::{
    budget::{Budget, account_of, spec::BudgetPeriod},
    id::{AccountId, BudgetId, ConsumerId, KeyId, ProjectId, TenantId},
};

/// Budgets that one holder may have: of several currencies, over several periods.
pub const BUDGETS_PER_HOLDER_MAX: usize = 8;

/// How wide a budget is held, from the narrowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// By a key.
    Key,
    /// By a consumer: all its keys spend together.
    Consumer,
    /// By a project.
    Project,
    /// By a tenant.
    Tenant,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Consumer => "consumer",
            Self::Project => "project",
            Self::Tenant => "tenant",
        }
    }
}

/// A budget with who holds it.
#[derive(Clone, Debug)]
pub struct HeldBudget {
    /// Its id.
    pub id: BudgetId,
    /// How wide it is held.
    pub level: Level,
    /// The id of its holder, of the kind that the level says.
    pub subject: u64,
    /// Its holder in words: `acme/maps/android-team`, the id of a key.
    pub holder: Box<str>,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// For how long the amount is.
    pub period: BudgetPeriod,
    /// What it allows.
    pub budget: Budget,
}

impl HeldBudget {
    /// The ledger's account that a call admitted at this moment is charged to.
    #[must_use]
    pub fn account(&self, wall_us: i64) -> AccountId {
        account_of(self.id.0, self.budget.window(wall_us))
    }
}

impl fmt::Display for HeldBudget {
    /// As denials name it: `the budget of consumer acme/maps/android-team of 25.00 USD per month`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget { amount, currency, .. } = &self.budget;
        let (level, holder) = (self.level.name(), &self.holder);
        write!(f, "the budget of {level} {holder} of {} {currency}", amount.to_text(*currency))?;
        match self.period {
            BudgetPeriod::Once => Ok(()),
            period => write!(f, " per {}", period.name()),
        }
    }
}

/// All budgets.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    by_holder: HashMap<(Level, u64), SmallVec<[Arc<HeldBudget>; 1]>>,
}

impl Budgets {
    /// Those that a call is charged to, from the narrowest; none when nobody holds one.
    #[must_use]
    pub fn of(
        &self,
        key: KeyId,
        consumer: ConsumerId,
        project: ProjectId,
        tenant: TenantId,
    ) -> SmallVec<[&Arc<HeldBudget>; 4]> {
        if self.by_holder.is_empty() {
            return SmallVec::new();
        }
        let holders = [
            (Level::Key, key.0),
            (Level::Consumer, consumer.0),
            (Level::Project, project.0),
            (Level::Tenant, tenant.0),
        ];
        holders.iter().filter_map(|holder| self.by_holder.get(holder)).flatten().collect()
    }

    /// Every budget, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<HeldBudget>> {
        self.by_holder.values().flatten()
    }
}

impl FromIterator<HeldBudget> for Budgets {
    fn from_iter<I: IntoIterator<Item = HeldBudget>>(budgets: I) -> Self {
        let mut by_holder: HashMap<_, SmallVec<[Arc<HeldBudget>; 1]>> = HashMap::new();
        for budget in budgets {
            by_holder.entry((budget.level, budget.subject)).or_default().push(Arc::new(budget));
        }
        // In the order of their ids, so that every node names the same one first.
        by_holder.values_mut().for_each(|held| held.sort_by_key(|budget| budget.id));
        Self { by_holder }
    }
}
