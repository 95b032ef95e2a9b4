//! People whom a provider has proved: their account, membership and role, and the paths of all that.
//!
//! | file | holds |
//! | --- | --- |
//! | `settle` | account, membership and role of who was proven |
//! | `routes` | sign-in with a provider, as browsers go through it |
//!
//! Who somebody is is the provider and its subject, never an e-mail address.

mod routes;
mod settle;

pub(crate) use routes::{Login, by_directory, router};
pub(crate) use settle::{bearer, is_id_token};
