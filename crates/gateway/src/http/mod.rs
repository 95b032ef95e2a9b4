//! The engine: HTTP/1.1 and HTTP/2 in and out, on one current-thread runtime per core.
//!
//! What lives here: sockets, TLS, strict heads, framing, time-outs, bounds, the upstream pools. What does
//! not: any decision about a request. The pipeline implements [`exchange::Handler`], gets an
//! [`exchange::Exchange`] for each request and gives back an [`answer::Answer`].
//!
//! Invariants kept here, whatever the handler does:
//! - no type of `hyper` or `http` is visible outside this module, so the codec can be exchanged;
//! - framing is never forwarded: `Content-Length`, `Transfer-Encoding`, `TE`, `Trailer`, `Connection` and
//!   what it names, `Keep-Alive`, `Proxy-*`, `Upgrade` and `Expect` are dropped in both directions and
//!   rebuilt from the decoded body (RFC 9110 §7.6.1, RFC 9112 §6);
//! - a head that two implementations could read in two ways never reaches the handler ([`guard`]);
//! - the [`answer::Finish`] hook of an answer runs exactly once, before the last byte of the answer is
//!   handed to the socket, or with `aborted` when that byte never goes out;
//! - nothing a peer can make grow is unbounded ([`bounds`]).
//!
//! Where to look: `exchange` and `answer` are what a handler sees, `head`, `body` and `field` the values
//! in them, `raw`, `lines` and `strip` what stands behind a head; `serve` starts lanes; `guard` judges raw bytes; `connection`
//! runs one client connection, with HTTP/1 in `connection::http1`; `upstream` sends requests on, with
//! HTTP/1 in `upstream::h1`; `lane`, `ticks` and `buffers` are what the connections of a thread share.
//!
//! HTTP/1 is a codec of our own and HTTP/2 is hyper's (decision 0008). A small forwarded request costs two
//! reads and two writes; a resting HTTP/1 connection holds no buffer.

pub mod answer;
pub mod body;
pub mod bounds;
mod buffers;
mod connection;
pub mod exchange;
pub mod field;
pub mod guard;
pub mod head;
mod lane;
pub mod lines;
mod raw;
pub mod serve;
mod stream;
pub mod strip;
mod ticks;
pub mod upstream;
mod visible;
