//! How a node is, part by part.

use serde::Serialize;
use tollgate_core::{
    id::{ModelId, ProjectId},
    serving::Tallied,
};

/// Tells how the parts of the process are; implemented where they meet.
pub trait Health: Send + Sync + 'static {
    /// The present state of every part. Must answer at once: no I/O.
    fn report(&self) -> Report;

    /// How models are on this node, of all tenants, by name.
    fn models(&self) -> Vec<ModelCondition> {
        Vec::new()
    }

    /// Where programs reach the gateway, `https://api.example.com`, without a path; `None` where this
    /// process does not know.
    fn gateway_url(&self) -> Option<String> {
        None
    }
}

/// The state of all parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The node's name.
    pub node: String,
    /// The roles it runs: `gateway`, `service-api`, `control`, `workers`.
    pub roles: Vec<&'static str>,
    /// Its parts.
    pub parts: Vec<Part>,
}

impl Report {
    /// Whether the node may be sent traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|part| part.ok)
    }
}

/// The state of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name: `keys`, `journal`, `database`.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// In words, for people: `14 keys, 2 ms old`. Nothing internal.
    pub detail: String,
}

/// How one version of a model is on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCondition {
    /// Its id.
    pub id: ModelId,
    /// The project it is in.
    pub project: ProjectId,
    /// The model.
    pub name: String,
    /// Which version of it.
    pub version: String,
    /// Under which further names it takes requests now.
    pub aliases: Vec<String>,
    /// Where it is: its file, or the server that has it.
    pub source: String,
    /// `serving`, `serving_former`, `broken` or `loading`.
    pub state: &'static str,
    /// Whether it takes requests.
    pub is_served: bool,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// Requests that wait or run now.
    pub under_way: u32,
    /// How requests went since the node started.
    pub tallied: Tallied,
}
