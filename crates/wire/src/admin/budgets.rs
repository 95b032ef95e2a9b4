//! Budgets with what is spent of them, prices in their versions, entries of the ledger, and secrets, which are
//! taken and never given back.

use serde::{Deserialize, Serialize};
use tollgate_core::{budget::spec::BudgetSpec, money::price::PriceSpec, secret::Secret as Hidden};
use utoipa::ToSchema;

use super::Named;

/// A budget.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Budget {
    /// Its id.
    #[schema(example = "bdg_6yH7uJ8iK9o")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// How wide it is held: `key`, `consumer`, `project` or `tenant`.
    #[schema(example = "consumer")]
    pub level: String,
    /// Its holder in words.
    #[schema(example = "acme/maps/android-team")]
    pub holder: String,
    /// What is spent in the present period; `null` before its first call.
    pub spending: Option<Spending>,
    /// What it says, as in an `apply` file, with full names.
    #[schema(value_type = crate::admin::described::BudgetSpecSchema)]
    pub spec: BudgetSpec,
}

/// What is spent of a budget in one period. Amounts are decimals of its currency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Spending {
    /// The account in the ledger.
    #[schema(example = "acc_1qW2eR3tY4u")]
    pub account: String,
    /// When the period began; `null` for a budget without period.
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// When it ends; `null` for a budget without period.
    #[schema(format = DateTime)]
    pub to: Option<String>,
    /// What was brought in.
    #[schema(example = "25.00")]
    pub funded: String,
    /// What is gone.
    #[schema(example = "3.20")]
    pub spent: String,
    /// What is set aside for calls that run.
    #[schema(example = "0.50")]
    pub reserved: String,
    /// What is left; below zero only where nothing is denied.
    #[schema(example = "21.30")]
    pub free: String,
    /// What was used beyond all that, until somebody forgives it.
    #[schema(example = "0")]
    pub overrun: String,
}

/// Funds for a budget in its present period.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFunding {
    /// How much, as a decimal in quotes; below zero takes free funds away.
    #[schema(example = "5.00", pattern = r"^-?[0-9]{1,10}(\.[0-9]{1,9})?$")]
    pub amount: String,
    /// Why; it stands in the audit and beside the entries.
    #[schema(example = "invoice 4711", min_length = 1, max_length = 500)]
    pub reason: String,
}

/// One entry of the ledger.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LedgerEntry {
    /// The transfer that wrote it: its entries sum up to zero.
    #[schema(example = "5f0c9b7d2e1a48c39a6b0d4e8f7c6a51")]
    pub transfer: String,
    /// What the transfer did: `fund`, `reserve`, `draw`, …
    #[schema(example = "draw")]
    pub kind: String,
    /// Which side of the account: `outside`, `free`, `reserved`, `spent` or `overrun`.
    #[schema(example = "spent")]
    pub side: String,
    /// How much came to this side; below zero: how much went.
    #[schema(example = "0.0042")]
    pub amount: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Why: the decision that was paid for, or a person's reason.
    pub cause: String,
    /// The reservation that the transfer resolved.
    pub resolves: Option<String>,
}

/// A price in one of its versions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Price {
    /// Its id; `null` for one that Tollgate ships with.
    #[schema(example = "prc_0pO9iU8yT7r")]
    pub id: Option<String>,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Whose it is: `own` of the tenant, `operator` for all tenants, `shipped` with Tollgate. Own ones come
    /// first, then the operator's.
    #[schema(example = "own")]
    pub origin: String,
    /// Whether it counts now among its versions.
    pub current: bool,
    /// From when on it holds; `null` for always.
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// Since when it counts no more.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// What it says, as in an `apply` file.
    #[schema(value_type = crate::admin::described::PriceSpecSchema)]
    pub spec: PriceSpec,
}

/// A secret, without the secret: nothing gives that back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Secret {
    /// Its id.
    #[schema(example = "sec_3eD4rF5tG6y")]
    pub id: String,
    /// 1 when it is new, one more each time it is set; as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its project.
    pub project: Named,
    /// Its name.
    #[schema(example = "openai")]
    pub name: String,
    /// When it was first set.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last set.
    #[schema(format = DateTime)]
    pub changed_at: String,
    /// Whether the node that answers can decrypt it.
    pub readable: bool,
}

/// A secret to be set, new or in place of the one of this name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// The project, by name.
    #[schema(example = "maps", min_length = 1, max_length = 130)]
    pub project: String,
    /// Its name, unique in the project.
    #[schema(example = "openai", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub name: String,
    /// The secret: printable ASCII without a space at its ends.
    #[schema(value_type = String, min_length = 1, max_length = 8192, pattern = "^[!-~]([ -~]*[!-~])?$", write_only)]
    pub value: Hidden<String>,
}
