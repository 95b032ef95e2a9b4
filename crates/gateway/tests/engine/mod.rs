//! The engine (`http`): raw heads against the guard, and real sockets against the whole.

mod answers;
mod bounds;
mod guard;
mod http1;
mod http2;
mod support;
mod tunnel;
mod upstream;
