//! The engine (`http`): raw heads against the guard, and real sockets against the whole.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test that cannot go on fails, in its helpers too"
)]

mod answers;
mod bounds;
mod client_http1;
mod dissect;
mod frames;
mod guard;
mod http1;
mod http2;
mod support;
mod tls;
mod tunnel;
mod upstream;
mod upstream_http1;
