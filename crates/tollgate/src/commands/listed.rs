//! What `events query` prints of any type: some of it and whether there is more, or how many there are.

use serde::Serialize;

/// Some of what was asked for.
#[derive(Serialize)]
pub(super) struct Listed<E> {
    pub(super) events: Vec<E>,
    /// Whether there are more than were asked for.
    pub(super) more: bool,
}

impl<E> Listed<E> {
    pub(super) const fn empty() -> Self {
        Self { events: Vec::new(), more: false }
    }
}

/// How many there are.
#[derive(Serialize)]
pub(super) struct Count {
    pub(super) count: u64,
}

/// A list, and whether it is all there is.
pub(super) fn with_more(mut list: String, has_more: bool) -> String {
    if has_more {
        list.push_str("\nThere are more; narrow the filter or raise --limit.");
    }
    list
}
