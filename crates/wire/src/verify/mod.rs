//! The shapes of `POST /v1/keys/verify` and `/v1/keys/verify-batch`.
//!
//! [`request`] is what a service asks, borrowed from the body, and [`read`] reads it; [`mistake`]
//! says what is wrong with a body that cannot be read, field by field; [`answer`] writes what was
//! decided. What a service only passes on from its own client (key, path, method) is never a mistake
//! of the service: it is answered by a code, so that one hostile client cannot spoil a batch.

pub mod answer;
pub mod mistake;
pub mod read;
pub mod request;

/// Requests in one batch.
pub const BATCH_MAX: usize = 1000;
/// Header fields that one request may hand over.
pub const HEADERS_MAX: usize = 64;
/// Scopes that one request may ask for.
pub const SCOPES_MAX: usize = 64;
/// Bytes of the body of `verify`: a key of 512, 64 headers of ordinary length, and room.
pub const BODY_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of the body of `verify-batch`: [`BATCH_MAX`] requests of 4 KiB.
pub const BATCH_BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;
