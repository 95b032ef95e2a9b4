//! What crosses HTTP: the shapes and words of Tollgate's own answers.
//!
//! The catalogue of codes with status, title and remedy ([`codes`]); the answer of a refusal
//! ([`problem`]); rate headers ([`rate`]); the requests and answers of the service API ([`verify`])
//! and of `GET /v1/me` ([`me`]); questions to models ([`predict`]); the bodies of the admin API ([`admin`]); the names of header fields
//! ([`headers`]).
//!
//! What is hot is written straight into one buffer instead of through a tree of values: an answer
//! costs one allocation and no formatting machinery.
//!
//! What this crate must never know: sockets, a codec of HTTP, SQL, the state of the process. It
//! decides nothing: it says what was decided. No credential is ever written by it.

pub mod admin;
pub mod codes;
pub mod headers;
pub mod me;
pub mod predict;
pub mod problem;
pub mod rate;
pub mod text;
pub mod verify;
