//! Resources one at a time, and whole documents of them. What a resource says is written as in an
//! `apply` file (CONTRACT §6), by the types of `tollgate_core::resource`.

use serde::{Deserialize, Serialize};
use tollgate_core::resource::{ConsumerSpec, PolicySpec, ServiceSpec};
use utoipa::ToSchema;

use super::Named;

/// A tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Tenant {
    /// Its id.
    #[schema(example = "ten_0aB1cD2eF3g")]
    pub id: String,
    /// The version of its row.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its name.
    #[schema(example = "acme")]
    pub name: String,
}

/// A project: a group of services, policies, consumers and keys.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Project {
    /// Its id.
    #[schema(example = "prj_3kXw09aQpLz")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its name.
    #[schema(example = "maps")]
    pub name: String,
    /// What its keys begin with.
    #[schema(example = "mbk")]
    pub key_prefix: String,
}

/// What a new project shall be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// Its name, unique in the tenant.
    #[schema(example = "maps", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub name: String,
    /// What its keys begin with; `tg` when not said.
    #[serde(default)]
    #[schema(example = "mbk", pattern = "^[a-z0-9]{2,12}$")]
    pub key_prefix: Option<String>,
}

/// What a project shall say from now on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChange {
    /// Its name, which stays.
    #[schema(example = "maps", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub name: String,
    /// What its new keys begin with.
    #[schema(example = "mbk", pattern = "^[a-z0-9]{2,12}$")]
    pub key_prefix: String,
}

/// A service.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Service {
    /// Its id.
    #[schema(example = "svc_7hYtR4eWq1Z")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its project.
    pub project: Named,
    /// What it says, as in an `apply` file.
    #[schema(value_type = crate::admin::described::ServiceSpecSchema)]
    pub spec: ServiceSpec,
}

/// A policy.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Policy {
    /// Its id.
    #[schema(example = "pol_1qAz2wSx3eD")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its project.
    pub project: Named,
    /// What it says, as in an `apply` file.
    #[schema(value_type = crate::admin::described::PolicySpecSchema)]
    pub spec: PolicySpec,
}

/// A consumer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Consumer {
    /// Its id.
    #[schema(example = "con_4rFv5tGb6yH")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its project.
    pub project: Named,
    /// What it says, as in an `apply` file.
    #[schema(value_type = crate::admin::described::ConsumerSpecSchema)]
    pub spec: ConsumerSpec,
}

/// What an `apply` did, or with `dry_run` would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApplyPlan {
    /// Whether nothing was changed, because a dry run was asked for.
    pub dry_run: bool,
    /// In the order they are done; empty when everything was so already.
    pub changes: Vec<PlannedChange>,
}

/// One line of a plan.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlannedChange {
    /// What is done: `create`, `update` or `delete`.
    #[schema(example = "update")]
    pub op: String,
    /// To what kind of resource.
    #[schema(example = "policy")]
    pub kind: String,
    /// Its full name.
    #[schema(example = "acme/maps/standard")]
    pub name: String,
    /// The top-level fields that differ, for updates.
    pub fields: Vec<String>,
}
