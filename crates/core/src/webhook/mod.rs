//! Webhooks out: as people write them (CONTRACT §6, `[[webhook]]`), and where their requests may go.
//!
//! | module | holds |
//! | --- | --- |
//! | `address` | the address of a receiver, read strictly |
//! | `egress` | which network addresses a request on somebody's behalf may be sent to |
//! | `schedule` | when a delivery is tried again |
//!
//! Not here: sending, signing, names being resolved.

mod address;
mod egress;
mod schedule;
mod spec;

pub use address::{AddressError, Host, ReceiverAddress, URL_LEN_MAX, read_host};
pub use egress::{Egress, metadata_refusal, refusal};
pub use schedule::{ATTEMPTS_MAX, next_attempt_after};
pub use spec::{PATTERNS_MAX, WebhookSpec, check_webhook};
