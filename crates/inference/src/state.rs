//! How models are on this node, for people.

use tollgate_core::{
    id::{ModelId, ProjectId},
    serving::Tallied,
};

/// How a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It takes requests.
    Serving,
    /// What was written last cannot be used; what was there before takes requests.
    ServingFormer,
    /// It cannot be used.
    Broken,
    /// It was not tried yet.
    Loading,
}

impl Condition {
    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::ServingFormer => "serving_former",
            Self::Broken => "broken",
            Self::Loading => "loading",
        }
    }

    /// Whether requests are answered.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Serving | Self::ServingFormer)
    }
}

/// One version of a model on this node.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelState {
    /// Its id.
    pub id: ModelId,
    /// Its project.
    pub project: ProjectId,
    /// The model.
    pub name: String,
    /// The version.
    pub version: String,
    /// Under which further names it takes requests now.
    pub aliases: Vec<String>,
    /// Where it is: its file, or the server that has it.
    pub source: String,
    /// How it is.
    pub condition: Condition,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// Requests that wait or run now.
    pub under_way: u32,
    /// How requests went since the node started.
    pub tallied: Tallied,
}
