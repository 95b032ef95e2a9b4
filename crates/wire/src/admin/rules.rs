//! Rules, what they did, and whom they block.

use serde::Serialize;
use tollgate_core::rule::spec::RuleSpec;
use utoipa::ToSchema;

use super::Named;

/// A rule.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rule {
    /// Its id.
    #[schema(example = "rul_5tGb6yHn7uJ")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its project.
    pub project: Named,
    /// What it says, as in an `apply` file.
    #[schema(value_type = crate::admin::described::RuleSpecSchema)]
    pub spec: RuleSpec,
}

/// Whom a rule acted upon.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RuleSubject {
    /// `key`, `consumer`, `project` or `service`.
    #[schema(example = "key")]
    pub kind: String,
    /// Its id.
    #[schema(example = "key_4fQn2SVkIqT")]
    pub id: String,
    /// Its name; the id when it was deleted since.
    pub name: String,
}

/// A block that a rule set.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Block {
    /// Its id.
    #[schema(example = "blk_5tGb6yHn7uJ")]
    pub id: String,
    /// The project of its rule.
    pub project: Named,
    /// The rule, named as it was then.
    pub rule: Named,
    /// Who is blocked.
    pub subject: RuleSubject,
    /// The service that is closed to them; everything when not there.
    pub service: Option<Named>,
    /// When it was set.
    #[schema(format = DateTime)]
    pub from: String,
    /// When it ends by itself; not there: when somebody lifts it.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// What the rule saw.
    #[schema(example = "101 requests within 1m, the threshold is 100 requests")]
    pub reason: String,
    /// When it ended; not there while it holds.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// By whom: `time`, or who lifted it.
    pub ended_by: Option<String>,
}

/// What a rule did, or would have done.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RuleFiring {
    /// The project of the rule.
    pub project: Named,
    /// The rule, named as it was then.
    pub rule: Named,
    /// Whether it only observed.
    pub observed: bool,
    /// `block`, `unblock` or `notify`.
    #[schema(example = "block")]
    pub action: String,
    /// Upon whom.
    pub subject: RuleSubject,
    /// When the request came that passed the threshold.
    #[schema(format = DateTime)]
    pub at: String,
    /// Until when its block holds.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// What it saw.
    pub reason: String,
}
