//! How a node is, part by part.

use serde::Serialize;

/// Tells how the parts of the process are; implemented where they meet.
pub trait Health: Send + Sync + 'static {
    /// The present state of every part. Must answer at once: no I/O.
    fn report(&self) -> Report;

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
