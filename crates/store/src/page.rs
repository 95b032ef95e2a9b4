//! Lists, page by page.

/// The most rows of a page.
pub const PAGE_ROWS_MAX: u32 = 1000;

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Rows wanted, 1 to [`PAGE_ROWS_MAX`]; more is cut.
    pub limit: u32,
    /// [`Page::next`] of the page before.
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 100, cursor: None }
    }
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}
