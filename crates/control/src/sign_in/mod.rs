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

mod account;
mod api;
mod caller;
mod courier;
mod json;
#[expect(dead_code, reason = "the endpoints of members call what invites")]
mod links;
mod local;
mod password;
mod throttle;
mod totp;

pub(crate) use api::router;
pub use courier::{Courier, Mail};
pub(crate) use password::Passwords;
pub use password::{PASSWORD_CHARS_MIN, hash_password, password_problem};
pub(crate) use throttle::Throttle;
