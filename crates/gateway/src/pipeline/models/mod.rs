//! The kind `llm`: calls to models, priced before they are sent, paid for as they were used.
//!
//! A call is read, decided by `core` and paid for (`call`), takes its attempts (`course`) and comes back,
//! read in passing (`answer`; `lane::flow`). Its account ends when its use is known, whether or not the
//! client is still there.
//!
//! | module | holds |
//! | --- | --- |
//! | `call`, `unmetered` | requests as they come in: with a price, and without |
//! | `course` | attempts and fallbacks |
//! | `answer` | what an upstream answered, on its way to the client |
//! | `body` | bodies read whole, within bounds |

mod answer;
pub(crate) mod body;
pub(crate) mod call;
mod course;
mod unmetered;
