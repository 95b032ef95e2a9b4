//! Models: versions as they are registered and as one node runs them.

use serde::{Deserialize, Serialize};
use tollgate_core::predict_spec::ModelSpec;
use utoipa::ToSchema;

use super::Named;

/// A version of a model, as it is registered and as the node runs it that answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Model {
    /// Its id.
    #[schema(example = "mdl_0000000000a")]
    pub id: String,
    /// The project it is in.
    pub project: Named,
    /// The model.
    #[schema(example = "fraud")]
    pub name: String,
    /// Which version of it.
    #[schema(example = "3")]
    pub version: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub revision: u64,
    /// What it says, as in an `apply` file.
    #[schema(value_type = crate::admin::described::ModelSpecSchema)]
    pub spec: ModelSpec,
    /// Under which further names it takes requests now.
    pub aliases: Vec<String>,
    /// Where it is: a file of the node, or the server that has it.
    pub source: String,
    /// `serving`; `serving_former` where what was written last cannot be used and what was there before goes on;
    /// `broken`; `loading`; `unknown` where the node does not run models, or has not looked at this one yet.
    pub state: String,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Requests that wait or run now.
    pub under_way: u32,
    /// Requests that were answered since the node started.
    pub answered: u64,
    /// Requests that failed, or took too long.
    pub failed: u64,
    /// Requests that were refused because too many were under way.
    pub refused: u64,
    /// Half of the answers took at most this many microseconds, to the next power of two.
    pub median_us: u64,
    /// Ninety-nine of a hundred took at most this many microseconds, to the next power of two.
    pub p99_us: u64,
}

/// A further name for a version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewModelAlias {
    /// The name: letters, digits, `-`, `_` and `.`.
    #[schema(example = "stable", min_length = 1, max_length = 64)]
    pub alias: String,
}
