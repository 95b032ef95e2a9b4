//! What the admin API keeps about requests: the answers of those that carry an `Idempotency-Key`, and
//! jobs that go on after their request was answered. Neither changes a resource, a key or a person,
//! so that neither is in the audit; what jobs do is, change by change.

mod idempotency;
mod jobs;

pub use idempotency::{AnswerKept, Claim, RequestName};
pub use jobs::{JobProgress, JobRow, NewJobRow};
pub(crate) use jobs::{JobProgressed, job_place, note_step};
