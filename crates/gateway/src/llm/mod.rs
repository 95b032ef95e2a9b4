//! Calls to models: what is read of them and of their answers, and the few bytes of them that are
//! changed. Nothing here sends, waits, decides or keeps accounts: `pipeline::models` does, with what `lane`
//! has for it.
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

pub mod api;
pub mod error_shape;
mod members;
pub mod models;
pub mod request;
mod sse;
pub mod usage;
pub mod usage_chunk;
