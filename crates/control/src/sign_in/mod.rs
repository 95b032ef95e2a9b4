//! How people prove who they are, and what they do with their own account. Pages and the API call the
//! same functions; none of them says whether an account exists, in words or in time.
//!
//! | file | holds |
//! | --- | --- |
//! | `local` | sign-in with e-mail address and password, fresh sign-in, switching tenants |
//! | `account` | own password, second factor, sessions |
//! | `links` | invitations and resets |
//! | `password` | argon2id on a few threads of their own |
//! | `totp` | codes of second factors (RFC 6238) |
//! | `throttle` | how many attempts an account and an address have |
//! | `api` | all of it as JSON |

pub(crate) mod account;
mod api;
pub(crate) mod caller;
mod courier;
mod json;
mod links;
pub(crate) mod local;
mod password;
mod throttle;
mod totp;

pub(crate) use api::{begun, router};
pub(crate) use caller::Caller;
pub use courier::{Courier, Mail};
pub(crate) use json::Body;
pub(crate) use links::{Invite, invite};
pub(crate) use local::{person, start};
pub(crate) use password::Passwords;
pub use password::{PASSWORD_CHARS_MIN, hash_password, password_problem};
pub(crate) use throttle::Throttle;
