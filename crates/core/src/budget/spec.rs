//! Budgets as people write them (CONTRACT §6, `[[budget]]`), and who holds them.

use serde::{Deserialize, Serialize};

use crate::{field_error::FieldError, id::KeyId, money::amount::Currency, period::PeriodUnit};

/// `[[budget]]`: an amount that may be spent, for ever or in each period.
///
/// It is held by a key, a consumer, a project or a tenant: by the narrowest that is named. A budget
/// has no name; holder, currency and period tell one from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// The tenant; alone: everything in it spends from this budget together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The project, `name` or `tenant/name`; alone: everything in it spends together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The consumer of the project: all its keys spend together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The id of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// What it is of: `USD` and the like, or `credits`.
    pub currency: Currency,
    /// How much, as a decimal in quotes; credits are whole.
    pub amount: String,
    /// For how long the amount is.
    pub period: BudgetPeriod,
    /// Whose midnight a period begins at: an IANA zone, `UTC` when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What is added again and again to a budget with `period = "once"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill: Option<RefillSpec>,
    /// Percent of the amount at which an event tells so; 50, 80 and 100 when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Vec<u8>>,
    /// What happens at its end.
    #[serde(default)]
    pub mode: BudgetMode,
}

/// For how long an amount is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetPeriod {
    /// For ever.
    Once,
    /// For each full hour.
    Hour,
    /// For each day.
    Day,
    /// For each week, from Monday.
    Week,
    /// For each month.
    Month,
}

impl BudgetPeriod {
    /// The word in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The calendar's unit; `None` for ever.
    #[must_use]
    pub const fn unit(self) -> Option<PeriodUnit> {
        match self {
            Self::Once => None,
            Self::Hour => Some(PeriodUnit::Hour),
            Self::Day => Some(PeriodUnit::Day),
            Self::Week => Some(PeriodUnit::Week),
            Self::Month => Some(PeriodUnit::Month),
        }
    }
}

/// What is added again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefillSpec {
    /// How much each time.
    pub amount: String,
    /// At the beginning of which period.
    pub every: PeriodUnit,
    /// What is left never grows over this; the budget's amount when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<String>,
}

/// What happens at the end of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetMode {
    /// What does not fit is denied with `budget_exhausted`, and what has no price with `unpriceable`.
    #[default]
    Hard,
    /// Everything is counted, nothing denied.
    Observe,
}

/// Who holds a budget, by the names that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderSpec<'s> {
    /// A whole tenant.
    Tenant(&'s str),
    /// A whole project.
    Project(&'s str),
    /// A consumer of a project.
    Consumer {
        /// The project.
        project: &'s str,
        /// The consumer's name.
        consumer: &'s str,
    },
    /// A key.
    Key(KeyId),
}

impl BudgetSpec {
    /// Who holds it: the narrowest that is named.
    ///
    /// # Errors
    /// When nobody is named, a consumer without its project, or both a consumer and a key.
    pub fn holder(&self) -> Result<HolderSpec<'_>, FieldError> {
        match (self.key, &self.consumer, &self.project, &self.tenant) {
            (Some(_), Some(_), _, _) => Err(FieldError::new(
                "consumer",
                "a key and a consumer cannot hold one budget together; name one of them",
            )),
            (Some(key), None, _, _) => Ok(HolderSpec::Key(key)),
            (None, Some(consumer), Some(project), _) => Ok(HolderSpec::Consumer { project, consumer }),
            (None, Some(_), None, _) => {
                Err(FieldError::new("project", "a consumer is named but not its project; add `project`"))
            }
            (None, None, Some(project), _) => Ok(HolderSpec::Project(project)),
            (None, None, None, Some(tenant)) => Ok(HolderSpec::Tenant(tenant)),
            (None, None, None, None) => Err(FieldError::new(
                "project",
                "nobody holds this budget; name `tenant`, `project`, `consumer` with its project, or `key`",
            )),
        }
    }
}
