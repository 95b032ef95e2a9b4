//! Models as the node sees them that answers.

use serde::Serialize;
use utoipa::ToSchema;

use super::Named;

/// A version of a model, as the node sees it that answered.
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
    /// Under which further names it takes requests now.
    pub aliases: Vec<String>,
    /// Where it is: a file of the node, or the server that has it.
    pub source: String,
    /// `serving`; `serving_former` where what was written last cannot be used and what was there before goes on;
    /// `broken`; `loading`.
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
