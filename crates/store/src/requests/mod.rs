//! What the admin API keeps about requests: the answers of those that carry an `Idempotency-Key`, and
//! jobs that go on after their request was answered. That somebody began or ended a job is in the audit, and
//! what it does is, change by change; how far it is and the answers are nobody's change.

mod idempotency;
mod jobs;

pub use idempotency::{AnswerKept, Claim, RequestName};
pub use jobs::{JobProgress, JobRow, NewJobRow};
pub(crate) use jobs::{JobProgressed, job_place, note_step};
