//! People: accounts, what they are in which tenant, how they prove who they are, and their sessions.
//!
//! One account may belong to several tenants. What is kept of secrets: argon2id hashes of passwords,
//! SHA-256 of session tokens, of the tokens in links and of recovery codes. The secrets of second
//! factors are encrypted (see [`crate::secrets`]). None of these ever is in the audit.
//!
//! Every mutation goes through the wrapper of [`crate::write`]. Three things do not, for they are no
//! decision of anybody: the last use of a session, the first step of a sign-in that takes two, and deleting
//! sessions and links that have ended.

mod account;
mod change;
mod credentials;
mod external;
mod links;
mod members;
mod sessions;
mod steps;

pub use account::{Account, Membership};
pub use credentials::{OwnChange, SecondFactor};
pub use external::{ExternalAccount, ExternalPerson};
pub use links::{InvitationView, NewInvitation, NewReset, Newcomer};
pub use members::{CONSUMERS_MAX, MemberRef, MemberView};
pub use sessions::{NewSession, SessionChange, SessionLimits, SessionLookup, SessionView, SignedInSession};

pub(crate) use account::{NewAccount, NewMember, email_problem, insert_account, insert_member};
