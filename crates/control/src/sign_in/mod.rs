//! How people prove who they are, and what they do with their own account. Pages and the API call the
//! same functions; none of them says whether an account exists, in words or in time.
//!
//! | file | holds |
//! | --- | --- |
//! | `local` | sign-in with e-mail address and password, fresh sign-in, switching tenants |
//! | `account` | own password, second factor, sessions |
//! | `steps` | sign-in in two steps, as pages do it |
//! | `links` | invitations and resets |
//! | `totp` | codes of second factors (RFC 6238) |
//! | `api` | all of it as JSON |

pub(crate) mod account;
mod api;
pub(crate) mod caller;
mod json;
pub(crate) mod links;
pub(crate) mod local;
pub(crate) mod steps;
mod totp;

pub(crate) use api::{begun, router};
pub(crate) use caller::Caller;
pub(crate) use json::Body;
pub(crate) use links::{Invite, invite};
pub(crate) use local::{person, rotate, start};
