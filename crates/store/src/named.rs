//! An id together with the name people know it by.

/// A thing and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<Id> {
    /// Its id.
    pub id: Id,
    /// Its name; the id as text when the thing was deleted since.
    pub name: String,
}
