//! The kind `llm`: calls to models, priced before they are sent, paid for as they were used.
//!
//! A call is read, decided by `core` and paid for (`call`), takes its attempts (`course`) and comes back,
//! read in passing (`answer`, `flow`). Its account ends when its use is known, whether or not the client is
//! still there.
//!
//! Requests are read whole, within a bound, before anything is sent: the reservation needs them.
//! Answers are read as they stream by: readers are fed the same bytes that the client gets, hold only
//! the few members they are after, and never make a byte wait.
//!
//! | module | holds |
//! | --- | --- |
//! | [`api`] | which API of which provider a call speaks |
//! | [`request`] | model, limits and bounds of a call; the edits of its body |
//! | [`usage`] | what an answer says was used, streamed or whole |
//! | [`usage_chunk`] | takes the usage that was asked for on the client's behalf out of its stream |
//! | [`error_shape`], [`models`] | denials as the provider words them; lists of models, filtered |
//! | `sse`, `members` | event streams (WHATWG) and JSON, cut anywhere |
//! | `call`, `unmetered` | requests as they come in: with a price, and without |
//! | `course`, `route` | attempts, fallbacks, the provider's credential |
//! | `answer`, `flow`, `detached` | answers, read in passing; to their end without a client |
//! | `purse`, `bill`, `account` | what is reserved, charged, and written down |
//! | `body` | bodies read whole, within bounds |

pub(crate) mod account;
mod answer;
pub mod api;
pub(crate) mod bill;
mod body;
pub(crate) mod call;
mod course;
pub(crate) mod detached;
pub mod error_shape;
pub(crate) mod flow;
mod members;
pub mod models;
pub(crate) mod purse;
pub mod request;
pub(crate) mod route;
mod sse;
mod unmetered;
pub mod usage;
pub mod usage_chunk;
